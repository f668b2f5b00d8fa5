/** People's sessions in the demo's apps: signed in for real, and asked of the apps themselves. */
import { setTimeout as delay } from 'node:timers/promises';
import type { createBrowser } from './browser.js';
import type { OktaPerson } from './okta-login.js';

const ASK_EVERY_MS = 10;

export type Site = { name: string; url: string; loginUrl: string };
export type Device = { person: OktaPerson; name: string; browser: ReturnType<typeof createBrowser> };
export type Session = { person: string; device: string; site: string; isAlive(): Promise<boolean> };

export async function signIn({ person, name, browser }: Device, sites: readonly Site[]): Promise<Session[]> {
  const sessions: Session[] = [];
  for (const site of sites) {
    await browser.signIn({ startUrl: site.loginUrl, email: person.email, password: person.password });
    sessions.push({
      person: person.name,
      device: name,
      site: site.name,
      async isAlive() {
        const { status } = await browser.get(`${site.url}/me`);
        if (status !== 200 && status !== 401) throw new Error(`${site.url}/me answered ${status}.`);
        return status === 200;
      },
    });
  }
  return sessions;
}

/** How long after `startedAt` the app first called the session ended, or undefined where it never did. */
export async function untilEnded(
  session: Session,
  { startedAt, withinMs, signal }: { startedAt: number; withinMs: number; signal: AbortSignal },
): Promise<number | undefined> {
  for (;;) {
    const askedAt = performance.now();
    if (!(await session.isAlive())) return performance.now() - startedAt;
    if (askedAt - startedAt > withinMs) return undefined;
    await delay(ASK_EVERY_MS, undefined, { signal });
  }
}

/** Whether the app sends this person to the stand-in Okta, which asks for the password. */
export async function asksForPassword({ browser }: Device, { loginUrl }: Site, issuer: string): Promise<boolean> {
  const page = await browser.get(loginUrl);
  return page.url.startsWith(`${issuer}/`) && page.text.includes('type="password"');
}
