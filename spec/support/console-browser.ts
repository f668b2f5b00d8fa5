/** An operator's browser: cookies as browsers keep them, redirects followed, forms sent with the headers that browsers add. */
import { parse } from 'node-html-parser';
import { CookieJar, PrefixSecurityEnum } from 'tough-cookie';
import { PUBLIC_URL } from './gateway.js';
import { undocumented } from './openapi.js';

export type Visit = {
  status: number;
  url: string;
  /** Of the first answer. */
  location: string | null;
  headers: Headers;
  text: string;
  page: ReturnType<typeof parse>;
  toJSON(): string;
};

export type Options = { form?: Record<string, string>; headers?: Record<string, string>; follow?: boolean };

export type Browser = ReturnType<typeof createBrowser>;

/** What is asked of the public URL goes to where the gateway really listens. */
export function createBrowser(gatewayUrl: string, publicUrl = PUBLIC_URL) {
  const jar = new CookieJar(undefined, { prefixSecurity: PrefixSecurityEnum.STRICT });

  async function visit(path: string, { form, headers = {}, follow = true }: Options = {}): Promise<Visit> {
    let target = new URL(path, publicUrl);
    let body = form;
    let first: string | null | undefined;
    for (let hops = 0; hops < 12; hops += 1) {
      const isOurs = target.origin === new URL(publicUrl).origin;
      const real = isOurs ? new URL(target.pathname + target.search, gatewayUrl) : target;
      const response = await fetch(real, {
        redirect: 'manual',
        headers: {
          cookie: await jar.getCookieString(target.href),
          ...(body && { 'sec-fetch-site': 'same-origin', origin: target.origin }),
          ...headers,
        },
        ...(body && { method: 'POST', body: new URLSearchParams(body) }),
      });
      for (const cookie of response.headers.getSetCookie()) await jar.setCookie(cookie, target.href);
      const location = response.headers.get('location');
      first ??= location;
      const text = await response.text();
      if (location === null || !follow) {
        const { status, headers: got } = response;
        return { status, url: target.href, location: first, headers: got, text, page: parse(text), toJSON: () => text };
      }
      target = new URL(location, target);
      body = undefined;
    }
    throw new Error('too many redirects');
  }

  return {
    get: (path: string, options: Options = {}) => visit(path, options),
    post: (path: string, form: Record<string, string> = {}, options: Options = {}) => visit(path, { ...options, form }),
    signInWithToken: (token: string) => visit('/console/sign-in', { form: { token } }),
    cookies: () => jar.getCookies(publicUrl),
    async setCookie(name: string, value: string): Promise<void> {
      await jar.setCookie(`${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax`, publicUrl);
    },
  };
}

/** Expects an answer that openapi.yaml has for the operation. */
export function expectVisit(operationId: string, status: number, { status: seen, headers, text }: Visit): void {
  expect(seen).toBe(status);
  const answer = { status, headers: Object.fromEntries(headers), text, body: undefined };
  expect(undocumented(operationId, answer)).toEqual([]);
}
