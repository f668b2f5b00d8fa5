/** Console sessions: how long they live, what ends them, what they are good for, and that no other site can use them. */
import { createHash } from 'node:crypto';
import request from 'supertest';
import { whyOutOfReach } from '../../../src/operator/places.js';
import { type Browser, createBrowser, expectVisit } from '../../support/console-browser.js';
import { expectDocumented } from '../../support/documented.js';
import { ADMIN_TOKEN, configOf, PUBLIC_URL, startGateway } from '../../support/gateway.js';
import { CONSOLE_CLIENT, startOperatorsIssuer } from '../../support/operators-issuer.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const OIDC = '/console/sign-in/oidc';
const COOKIE = '__Host-ul_console';

let issuer: Awaited<ReturnType<typeof startOperatorsIssuer>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let browser: Browser;
let ahead = 0;
const now = () => Date.now() + ahead;

const settings = (groups = ['SecOps']) => ({
  operators: { oidc: { issuer: issuer.issuer, ...CONSOLE_CLIENT, groups } },
  tenants: [
    { id: 'default', apps: [{ id: 'intranet', connector: 'webhook', options: { url: `${issuer.issuer}/`, secret } }] },
    {
      id: 'acme',
      trusts: [{ id: 'okta', issuers: [issuer.issuer], client: '0oa1', keys: { discovery: issuer.issuer } }],
    },
  ],
});
const secret = `whsec_${Buffer.alloc(24, 'console').toString('base64')}`;

beforeAll(async () => {
  issuer = await startOperatorsIssuer(`${PUBLIC_URL}/console/callback`);
  gateway = await startGateway(settings(), { roles: ['api'], now });
  for (const tenant of ['default', 'acme']) {
    await gateway.directory.put(tenant, { userName: 'ada', externalId: issuer.state.sub });
    await gateway.directory.put(tenant, { userName: 'grace', externalId: '00u2' });
  }
});
afterAll(async () => {
  await gateway.close();
  await issuer.close();
});
beforeEach(() => {
  ahead = 0;
  browser = createBrowser(gateway.url);
});

const isIn = async (who = browser) => (await who.get('/console/apps', { follow: false })).status === 200;
const idOf = async (who = browser) => (await who.cookies()).find(({ key }) => key === COOKIE)?.value ?? '';
const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };

async function revoke(tenant: string, userName: string): Promise<void> {
  const order = request(gateway.url).post('/api/revocations').set(bearer);
  expect((await order.send(JSON.stringify({ tenant, userName }))).status).toBe(202);
}

describe('a session is over', () => {
  it('after an hour without use, and not before', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    ahead = 59 * MINUTE;
    expect(await isIn()).toBe(true);
    ahead += 59 * MINUTE;
    expect(await isIn()).toBe(true);
    ahead += 60 * MINUTE;
    expect(await isIn()).toBe(false);
  });

  it('after eight hours, however much it is used', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    for (; ahead < 8 * HOUR; ahead += 40 * MINUTE) expect(await isIn()).toBe(true);
    ahead = 8 * HOUR - MINUTE;
    expect(await isIn()).toBe(true);
    ahead = 8 * HOUR + 1;
    expect(await isIn()).toBe(false);
  });

  it('although a page renews itself all the time', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    for (ahead = 0; ahead < 60 * MINUTE; ahead += 20 * MINUTE) {
      expect((await browser.get('/console/apps?live', { follow: false })).status).toBe(200);
    }
    ahead = 61 * MINUTE;
    expect(await isIn()).toBe(false);
  });

  it('in Redis too, where only its hash is', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const hash = createHash('sha256')
      .update(await idOf())
      .digest('base64url');
    const key = `${gateway.prefix}:console:session:${hash}`;
    expect(await gateway.redis.pttl(key)).toBeLessThanOrEqual(HOUR);
    await isIn();
    expect(await gateway.redis.pttl(key)).toBeGreaterThan(HOUR - MINUTE);
    await browser.post('/console/sign-out');
    expect(await gateway.redis.exists(key)).toBe(0);
  });

  it('after signing out, also for whoever has kept the cookie', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const kept = await idOf();
    const out = await browser.post('/console/sign-out', {}, { follow: false });
    expectVisit('signOut', 303, out);
    expect(out.location).toBe('/console/sign-in');
    expect(await idOf()).toBe('');
    await browser.setCookie(COOKIE, kept);
    expect(await isIn()).toBe(false);
    expect((await gateway.audit()).at(-1)).toMatchObject({ event: 'operator.signed_out', operator: 'ADMIN_TOKEN' });
    // Once more, without one.
    expectVisit('signOut', 303, await browser.post('/console/sign-out', {}, { follow: false }));
  });

  it('when what let it in is no longer in the settings', async () => {
    const before = await startGateway(settings(), { roles: ['api'] });
    const config = { adminToken: 'a-new-admin-token-of-the-specs' };
    const after = await startGateway(settings(['IT']), { roles: ['api'], prefix: before.prefix, config });
    try {
      const byToken = createBrowser(before.url);
      await byToken.signInWithToken(ADMIN_TOKEN);
      const byIssuer = createBrowser(before.url);
      await byIssuer.get(OIDC);
      for (const one of [byToken, byIssuer]) {
        const headers = { cookie: `${COOKIE}=${await idOf(one)}` };
        expect(await isIn(one)).toBe(true);
        expect((await request(after.url).get('/console/apps').set(headers)).status).toBe(303);
        expect((await request(after.url).get('/api/apps').set(headers)).status).toBe(401);
      }
    } finally {
      await after.close();
      await before.close();
    }
  });
});

