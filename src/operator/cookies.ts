/** The console's two cookies: for this host alone, out of reach of scripts, and sent along when no other site posts. */
import { parseCookie } from 'cookie';
import type { CookieOptions, Request, Response } from 'express';

export type Cookies = ReturnType<typeof createCookies>;

/** `__Host-` needs https, which the settings waive for a loopback address only. */
export function createCookies(publicUrl: string) {
  const secure = publicUrl.startsWith('https:');
  const options: CookieOptions = { secure, httpOnly: true, sameSite: 'lax', path: '/' };

  function cookie(bareName: string) {
    const name = secure ? `__Host-${bareName}` : bareName;
    return {
      read: ({ headers }: Request): string | undefined => parseCookie(headers.cookie ?? '')[name],
      set: (res: Response, value: string) => res.cookie(name, value, options),
      clear: (res: Response) => res.clearCookie(name, options),
    };
  }

  return { session: cookie('ul_console'), signIn: cookie('ul_console_sign_in') };
}
