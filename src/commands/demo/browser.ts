/** A person's browser: the cookies of every site in one jar, redirects followed, forms filled in. Nothing but loopback. */
import { CookieJar } from 'tough-cookie';

const MAX_REDIRECTS = 20;
const TIMEOUT_MS = 10_000;

export type Page = { url: string; status: number; text: string };

export function createBrowser() {
  const jar = new CookieJar();
  let page: Page | undefined;

  async function open(url: string, form?: URLSearchParams): Promise<Page> {
    let target = new URL(url);
    let body = form;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      if (target.hostname !== '127.0.0.1') throw new Error(`The demo's browser goes nowhere but 127.0.0.1.`);
      const response = await fetch(target, {
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { accept: 'text/html', cookie: await jar.getCookieString(target.href) },
        ...(body && { method: 'POST', body }),
      });
      for (const cookie of response.headers.getSetCookie()) await jar.setCookie(cookie, target.href);
      const location = response.headers.get('location');
      const text = await response.text();
      if (!location) {
        page = { url: target.href, status: response.status, text };
        return page;
      }
      target = new URL(location, target);
      body = undefined;
    }
    throw new Error(`More than ${MAX_REDIRECTS} redirects from ${new URL(url).origin}.`);
  }

  async function get(url: string): Promise<Page> {
    return open(url);
  }

  /** Sends the form of the page that is open, with these fields. */
  async function submit(fields: Record<string, string>): Promise<Page> {
    const action = page && formAction(page);
    if (!action) throw new Error('The page that is open has no form.');
    return open(action, new URLSearchParams(fields));
  }

  /** Ends at the app. A password is asked for only where the person has no session at the stand-in Okta yet. */
  async function signIn(options: { startUrl: string; email: string; password: string }): Promise<Page> {
    const { startUrl, email, password } = options;
    let last = await get(startUrl);
    if (formAction(last)) last = await submit({ email, password });
    if (last.status !== 200 || new URL(last.url).origin !== new URL(startUrl).origin) {
      throw new Error(`The sign-in to ${new URL(startUrl).origin} ended with ${last.status} at ${last.url}.`);
    }
    return last;
  }

  return { get, submit, signIn };
}

function formAction({ url, text }: Page): string | undefined {
  const action = /<form\b[^>]*\baction="([^"]*)"/.exec(text)?.[1];
  return action === undefined ? undefined : new URL(action, url).href;
}