it('a stream that a session has opened ends with it', async () => {
  await browser.signInWithToken(ADMIN_TOKEN);
  // Nobody works here, so that it goes on.
  await gateway.directory.put('default', { userName: 'alan', emails: ['alan@example.com'] });
  const order = request(gateway.url).post('/api/revocations').set(bearer);
  const { revocationId } = (await order.send(JSON.stringify({ tenant: 'default', userName: 'alan' }))).body;
  const headers = { cookie: `${COOKIE}=${await idOf()}` };
  const stream = await fetch(`${gateway.url}/api/revocations/${revocationId}/events`, { headers });
  expect(stream.status).toBe(200);
  ahead = 61 * MINUTE;
  expect(await stream.text()).not.toContain('event: end');
}, 15_000);

describe('a universal logout of the operator', () => {
  it('ends the console session too, and not that of anybody else', async () => {
    const token = createBrowser(gateway.url);
    await token.signInWithToken(ADMIN_TOKEN);
    await browser.get(OIDC);
    // Whom the issuer has no word in; and somebody else.
    await revoke('default', 'ada');
    await revoke('acme', 'grace');
    expect(await isIn()).toBe(true);
    const kept = await idOf();
    await revoke('acme', 'ada');
    expect(await isIn()).toBe(false);
    expect(await isIn(token)).toBe(true);
    expect((await gateway.audit()).at(-1)).toEqual({
      ...{ event: 'operator.signed_out', tenant: '_', reason: 'revoked', operator: `oidc:${issuer.state.sub}` },
    });
    const hash = createHash('sha256').update(kept).digest('base64url');
    expect(await gateway.redis.exists(`${gateway.prefix}:console:session:${hash}`)).toBe(0);
    // Whoever may come in anew does.
    ahead += 1;
    await browser.get(OIDC);
    expect(await isIn()).toBe(true);
  });

  it('ends a sign-in that was begun before it', async () => {
    let { location } = await browser.get(OIDC, { follow: false });
    while (location !== null && !location.startsWith(PUBLIC_URL)) {
      location = (await browser.get(new URL(location, issuer.issuer).href, { follow: false })).location;
    }
    ahead += 10;
    await revoke('acme', 'ada');
    ahead += 10;
    expectVisit('finishSignIn', 303, await browser.get(location ?? '', { follow: false }));
    expect(await isIn()).toBe(false);
  });
});

