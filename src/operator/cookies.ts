/** The console's cookies: for this host alone, out of reach of scripts, and sent along when no other site posts. */
import { parseCookie } from 'cookie';
import type { CookieOptions, Request, Response } from 'express';

const SIGN_IN = 'ul_console_sign_in_';

export type Cookies = ReturnType<typeof createCookies>;

/** `__Host-` needs https, which the settings waive for a loopback address only. */
export function createCookies(publicUrl: string) {
  const secure = publicUrl.startsWith('https:');
  const prefix = secure ? '__Host-' : '';
  const options: CookieOptions = { secure, httpOnly: true, sameSite: 'lax', path: '/' };
  const readAll = ({ headers }: Request) => parseCookie(headers.cookie ?? '');

  function cookie(bareName: string) {
    const name = prefix + bareName;
    return {
      read: (req: Request): string | undefined => readAll(req)[name],
      /** Without `maxAgeSeconds` until the browser is closed. */
      set(res: Response, value: string, maxAgeSeconds?: number): void {
        res.cookie(name, value, maxAgeSeconds === undefined ? options : { ...options, maxAge: maxAgeSeconds * 1_000 });
      },
      clear(res: Response): void {
        res.clearCookie(name, options);
      },
    };
  }

  return {
    session: cookie('ul_console'),
    /** `hash`: of the sign-in's state. The cookie itself has the whole state, so that a part of it will do for a name. */
    signIn: (hash: string) => cookie(SIGN_IN + hash.slice(0, 8)),
    signInsOf: (req: Request) =>
      Object.keys(readAll(req))
        .filter((name) => name.startsWith(prefix + SIGN_IN))
        .map((name) => cookie(name.slice(prefix.length))),
  };
}
