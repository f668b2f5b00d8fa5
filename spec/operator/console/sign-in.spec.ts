/** How operators come in: at the issuer, with the ADMIN_TOKEN, and every way that must not lead in. */
import { hash, hkdfSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EncryptJWT, type JWTPayload } from 'jose';
import { type Browser, createBrowser, expectVisit } from '../../support/console-browser.js';
import { eventually } from '../../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../../support/gateway.js';
import { CONSOLE_CLIENT, startOperatorsIssuer } from '../../support/operators-issuer.js';

let issuer: Awaited<ReturnType<typeof startOperatorsIssuer>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let browser: Browser;
let ahead = 0;

const settings = (over: object = {}) => ({
  operators: { oidc: { issuer: issuer.issuer, ...CONSOLE_CLIENT, groups: ['SecOps', 'IT'] } },
  tenants: [{ id: 'default' }],
  ...over,
});

beforeAll(async () => {
  issuer = await startOperatorsIssuer(`${PUBLIC_URL}/console/callback`);
  gateway = await startGateway(settings({ limits: { auditedPerMinute: 1_000 } }), {
    roles: ['api'],
    now: () => Date.now() + ahead,
  });
});
afterAll(async () => {
  await gateway.close();
  await issuer.close();
});
beforeEach(async () => {
  const keys = await gateway.redis.keys(`${gateway.prefix}:*`);
  await Promise.all(keys.map((key) => gateway.redis.del(key)));
  Object.assign(issuer.state, { groups: ['SecOps'], claims: (claims: JWTPayload) => claims, isAway: false });
  browser = createBrowser(gateway.url);
});

const OIDC = '/console/sign-in/oidc';
const trail = async () => (await gateway.audit()).map(({ event, operator, reason }) => ({ event, operator, reason }));
const sessionKeys = () => gateway.redis.keys(`${gateway.prefix}:console:session:*`);

/** Whoever has no session is sent to the sign-in page. */
async function expectNobody(who = browser): Promise<void> {
  expect(await sessionKeys()).toEqual([]);
  const visit = await who.get('/console', { follow: false });
  expectVisit('showRevocations', 303, visit);
  expect(visit.location).toBe('/console/sign-in?returnTo=%2Fconsole');
}

async function expectRefused(reason: string): Promise<void> {
  const last = async () => (await trail()).at(-1);
  expect(await eventually(last, (entry) => entry?.event === 'operator.refused')).toMatchObject({ reason });
}

const encoded = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url');

/** What would be good if it were sealed as it should be. */
function sealedWith(secret: string, state: string | null, enc = 'A256GCM'): Promise<string> {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'console sign-in', 32));
  const payload = { state, nonce: 'x', codeVerifier: 'x'.repeat(43), returnTo: '/console', startedAt: Date.now() };
  return new EncryptJWT(payload).setProtectedHeader({ alg: 'dir', enc }).setExpirationTime('5 minutes').encrypt(key);
}

/** Signs in at the issuer, and stops before the browser brings the answer back. */
async function untilCallback(who = browser): Promise<string> {
  let { location } = await who.get(OIDC, { follow: false });
  while (location !== null && !location.startsWith(PUBLIC_URL)) {
    location = (await who.get(new URL(location, issuer.issuer).href, { follow: false })).location;
  }
  return location?.slice(PUBLIC_URL.length) ?? '';
}