describe('an operator whom the directory knows', () => {
  const put = (tenant: string, externalId: string, active = true) =>
    gateway.directory.put(tenant, { userName: externalId, externalId, active });
  const remove = async (externalId: string) =>
    gateway.directory.users.remove('acme', (await put('acme', externalId)).user);

  it.each<[string, string, (sub: string) => Promise<unknown>, boolean]>([
    ['as active', '00u3', (sub) => put('acme', sub), true],
    ['as deactivated', '00u4', (sub) => put('acme', sub, false), false],
    ['as deactivated where the issuer has no word', '00u5', (sub) => put('default', sub, false), true],
    ['as deleted', '00u6', remove, false],
    ['as deleted, and come back since', '00u7', (sub) => remove(sub).then(() => put('acme', sub)), true],
  ])('%s goes on, or not', async (_what, sub, change, goesOn) => {
    issuer.state.sub = sub;
    await browser.get(OIDC);
    issuer.state.sub = '00u1operator';
    expect(await isIn()).toBe(true);
    await change(sub);
    expect(await isIn()).toBe(goesOn);
    if (goesOn) return;
    const entry = { event: 'operator.signed_out', tenant: '_', reason: 'deactivated', operator: `oidc:${sub}` };
    expect((await gateway.audit()).at(-1)).toEqual(entry);
  });
});

