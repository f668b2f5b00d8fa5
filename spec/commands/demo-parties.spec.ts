/** The demo's parties without the gateway: people sign in for real, and each app ends sessions only when rightly told to. */
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { calculateJwkThumbprint, createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { Webhook } from 'standardwebhooks';
import { createBrowser } from '../../src/commands/demo/browser.js';
import { startOkta } from '../../src/commands/demo/okta.js';
import { startShop } from '../../src/commands/demo/shop.js';
import type { startWiki } from '../../src/commands/demo/wiki.js';

const ada = { id: '00u1ada', email: 'ada@example.com', name: 'Ada', password: 'ada-s password' };
const grace = { id: '00u2grace', email: 'grace@example.com', name: 'Grace', password: 'grace-s password' };
const wikiClient = { clientId: '0oa1wiki', clientSecret: randomBytes(16).toString('hex') };
const shopClient = { clientId: '0oa2shop', clientSecret: randomBytes(16).toString('hex') };
const webhookSecret = `whsec_${randomBytes(24).toString('base64')}`;

const gatewayKey = await createKey();
let okta: Awaited<ReturnType<typeof startOkta>>;
let wiki: Awaited<ReturnType<typeof startWikiProcess>>;
let shop: Awaited<ReturnType<typeof startShop>>;
let gatewayAnswers = true;

beforeAll(async () => {
  okta = await startOkta({
    port: 0,
    apps: [],
    people: [ada, grace],
    gatewayJwks: async () => {
      if (!gatewayAnswers) throw new Error('the gateway is not up');
      return { keys: [gatewayKey.publicJwk] };
    },
  });
  wiki = await startWikiProcess({ port: 0, issuer: okta.issuer, ...wikiClient });
  shop = await startShop({ port: 0, issuer: okta.issuer, ...shopClient, webhookSecret });
  await okta.addApp({ ...wikiClient, redirectUris: [wiki.redirectUri] });
  await okta.addApp({ ...shopClient, redirectUris: [shop.redirectUri] });
});

afterAll(() => Promise.all([wiki.close(), shop.close(), okta.close()]));

describe('signing in', () => {
  it('asks for the password once, and the second app lets the person in by the session at Okta', async () => {
    const browser = createBrowser();
    await browser.signIn({ startUrl: wiki.loginUrl, ...ada });
    expect((await browser.get(`${wiki.url}/`)).text).toContain('Signed in as ada@example.com');

    const page = await browser.get(shop.loginUrl);
    expect(page.url).toBe(`${shop.url}/`);
    expect(page.text).toContain('Signed in as ada@example.com');
    expect(await me(browser, wiki)).toEqual({ status: 200, signedIn: true, email: ada.email });
    expect(await me(browser, shop)).toEqual({ status: 200, signedIn: true, email: ada.email });
  });

  it('refuses a wrong password, on a page that can be filled in again', async () => {
    const browser = createBrowser();
    await expect(browser.signIn({ startUrl: wiki.loginUrl, ...ada, password: 'wrong' })).rejects.toThrow('401');
    const page = await browser.submit({ email: ada.email, password: ada.password });
    expect(page.text).toContain('Signed in as ada@example.com');
  });

  it('asks for the password again once the sessions at Okta are cleared', async () => {
    const browser = await signedIn(grace);
    okta.clearSessions(grace.id);
    expect((await browser.get(wiki.loginUrl)).text).toContain('type="password"');
  });

  it('shows a page, not a stack, for a sign-in that nobody started', async () => {
    const page = await createBrowser().get(`${okta.issuer}/login/unknown`);
    expect(page.status).toBe(400);
    expect(page.text).toContain('Please start again');
    expect(page.text).not.toContain('node_modules');
  });

  it('refuses an authorization request without PKCE', async () => {
    const query = new URLSearchParams({
      client_id: wikiClient.clientId,
      redirect_uri: wiki.redirectUri,
      response_type: 'code',
      scope: 'openid',
    });
    const response = await fetch(`${okta.issuer}/oauth2/v1/authorize?${query}`, { redirect: 'manual' });
    expect(response.headers.get('location')).toContain('error=invalid_request');
  });
});

describe('the keys of the stand-in Okta', () => {
  it('are its own and the gateway’s, however often they are asked for', async () => {
    for (let time = 0; time < 3; time++) {
      const { keys } = (await (await fetch(okta.jwksUri)).json()) as { keys: { kid: string; d?: string }[] };
      expect(keys).toHaveLength(2);
      expect(keys[1]?.kid).toBe(gatewayKey.kid);
      expect(keys.some(({ d }) => d)).toBe(false);
    }
  });

  it('are still its own while the gateway does not answer', async () => {
    gatewayAnswers = false;
    const { keys } = (await (await fetch(okta.jwksUri)).json()) as { keys: unknown[] };
    gatewayAnswers = true;
    expect(keys).toHaveLength(1);
  });

  it('sign a revocation JWT in Okta’s profile', async () => {
    const audience = 'https://logout.example.com/global-token-revocation';
    const jwt = await okta.signRevocation({ audience, client: '0oa1example' });
    const { payload, protectedHeader } = await jwtVerify(jwt, createRemoteJWKSet(new URL(okta.jwksUri)), {
      issuer: okta.issuer,
      audience,
      typ: 'global-token-revocation+jwt',
      algorithms: ['RS256'],
    });
    expect(protectedHeader).toEqual({ typ: 'global-token-revocation+jwt', alg: 'RS256', kid: expect.any(String) });
    expect(protectedHeader.kid).not.toBe(gatewayKey.kid);
    const { iat = 0, exp = 0, nbf = 0 } = payload;
    expect(payload).toEqual({
      jti: expect.any(String),
      iss: okta.issuer,
      sub: '0oa1example',
      aud: audience,
      iat,
      exp: iat + 300,
      nbf: iat - 300,
    });
    expect([exp, nbf]).not.toContain(0);
  });
});

describe('the wiki’s back-channel logout', () => {
  it('ends all sessions of the person that a logout token names by `sub` alone, and nobody else’s', async () => {
    const [laptop, phone, other] = [await signedIn(ada), await signedIn(ada), await signedIn(grace)];
    expect(await postLogoutToken(await logoutToken({ sub: ada.id }))).toBe(204);
    expect(await me(laptop, wiki)).toEqual({ status: 401, signedIn: false });
    expect(await me(phone, wiki)).toEqual({ status: 401, signedIn: false });
    expect((await laptop.get(`${wiki.url}/`)).text).toContain('Signed out');
    expect((await me(other, wiki)).status).toBe(200);
    expect((await me(laptop, shop)).status).toBe(200);
  });

  it('leaves the sessions of before ended when the person signs in again', async () => {
    const [laptop, phone] = [await signedIn(ada), await signedIn(ada)];
    await postLogoutToken(await logoutToken({ sub: ada.id }));
    await laptop.signIn({ startUrl: wiki.loginUrl, ...ada });
    expect((await me(laptop, wiki)).status).toBe(200);
    expect((await me(phone, wiki)).status).toBe(401);
  });

  it.each([
    ['signed by a key that is not published', async () => logoutToken({ sub: ada.id }, await createKey())],
    [
      'signed by another key under the kid of the gateway',
      async () => logoutToken({ sub: ada.id }, { ...(await createKey()), kid: gatewayKey.kid }),
    ],
    ['for another client', () => logoutToken({ sub: ada.id, aud: shopClient.clientId })],
    ['from another issuer', () => logoutToken({ sub: ada.id, iss: wiki.url })],
    ['without the event', () => logoutToken({ sub: ada.id, events: {} })],
    ['with a nonce', () => logoutToken({ sub: ada.id, nonce: 'n' })],
    ['that names nobody', () => logoutToken({})],
    ['that is no JWT', async () => 'no.jwt.here'],
  ])('refuses a logout token %s, and the session lives', async (_variant, token) => {
    const browser = await signedIn(ada);
    expect(await postLogoutToken(await token())).toBe(400);
    expect((await me(browser, wiki)).status).toBe(200);
  });
});

describe('the shop’s webhook', () => {
  it('ends all sessions of the account that a signed message names, and nobody else’s', async () => {
    const [laptop, phone, other] = [await signedIn(ada), await signedIn(ada), await signedIn(grace)];
    expect(await postWebhook(message('Ada@example.com'))).toBe(204);
    expect(await me(laptop, shop)).toEqual({ status: 401, signedIn: false });
    expect(await me(phone, shop)).toEqual({ status: 401, signedIn: false });
    expect((await me(other, shop)).status).toBe(200);
    expect((await me(laptop, wiki)).status).toBe(200);

    await laptop.signIn({ startUrl: shop.loginUrl, ...ada });
    expect((await me(laptop, shop)).status).toBe(200);
    expect((await me(phone, shop)).status).toBe(401);
  });

  it('accepts a message about somebody it does not know', async () => {
    expect(await postWebhook(message('nobody@example.com'))).toBe(204);
  });

  it.each([
    ['signed with another secret', () => sign(message(ada.email), `whsec_${randomBytes(24).toString('base64')}`)],
    ['changed after it was signed', () => ({ ...sign(message(grace.email)), body: message(ada.email) })],
    ['signed ten minutes ago', () => sign(message(ada.email), webhookSecret, new Date(Date.now() - 600_000))],
    ['without headers', () => ({ headers: {}, body: message(ada.email) })],
    ['without a body', () => ({ ...sign(''), body: '' })],
    ['that is not JSON', () => sign('{')],
    ['of another type', () => sign(JSON.stringify({ ...JSON.parse(message(ada.email)), type: 'user.created' }))],
  ])('refuses a message %s, and the session lives', async (_variant, signed) => {
    const browser = await signedIn(ada);
    expect(await postSigned(signed())).toEqual({ status: 400, error: expect.any(String) });
    expect((await me(browser, shop)).status).toBe(200);
  });
});

/** In a process of its own: express-openid-connect requires ES modules, which jest's module system refuses on Node 20. */
async function startWikiProcess(options: Parameters<typeof startWiki>[0]) {
  const program = `
    import { startWiki } from './dist/commands/demo/wiki.js';
    const wiki = await startWiki(${JSON.stringify(options)});
    process.stdin.on('end', wiki.close).resume();
    console.log(JSON.stringify(wiki));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: new URL('../..', import.meta.url),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), exit]);
  const close = async () => {
    child.stdin.end();
    await exit;
  };
  return { ...(JSON.parse(line) as Omit<Awaited<ReturnType<typeof startWiki>>, 'close'>), close };
}

type Browser = ReturnType<typeof createBrowser>;

async function signedIn(person: typeof ada): Promise<Browser> {
  const browser = createBrowser();
  await browser.signIn({ startUrl: wiki.loginUrl, ...person });
  await browser.signIn({ startUrl: shop.loginUrl, ...person });
  expect([(await me(browser, wiki)).status, (await me(browser, shop)).status]).toEqual([200, 200]);
  return browser;
}

async function me(browser: Browser, app: { url: string }) {
  const { status, text } = await browser.get(`${app.url}/me`);
  return { status, ...(JSON.parse(text) as { signedIn: boolean; email?: string }) };
}

async function createKey() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, privateKey, publicJwk: { ...jwk, kid, alg: 'RS256', use: 'sig' } };
}

async function logoutToken(claims: Record<string, unknown>, { kid, privateKey } = gatewayKey): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({
    iss: okta.issuer,
    aud: wikiClient.clientId,
    iat: now,
    exp: now + 120,
    jti: randomUUID(),
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid })
    .sign(privateKey);
}

async function postLogoutToken(token: string): Promise<number> {
  const body = new URLSearchParams({ logout_token: token });
  return (await fetch(wiki.backchannelLogoutUrl, { method: 'POST', body })).status;
}

function message(account: string): string {
  return JSON.stringify({
    type: 'revocation.requested',
    timestamp: new Date().toISOString(),
    data: { revocationId: randomUUID(), tenant: 'default', app: 'shop', account, mode: 'full' },
  });
}

function sign(body: string, secret = webhookSecret, at = new Date()) {
  const id = `msg_${randomUUID()}`;
  const headers: Record<string, string> = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
  return { headers, body };
}

async function postWebhook(body: string): Promise<number> {
  return (await postSigned(sign(body))).status;
}

async function postSigned({ headers, body }: { headers: Record<string, string>; body: string }) {
  const response = await fetch(shop.webhookUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  const text = await response.text();
  return { status: response.status, ...(text && (JSON.parse(text) as { error: string })) };
}