describe('at the issuer', () => {
  it('whoever is in a group comes in, to the page that was asked for', async () => {
    const asked = await browser.get('/console/apps');
    expectVisit('askToSignIn', 200, asked);
    const link = asked.page.querySelector('main a')?.getAttribute('href');
    expect(link).toBe(`${OIDC}?returnTo=%2Fconsole%2Fapps`);

    const visit = await browser.get(link as string);
    expect(visit.url).toBe(`${PUBLIC_URL}/console/apps`);
    expect(visit.page.querySelector('.who')?.text).toContain('00u1operator');
    const [session, ...others] = await browser.cookies();
    expect(others).toEqual([]);
    expect(session).toMatchObject({
      key: '__Host-ul_console',
      secure: true,
      httpOnly: true,
      sameSite: 'lax',
      path: '/',
    });
    expect(session?.value).toMatch(/^[\w-]{43}$/);
    expect(JSON.stringify(await gateway.state())).not.toContain(session?.value);
    expect(await trail()).toEqual([{ event: 'operator.signed_in', operator: 'oidc:00u1operator', reason: undefined }]);
  });

  it('is asked with PKCE, state and nonce, for no more than groups', async () => {
    const visit = await browser.get(OIDC, { follow: false });
    expectVisit('signInAtIssuer', 303, visit);
    const { searchParams } = new URL(visit.location as string);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      ...{ response_type: 'code', code_challenge_method: 'S256', scope: 'openid groups' },
      redirect_uri: `${PUBLIC_URL}/console/callback`,
    });
    for (const name of ['state', 'nonce', 'code_challenge']) expect(searchParams.get(name)?.length).toBeGreaterThan(40);
    const cookie = visit.headers.get('set-cookie');
    expect(cookie).toMatch(
      /^__Host-ul_console_sign_in_[\w-]{8}=[\w.-]+; Max-Age=600; Path=\/; .*HttpOnly; Secure; SameSite=Lax$/,
    );
    expect(cookie).not.toContain(searchParams.get('state'));
    // Whoever begins has nothing kept.
    expect(await gateway.redis.keys(`${gateway.prefix}:console:*`)).toEqual([]);
  });

  it('is gone to and come back from in two tabs at once, and another site ends neither', async () => {
    const one = await untilCallback();
    const other = await untilCallback();
    const [cookie] = await browser.cookies();
    expect(await browser.cookies()).toHaveLength(2);
    // Also where the one of another sign-in stands under the name that it looks for.
    await browser.setCookie(
      `__Host-ul_console_sign_in_${hash('sha256', 'y', 'base64url').slice(0, 8)}`,
      cookie?.value ?? '',
    );
    for (const query of ['code=x&state=y', 'code=x', new URL(one, PUBLIC_URL).search.replace('state=', 'state=x')]) {
      expectVisit('finishSignIn', 400, await browser.get(`/console/callback?${query}`));
    }
    expect((await browser.get(one)).url).toBe(`${PUBLIC_URL}/console`);
    expect((await browser.get(other)).url).toBe(`${PUBLIC_URL}/console`);
    const left = (await browser.cookies()).map(({ key, value }) => value !== cookie?.value && key);
    expect(left.filter(Boolean)).toEqual(['__Host-ul_console']);
  });

  it('is gone to so often as a browser can carry, and for a path so long as a cookie may be', async () => {
    const long = `/console/audit?event=${'x'.repeat(979)}`;
    for (let count = 0; count < 12; count += 1) {
      await browser.get(`${OIDC}?${new URLSearchParams({ returnTo: long })}`, { follow: false });
      const all = (await browser.cookies()).join('; ');
      expect(all.length).toBeLessThan(12_000);
    }
    expect((await browser.get('/console/sign-in')).status).toBe(200);
    const shown = await browser.get(`/console/sign-in?${new URLSearchParams({ returnTo: `${long}x` })}`);
    expect(shown.page.querySelector('main a')?.getAttribute('href')).toBe(`${OIDC}?returnTo=%2Fconsole`);
  });

  it('is believed where it tells the groups by userinfo alone, as Okta does', async () => {
    issuer.state.claims = ({ groups: _, ...claims }) => claims;
    expect((await browser.get(OIDC)).status).toBe(200);
    expect(issuer.state.requests.join()).toContain('/me');
    expect(await sessionKeys()).toHaveLength(1);
  });

  it.each<[string, unknown, string, string]>([
    ['is in another group', ['Sales', 'secops'], 'not_in_group', 'SecOps, IT, and you are not'],
    ['is in no group', [], 'not_in_group', 'SecOps, IT, and you are not'],
    ['has no groups claim', undefined, 'no_groups_claim', 'needs a groups claim'],
    ['has a groups claim that is no list', 'SecOps', 'no_groups_claim', 'needs a groups claim'],
    ['has a list of other things', [{ name: 'SecOps' }], 'no_groups_claim', 'needs a groups claim'],
  ])('who %s is told what is missing, and is not let in', async (_what, groups, reason, words) => {
    issuer.state.groups = groups;
    const visit = await browser.get(OIDC);
    expectVisit('finishSignIn', 403, visit);
    expect(visit.page.querySelector('[role=alert]')?.text).toContain(words);
    await expectNobody();
    expect(await trail()).toEqual([{ event: 'operator.refused', operator: 'oidc:00u1operator', reason }]);
  });

  it.each<[string, (claims: JWTPayload) => JWTPayload]>([
    ['the nonce of another sign-in', (claims) => ({ ...claims, nonce: 'x'.repeat(43) })],
    ['no nonce', ({ nonce: _, ...claims }) => claims],
    ['another issuer', (claims) => ({ ...claims, iss: 'https://evil.example.com' })],
    ['another audience', (claims) => ({ ...claims, aud: 'another-app' })],
    ['an end that has passed', (claims) => ({ ...claims, exp: 1_000 })],
    ['no subject', ({ sub: _, ...claims }) => claims],
    ['an empty subject', (claims) => ({ ...claims, sub: '' })],
    ['a subject of 256 characters', (claims) => ({ ...claims, sub: 'x'.repeat(256) })],
    ['a subject of two lines', (claims) => ({ ...claims, sub: '00u1\noperator' })],
  ])('an ID token with %s lets nobody in', async (_what, claims) => {
    issuer.state.claims = claims;
    expectVisit('finishSignIn', 403, await browser.get(OIDC));
    await expectNobody();
    expect(await trail()).toEqual([{ event: 'operator.refused', operator: undefined, reason: 'not_confirmed' }]);
  });

  it('an ID token that somebody else has signed lets nobody in', async () => {
    issuer.state.signsWithAnotherKey = true;
    const visit = await browser.get(OIDC);
    issuer.state.signsWithAnotherKey = false;
    expectVisit('finishSignIn', 403, visit);
    await expectNobody();
  });

  it.each<[string, (callback: URL) => void]>([
    ['another code', ({ searchParams }) => searchParams.set('code', 'x'.repeat(43))],
    ['no code', ({ searchParams }) => searchParams.delete('code')],
    ['another issuer', ({ searchParams }) => searchParams.set('iss', 'https://evil.example.com')],
    ['a refusal', ({ searchParams }) => searchParams.set('error', 'access_denied')],
  ])('an answer with %s lets nobody in, and ends the sign-in', async (_what, change) => {
    const good = await untilCallback();
    const callback = new URL(good, PUBLIC_URL);
    change(callback);
    expectVisit('finishSignIn', 403, await browser.get(callback.href));
    expectVisit('finishSignIn', 400, await browser.get(good));
    await expectNobody();
  });

  it('an answer is good once, in the browser that asked, for ten minutes', async () => {
    const callback = await untilCallback();
    const stranger = createBrowser(gateway.url);
    expectVisit('finishSignIn', 400, await stranger.get(callback));
    await expectNobody(stranger);
    expect((await browser.get(callback)).status).toBe(200);
    expectVisit('finishSignIn', 400, await browser.get(callback));

    expect(await sessionKeys()).toHaveLength(1);

    const late = createBrowser(gateway.url);
    for (const [ms, status] of [
      [599_000, 200],
      [601_000, 400],
    ] as const) {
      const another = await untilCallback(late);
      ahead = ms;
      expect((await late.get(another)).status).toBe(status);
      ahead = 0;
    }
  });

  it('an answer is good once, also for whoever has kept the cookie', async () => {
    const callback = await untilCallback();
    const [kept] = await browser.cookies();
    expect((await browser.get(callback)).status).toBe(200);
    const thief = createBrowser(gateway.url);
    await thief.setCookie(kept?.key ?? '', kept?.value ?? '');
    expectVisit('finishSignIn', 400, await thief.get(callback));
    await expectRefused('no_such_sign_in');
  });

  it.each<[string, (sealed: string, state: string | null) => string | Promise<string>]>([
    ['is empty', () => ''],
    ['is not sealed', () => 'x'],
    ['is changed', (sealed) => sealed.slice(0, -3) + (sealed.endsWith('AAA') ? 'BBB' : 'AAA')],
    ['says that it is not encrypted', (sealed) => sealed.replace(/^[^.]*/, encoded({ alg: 'none' }))],
    ['is sealed with another key', (_, state) => sealedWith('another-secret', state)],
    ['is sealed in another way', (_, state) => sealedWith(CONSOLE_CLIENT.clientSecret, state, 'A128CBC-HS256')],
  ])('a cookie that %s lets nobody in', async (_what, change) => {
    const callback = await untilCallback();
    const [cookie] = await browser.cookies();
    await browser.setCookie(
      cookie?.key ?? '',
      await change(cookie?.value ?? '', new URL(callback, PUBLIC_URL).searchParams.get('state')),
    );
    expectVisit('finishSignIn', 400, await browser.get(callback));
    await expectNobody();
  });

  it('is sealed by one process and opened by another', async () => {
    const own = await startGateway(settings(), { roles: ['api'], prefix: gateway.prefix });
    try {
      const callback = await untilCallback();
      const another = createBrowser(own.url);
      for (const { key, value } of await browser.cookies()) await another.setCookie(key, value);
      expect((await another.get(callback)).url).toBe(`${PUBLIC_URL}/console`);
      expectVisit('finishSignIn', 400, await browser.get(callback));
    } finally {
      await own.close();
    }
  });

  it('says in its own word why it does not confirm a sign-in', async () => {
    const other = { clientId: CONSOLE_CLIENT.clientId, clientSecret: 'another-secret' };
    const its = { issuer: issuer.issuer, ...other, groups: ['SecOps'] };
    const own = await startGateway({ operators: { oidc: its }, tenants: [{ id: 'default' }] }, { roles: ['api'] });
    try {
      const visit = await createBrowser(own.url).get(OIDC);
      expectVisit('finishSignIn', 403, visit);
      expect(visit.page.querySelector('[role=alert]')?.text).toContain('(invalid_client)');
    } finally {
      await own.close();
    }
  });

  it.each(['javascript:alert(1)', 'no address', undefined])(
    'that leads browsers nowhere is none [%s]',
    async (endpoint) => {
      const server = createServer((_req, res) => {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        res.setHeader('content-type', 'application/json');
        res.end(JSON.stringify({ issuer: url, authorization_endpoint: endpoint, token_endpoint: `${url}/token` }));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const its = {
        issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        ...CONSOLE_CLIENT,
        groups: ['SecOps'],
      };
      const own = await startGateway({ operators: { oidc: its }, tenants: [{ id: 'default' }] }, { roles: ['api'] });
      try {
        expectVisit('signInAtIssuer', 503, await createBrowser(own.url).get(OIDC, { follow: false }));
      } finally {
        await own.close();
        server.close();
        server.closeAllConnections();
      }
    },
  );

  it('that calls itself otherwise than the settings do is not one', async () => {
    const its = { issuer: issuer.issuer.replace('127.0.0.1', 'localhost'), ...CONSOLE_CLIENT, groups: ['SecOps'] };
    const own = await startGateway({ operators: { oidc: its }, tenants: [{ id: 'default' }] }, { roles: ['api'] });
    try {
      const visit = await createBrowser(own.url).get(OIDC);
      expectVisit('signInAtIssuer', 503, visit);
      expect(visit.page.querySelector('[role=alert]')?.text).toContain('another than the settings say');
    } finally {
      await own.close();
    }
  });

  it.each([
    'https://evil.example.com/console',
    '//evil.example.com/console',
    '/\\evil.example.com/console',
    'javascript:alert(1)',
    '/api/apps',
    '/console/../api/apps',
    '/consoles',
    '\n/console',
    'https:/console',
  ])('leads back nowhere but into the console [%s]', async (returnTo) => {
    for (const start of [`${OIDC}?${new URLSearchParams({ returnTo })}`]) {
      const visit = await browser.get(start);
      expect(visit.url).toBe(`${PUBLIC_URL}/console`);
    }
    const signedIn = await browser.get(`/console/sign-in?${new URLSearchParams({ returnTo })}`);
    expect(signedIn.location).toBe('/console');
  });

  it('that is out of reach is a 503 that says so, the ADMIN_TOKEN still opens, and it works again by itself', async () => {
    const own = await startGateway(settings(), { roles: ['api'] });
    try {
      browser = createBrowser(own.url);
      issuer.state.isAway = true;
      const visit = await browser.get(OIDC);
      expectVisit('signInAtIssuer', 503, visit);
      expect(visit.page.querySelector('[role=alert]')?.text).toContain('issuer of operators.oidc is out of reach');
      const asked = await browser.get('/console/sign-in');
      const glass = asked.page.querySelectorAll('main a').find(({ text }) => text.includes('break glass'));
      const form = await browser.get(glass?.getAttribute('href') ?? '');
      expect(form.page.querySelector('input[name=token]')?.getAttribute('type')).toBe('password');
      expect((await browser.signInWithToken(ADMIN_TOKEN)).url).toBe(`${PUBLIC_URL}/console`);
      issuer.state.isAway = false;
      browser = createBrowser(own.url);
      expect((await browser.get(OIDC)).url).toBe(`${PUBLIC_URL}/console`);
      // Between the two steps.
      const another = createBrowser(own.url);
      const callback = await untilCallback(another);
      issuer.state.isAway = true;
      expectVisit('finishSignIn', 503, await another.get(callback));
    } finally {
      await own.close();
    }
  });
});