describe('an issuer that trusts call otherwise', () => {
  const custom = 'https://acme.okta.com';

  it.each([
    ['reaches the console where the settings say so', [custom], false, undefined],
    ['does not where they do not, and it is told', [], true, /does not end the operator's console session/],
    ['nor where they name others', ['https://b.okta.com'], true, /does not end the operator's console session/],
  ])('%s', async (_what, subjectIssuers, goesOn, told) => {
    const before = settings();
    const trust = { id: 'okta', issuers: [`${custom}/`], client: '0oa1', keys: { discovery: custom } };
    const oidc = { ...before.operators.oidc, subjectIssuers };
    const itself = { operators: { oidc }, tenants: [{ id: 'acme', trusts: [trust] }] };
    const own = await startGateway(itself, { roles: ['api'], now });
    try {
      const why = whyOutOfReach(own.config.settings);
      if (told) expect(why).toMatch(told);
      else expect(why).toBeUndefined();
      await own.directory.put('acme', { userName: 'ada', externalId: issuer.state.sub });
      const other = createBrowser(own.url);
      await other.get(OIDC);
      const order = request(own.url).post('/api/revocations').set(bearer);
      expect((await order.send(JSON.stringify({ tenant: 'acme', userName: 'ada' }))).status).toBe(202);
      expect(await isIn(other)).toBe(goesOn);
    } finally {
      await own.close();
    }
  });

  it('is nothing to tell of where nobody comes in by an issuer', () => {
    expect(whyOutOfReach(configOf({ tenants: [{ id: 'default' }] }).settings)).toBeUndefined();
  });
});

describe('whoever writes into Redis', () => {
  type Stored = { who: object; createdAt: number; usedAt: number; proof?: string };

  it.each<[string, (stored: Stored) => Stored]>([
    ['somebody else has it', (stored) => ({ ...stored, who: { by: 'oidc', sub: '00u2' } })],
    ['it is younger', (stored) => ({ ...stored, createdAt: stored.createdAt + 1 })],
    ['it is that of the ADMIN_TOKEN', (stored) => ({ ...stored, who: { by: 'token' } })],
    ['it has no proof', ({ proof: _, ...stored }) => stored],
    ['it has another proof', (stored) => ({ ...stored, proof: 'A'.repeat(43) })],
    ['it has a short proof', (stored) => ({ ...stored, proof: '' })],
  ])('cannot have a session say that %s', async (_what, change) => {
    await browser.get(OIDC);
    const hash = createHash('sha256').update(await idOf());
    const key = `${gateway.prefix}:console:session:${hash.digest('base64url')}`;
    const stored = (await gateway.redis.get(key)) as string;
    await gateway.redis.set(key, JSON.stringify(change(JSON.parse(stored))));
    expect(await isIn()).toBe(false);
    await gateway.redis.set(key, stored);
    expect(await isIn()).toBe(true);
  });

  it('cannot make one by a way in that is not in the settings', async () => {
    const own = await startGateway(settings(), { roles: ['api'], config: { adminToken: undefined } });
    try {
      const key = `${own.prefix}:console:session:${createHash('sha256').update('x').digest('base64url')}`;
      await own.redis.set(key, JSON.stringify({ who: { by: 'token' }, createdAt: Date.now(), usedAt: Date.now() }));
      const response = await request(own.url)
        .get('/console/apps')
        .set({ cookie: `${COOKIE}=x` });
      expect(response.status).toBe(303);
    } finally {
      await own.close();
    }
  });
});

it('what the API answers, or refuses, is kept by no cache', async () => {
  await browser.signInWithToken(ADMIN_TOKEN);
  const cookie = `${COOKIE}=${await idOf()}`;
  for (const path of ['/api/users', '/api/audit', '/api/none', '/api/sessions/valid-after']) {
    for (const headers of [{ cookie }, bearer, {}]) {
      expect((await request(gateway.url).get(path).set(headers)).headers['cache-control']).toBe('no-store');
    }
  }
});

describe('guesses at the ADMIN_TOKEN', () => {
  it('are counted and noted wherever they are made, and the right one is let in all the same', async () => {
    const limits = { refusedPerMinute: 4, auditedPerMinute: 3 };
    const own = await startGateway({ ...settings(), limits }, { roles: ['api'] });
    const ask = (path: string, authorization: string) => request(own.url).get(path).set({ authorization });
    const valid = '/api/sessions/valid-after?userName=ada';
    try {
      for (const authorization of ['Bearer wrong', 'Basic eDp4']) {
        expectDocumented('listApps', 401, await ask('/api/apps', authorization), 'invalid_token');
        expectDocumented('readValidAfter', 401, await ask(valid, authorization), 'invalid_token');
      }
      expectDocumented('listApps', 429, await ask('/api/apps', 'Bearer wrong'), 'too_many_requests');
      expectDocumented('readValidAfter', 429, await ask(valid, 'Bearer wrong'), 'too_many_requests');
      expectDocumented('listApps', 200, await ask('/api/apps', bearer.authorization));
      expectDocumented('readValidAfter', 200, await ask(valid, bearer.authorization));
      // Who shows nothing guesses nothing.
      expectDocumented('listApps', 401, await request(own.url).get('/api/apps'), 'invalid_token');
      const entry = { event: 'operator.refused', tenant: '_', status: '401', reason: 'wrong_token' };
      expect(await own.audit()).toEqual([entry, entry, entry]);
    } finally {
      await own.close();
    }
  });
});

describe('a cookie that is no session', () => {
  it.each(['', 'x', 'A'.repeat(43), 'undefined', '*', '%00', '../x'])('opens nothing [%s]', async (value) => {
    const headers = { cookie: `${COOKIE}=${value}` };
    expect((await request(gateway.url).get('/console').set(headers)).status).toBe(303);
    expectDocumented('listApps', 401, await request(gateway.url).get('/api/apps').set(headers), 'invalid_token');
  });

  it('is also the hash that Redis has, and the id under another name', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const id = await idOf();
    const [key = ''] = await gateway.redis.keys(`${gateway.prefix}:console:session:*`);
    for (const cookie of [
      `${COOKIE}=${key.split(':').at(-1)}`,
      `ul_console=${id}`,
      `__Host-ul_console_sign_in=${id}`,
    ]) {
      expect((await request(gateway.url).get('/console').set({ cookie })).status).toBe(303);
    }
  });
});

describe('who has no session', () => {
  it.each([
    ['/console', 'showRevocations'],
    ['/console/apps', 'showApps'],
    ['/console/users', 'showPeople'],
    ['/console/users/1', 'showPerson'],
    ['/console/users/1/sign-out', 'askToSignOut'],
    ['/console/audit?event=x', 'showAudit'],
    ['/console/revocations/rev_1', 'showRevocation'],
  ])('is asked to sign in, and comes back [%s]', async (path, operation) => {
    const visit = await browser.get(path, { follow: false });
    expectVisit(operation, 303, visit);
    expect(visit.location).toBe(`/console/sign-in?${new URLSearchParams({ returnTo: path })}`);
  });

  it.each([
    ['/console/apps/default/intranet/pause', 'pauseAppFromConsole'],
    ['/console/apps/default/intranet/resume', 'resumeAppFromConsole'],
    ['/console/apps/default/intranet/retry', 'retryAppFromConsole'],
    ['/console/apps/default/intranet/check', 'checkAppFromConsole'],
    ['/console/revocations/rev_1/retry', 'retryFromConsole'],
    ['/console/users/1/sign-out', 'signOutEverywhere'],
  ])('changes nothing [%s]', async (path, operation) => {
    const before = await gateway.state();
    expectVisit(operation, 401, await browser.post(path));
    // A bearer is for the API alone.
    expect((await browser.post(path, {}, { headers: bearer })).status).toBe(401);
    expect(await gateway.state()).toEqual(before);
  });
});

describe('another site', () => {
  const own = { 'sec-fetch-site': 'same-origin' };
  const foreign: [string, Record<string, string>][] = [
    ['says itself to be another', { 'sec-fetch-site': 'cross-site' }],
    ['is a sibling', { 'sec-fetch-site': 'same-site' }],
    ['is nobody', { 'sec-fetch-site': 'none' }],
    ['says nothing', {}],
    ['has another origin', { origin: 'https://evil.example.com' }],
    ['has the origin of the host that it asks', { host: 'evil.example.com', origin: 'https://evil.example.com' }],
    ['has our host over plain http', { origin: PUBLIC_URL.replace('https', 'http') }],
    ['has no origin', { origin: 'null' }],
    ['has another port', { origin: 'http://127.0.0.1:1' }],
    ['lies in one of two', { 'sec-fetch-site': 'cross-site', origin: PUBLIC_URL }],
  ];

  it.each(foreign)('that %s cannot use the session', async (_what, headers) => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const all = { ...headers, cookie: `${COOKIE}=${await idOf()}` };
    const post = (path: string) => request(gateway.url).post(path).set(all).send('');
    for (const path of ['/console/apps/default/intranet/pause', '/console/users/1/sign-out', '/console/sign-out']) {
      const response = await post(path);
      expect(response.status).toBe(403);
      expect(response.headers['content-type']).toMatch(/^text\/html/);
    }
    expectDocumented('pauseApp', 403, await post('/api/apps/default/intranet/pause'), 'cross_site');
    expectDocumented('startRevocation', 403, await post('/api/revocations'), 'cross_site');
    expect(await isIn()).toBe(true);
    const { apps } = (await request(gateway.url).get('/api/apps').set(bearer)).body;
    expect(apps).toMatchObject([{ state: 'moving' }]);
  });

  it('keeps no session alive by what it is refused', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    ahead = 59 * MINUTE;
    const headers = { 'sec-fetch-site': 'cross-site', cookie: `${COOKIE}=${await idOf()}` };
    expect((await request(gateway.url).post('/api/revocations').set(headers).send('')).status).toBe(403);
    ahead = 61 * MINUTE;
    expect(await isIn()).toBe(false);
  });

  it('is not what our own pages are, also where the browser names only the origin', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const cookie = `${COOKIE}=${await idOf()}`;
    for (const headers of [own, { origin: PUBLIC_URL }]) {
      const path = '/api/apps/default/intranet/resume';
      expectDocumented(
        'resumeApp',
        200,
        await request(gateway.url)
          .post(path)
          .set({ ...headers, cookie }),
      );
    }
    expectDocumented('listApps', 200, await request(gateway.url).get('/api/apps').set({ cookie }));
    expect((await gateway.audit()).at(-1)).toMatchObject({ event: 'app.resumed', operator: 'ADMIN_TOKEN' });
  });

  it('a wrong token is not made good by a session', async () => {
    await browser.signInWithToken(ADMIN_TOKEN);
    const cookie = `${COOKIE}=${await idOf()}`;
    const response = await request(gateway.url).get('/api/apps').set({ cookie, authorization: 'Bearer wrong' });
    expectDocumented('listApps', 401, response, 'invalid_token');
  });
});
