/** The guard beside express-openid-connect, from the package as apps get it: who was logged out has to give the password again. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import request from 'supertest';
import { createBrowser } from '../src/commands/demo/browser.js';
import { startOkta } from '../src/commands/demo/okta.js';
import { ADMIN_TOKEN, startGateway } from './support/gateway.js';

const TOKEN = 'a-sessions-token-of-the-specs';
const ada = { id: '00u1ada', email: 'ada@example.com', name: 'Ada', password: 'ada-s password' };
const grace = { id: '00u2grace', email: 'grace@example.com', name: 'Grace', password: 'grace-s password' };
const client = { clientId: '0oa1site', clientSecret: randomBytes(16).toString('hex') };

let okta: Awaited<ReturnType<typeof startOkta>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let site: Awaited<ReturnType<typeof startSite>>;

beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: 'default', sessions: { tokens: [TOKEN] } }] }, { roles: ['api'] });
  for (const { id, email } of [ada, grace]) {
    await gateway.directory.put('default', { userName: email, externalId: id, emails: [email] });
  }
  okta = await startOkta({ port: 0, apps: [], people: [ada, grace], gatewayJwks: async () => ({ keys: [] }) });
  site = await startSite();
  await okta.addApp({ ...client, redirectUris: [`${site.url}/callback`] });
});

afterAll(async () => {
  await site.close();
  await okta.close();
  await gateway.close();
});

type Browser = ReturnType<typeof createBrowser>;

/** An ID token counts in whole seconds: a login in the second of the logout is taken for an older one. */
const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1_000 - (Date.now() % 1_000)));

async function signedIn(person: typeof ada): Promise<Browser> {
  await nextSecond();
  const browser = createBrowser();
  await browser.signIn({ startUrl: `${site.url}/login`, ...person });
  expect((await browser.get(`${site.url}/me`)).text).toBe(person.email);
  return browser;
}

async function logOut({ email }: typeof ada): Promise<void> {
  const order = request(gateway.url).post('/api/revocations').set('authorization', `Bearer ${ADMIN_TOKEN}`);
  expect((await order.send({ email })).status).toBe(202);
}

const asksForPassword = (text: string) => text.includes('type="password"');

it('who was logged out is asked for the password, on every device, although the session at Okta lives on', async () => {
  const devices = [await signedIn(ada), await signedIn(ada)];
  const other = await signedIn(grace);
  await logOut(ada);
  for (const browser of devices) {
    expect(asksForPassword((await browser.get(`${site.url}/me`)).text)).toBe(true);
    expect((await browser.get(`${site.url}/me`)).text).toBe('nobody');
    await nextSecond();
    // The session at Okta would let the person in without a password; but that login is the old one.
    expect(asksForPassword((await browser.get(`${site.url}/login`)).text)).toBe(true);
  }
  expect((await other.get(`${site.url}/me`)).text).toBe(grace.email);
});

it('the password, given again, leads back to the page, and the new session is good', async () => {
  const browser = await signedIn(ada);
  await logOut(ada);
  await nextSecond();
  await browser.get(`${site.url}/me?page=7`);
  const page = await browser.submit({ email: ada.email, password: ada.password });
  expect(page).toEqual({ url: `${site.url}/me?page=7`, status: 200, text: ada.email });
  expect((await browser.get(`${site.url}/me`)).text).toBe(ada.email);
});

it('a wrong password leads nowhere', async () => {
  const browser = await signedIn(grace);
  await logOut(grace);
  await browser.get(`${site.url}/me`);
  expect((await browser.submit({ email: grace.email, password: 'wrong' })).status).toBe(401);
  expect((await browser.get(`${site.url}/me`)).text).toBe('nobody');
});

it('a cookie that somebody has kept is refused for ever: the login is older, whoever shows it', async () => {
  const cookie = await cookieOf(ada);
  const me = (method: 'get' | 'post', accept: string) =>
    request(site.url)[method]('/me').set('cookie', cookie).set('accept', accept);
  expect((await me('get', 'text/html')).text).toBe(ada.email);
  await logOut(ada);
  for (let time = 0; time < 2; time += 1) {
    const response = await me('get', 'text/html');
    expect(response.status).toBe(302);
    const login = new URL(response.headers.location as string);
    expect(login.origin).toBe(okta.issuer);
    expect(Object.fromEntries(login.searchParams)).toMatchObject({ prompt: 'login', max_age: '0' });
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers['set-cookie']).toContainEqual(expect.stringMatching(/^appSession=;/));
  }
  // A script, and whoever sends something, cannot follow to a login page.
  for (const response of [await me('get', 'application/json'), await me('post', 'text/html')]) {
    expect(response.status).toBe(401);
    expect(response.body).toMatchObject({ code: 'session_ended' });
  }
});

it('nobody who is signed out is guarded', async () => {
  const response = await request(site.url).get('/me');
  expect([response.status, response.text]).toEqual([200, 'nobody']);
});

/** The session of a new login, as a thief would have it. */
async function cookieOf({ email, password }: typeof ada): Promise<string> {
  await nextSecond();
  const browser = createBrowser();
  await browser.signIn({ startUrl: `${site.url}/login`, email, password });
  const { text } = await browser.get(`${site.url}/cookie`);
  expect(text).toMatch(/^appSession=./);
  return text;
}

/** A process of its own, since express-openid-connect cannot be loaded here. */
async function startSite() {
  const auth = {
    issuerBaseURL: okta.issuer,
    clientID: client.clientId,
    clientSecret: client.clientSecret,
    secret: randomBytes(32).toString('base64url'),
    authRequired: false,
    // So that the ID token says when the password was given, and not only when the token was made.
    authorizationParams: { response_type: 'code', scope: 'openid email profile', max_age: 86_400 },
    idTokenSigningAlg: 'RS256',
    enableTelemetry: false,
  };
  const guard = { gateway: gateway.url, token: TOKEN, prefix: gateway.prefix, cacheMs: 0 };
  const program = `
    import { createServer } from 'node:http';
    import express from 'express';
    import oidc from 'express-openid-connect';
    import { openIdConnect, sessionGuard } from 'universal-logout/session-guard';
    const site = express();
    const server = createServer(site).listen(0, '127.0.0.1', () => {
      const url = 'http://127.0.0.1:' + server.address().port;
      site.use(oidc.auth({ baseURL: url, ...${JSON.stringify(auth)} }));
      site.use(sessionGuard({ ...${JSON.stringify(guard)}, ...openIdConnect() }));
      site.get('/', (req, res) => res.type('text').send('front page'));
      site.all('/me', (req, res) => res.type('text').send(req.oidc.user?.email ?? 'nobody'));
      site.get('/cookie', (req, res) => res.type('text').send(/appSession=[^;]*/.exec(req.headers.cookie)[0]));
      process.stdin.on('end', () => process.exit()).resume();
      console.log(url);
    });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: new URL('..', import.meta.url),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const [url] = await Promise.race([once(createInterface(child.stdout), 'line'), exit]);
  return {
    url: String(url),
    async close() {
      child.stdin.end();
      await exit;
    },
  };
}