describe('with the ADMIN_TOKEN', () => {
  it('whoever has it comes in, with another session each time, and the one before is over', async () => {
    expectVisit(
      'signInWithToken',
      303,
      await browser.post('/console/sign-in', { token: ADMIN_TOKEN }, { follow: false }),
    );
    const [first] = await browser.cookies();
    await browser.signInWithToken(ADMIN_TOKEN);
    const [second] = await browser.cookies();
    expect(second?.value).not.toBe(first?.value);
    expect(await sessionKeys()).toHaveLength(1);
    await browser.setCookie('__Host-ul_console', first?.value ?? '');
    expect((await browser.get('/console', { follow: false })).status).toBe(303);
    expect(await trail()).toEqual([
      { event: 'operator.signed_in', operator: 'ADMIN_TOKEN', reason: undefined },
      { event: 'operator.signed_in', operator: 'ADMIN_TOKEN', reason: undefined },
    ]);
  });

  it.each([
    ['another one', { token: 'another-admin-token-of-the-specs' }],
    ['a part of it', { token: ADMIN_TOKEN.slice(0, -1) }],
    ['more than it', { token: `${ADMIN_TOKEN}x` }],
    ['an empty one', { token: '' }],
    ['none', {}],
    ['the word undefined', { token: 'undefined' }],
  ])('nobody comes in with %s', async (_what, form) => {
    const visit = await browser.post('/console/sign-in', form as Record<string, string>);
    expectVisit('signInWithToken', 401, visit);
    const alert = visit.page.querySelector('[role=alert]');
    expect(alert?.text).toBe('That is not the ADMIN_TOKEN.');
    const { autofocus, 'aria-describedby': describedBy } =
      visit.page.querySelector('input[name=token]')?.attributes ?? {};
    expect([autofocus, describedBy]).toEqual([expect.any(String), alert?.id]);
    await expectNobody();
    expect(await trail()).toEqual([{ event: 'operator.refused', operator: undefined, reason: 'wrong_token' }]);
    expect(visit.text).not.toContain(ADMIN_TOKEN.slice(0, -1));
  });

  it('nobody comes in from another site, and a large form is not read', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' };
    expectVisit('signInWithToken', 403, await browser.post('/console/sign-in', { token: ADMIN_TOKEN }, { headers }));
    expectVisit('signInWithToken', 413, await browser.post('/console/sign-in', { token: 'x'.repeat(5_000) }));
    await expectNobody();
  });

  it('guesses and wrong answers are counted, beginnings are not: a flood behind one proxy shuts nobody out', async () => {
    const own = await startGateway(settings({ limits: { refusedPerMinute: 3, auditedPerMinute: 1 } }), {
      roles: ['api'],
    });
    try {
      browser = createBrowser(own.url);
      for (let count = 0; count < 2; count += 1) {
        expect((await browser.post('/console/sign-in', { token: 'x' })).status).toBe(401);
      }
      for (let count = 0; count < 4; count += 1) {
        expectVisit('signInAtIssuer', 303, await browser.get(OIDC, { follow: false }));
      }
      expectVisit('finishSignIn', 400, await browser.get('/console/callback?code=x&state=x'));
      expectVisit('finishSignIn', 429, await browser.get('/console/callback?code=x&state=x'));
      expectVisit('signInWithToken', 429, await browser.post('/console/sign-in', { token: 'x' }));
      expect((await own.audit()).filter(({ event }) => event === 'operator.refused')).toHaveLength(1);
      for (const who of [createBrowser(own.url), browser]) {
        expect((await who.get(OIDC)).url).toBe(`${PUBLIC_URL}/console`);
      }
      // Whom the issuer has vouched for is told and noted, however many strangers there are.
      issuer.state.groups = [];
      expectVisit('finishSignIn', 403, await createBrowser(own.url).get(OIDC));
      const noted = async () => (await own.audit()).filter(({ event }) => event === 'operator.refused');
      await eventually(noted, (all) => all.length === 2);
      expect((await noted()).at(-1)).toMatchObject({ operator: 'oidc:00u1operator', reason: 'not_in_group' });
    } finally {
      await own.close();
    }
  });
});

it('where no way in is set, the page says what to set, and nobody comes in', async () => {
  const own = await startGateway(
    { tenants: [{ id: 'default' }] },
    { roles: ['api'], config: { adminToken: undefined } },
  );
  try {
    browser = createBrowser(own.url);
    const { page } = await browser.get('/console/sign-in');
    expect(page.querySelector('main')?.text).toMatch(/operators: oidc:.*ADMIN_TOKEN/s);
    for (const token of ['', 'undefined', ADMIN_TOKEN]) {
      expect((await browser.post('/console/sign-in', { token })).status).toBe(401);
    }
    expectVisit('signInAtIssuer', 404, await browser.get(OIDC));
    expectVisit('finishSignIn', 404, await browser.get('/console/callback?code=x&state=x'));
    expect((await browser.get('/console', { follow: false })).status).toBe(303);
  } finally {
    await own.close();
  }
});
