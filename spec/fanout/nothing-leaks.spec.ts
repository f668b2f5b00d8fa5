/** A running gateway writes down what happened to whom without naming anybody: log, metrics and audit trail. */
import { setTimeout as delay } from 'node:timers/promises';
import { createDirectory } from '../../src/directory/directory.js';
import { createFolder, type RunningCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL } from '../support/gateway.js';
import { CLIENT, createKey, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { freePort } from '../support/redis-server.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const PATH = '/global-token-revocation';
const SCIM_TOKEN = 'a-scim-token-of-the-specs';
const secretOf = (fill: string) => `whsec_${Buffer.alloc(32, fill).toString('base64')}`;
const secrets = { good: secretOf('good'), echo: secretOf('echo'), dead: secretOf('dead'), alert: secretOf('alert') };

let database: Database;
let okta: Okta;
let good: TargetApp;
let echo: TargetApp;
let serve: RunningCommand;
let url: string;
const jwts: string[] = [];

beforeAll(async () => {
  [database, okta, good, echo] = await Promise.all([openDatabase(), startOkta(), startTargetApp(), startTargetApp()]);
  echo.answerWith((res, { headers, body }, count) =>
    res.writeHead(count % 2 ? 503 : 400, { 'x-echo': String(headers.authorization ?? '') }).end(body),
  );
  const webhook = (id: string, address: string, secret: string) => ({
    id,
    connector: 'webhook',
    options: { url: `${address}?token=url-s3cret`, secret },
  });
  const folder = createFolder({
    tenants: [
      {
        id: 'default',
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        scim: { tokens: [SCIM_TOKEN] },
        apps: [
          webhook('good', good.url, secrets.good),
          webhook('echo', echo.url, secrets.echo),
          webhook('dead', `http://127.0.0.1:${await freePort()}/`, secrets.dead),
          webhook('private', 'https://10.255.255.1/', secrets.dead),
          { id: 'rp', connector: 'oidc-backchannel-logout', options: { url: echo.url, clientId: 'rp' } },
          { id: 'next', connector: 'global-token-revocation', options: { url: echo.url, client: 'gateway' } },
        ],
      },
    ],
    alerts: { webhook: { url: echo.url, secret: secrets.alert } },
  });
  const env = { REDIS_URL: database.url, PORT: '0', LOG_LEVEL: 'trace', ADMIN_TOKEN };
  serve = startCommand(['serve'], { folder, env });
  url = `http://127.0.0.1:${await serve.listening()}`;
  const { put } = createDirectory(database.redis, 'ul', { graceMs: 60_000, now: Date.now });
  await put('default', {
    userName: 'ada.s3cret',
    externalId: '00u1s3cret',
    displayName: 'Ada S3cret',
    emails: [{ value: 'ada.s3cret@example.com' }],
    phoneNumbers: [{ value: '+441632960001' }],
  });
});

afterAll(async () => {
  await serve?.stop();
  await Promise.all([okta.close(), good.close(), echo.close()]);
  await database.close();
});

async function post(
  body: string,
  { jwt, headers = {}, path = PATH }: { jwt?: string; headers?: object; path?: string },
) {
  const signed = jwt ?? (await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH }));
  jwts.push(signed);
  const all = { 'content-type': 'application/json', authorization: `Bearer ${signed}`, ...headers };
  return (await fetch(url + path, { method: 'POST', headers: all, body })).status;
}

const subject = (email: string) => JSON.stringify({ sub_id: { format: 'email', email } });

it('whatever is asked, and however the apps fail', async () => {
  const known = subject('ada.s3cret@example.com');
  const stranger = await createKey('stranger');
  const expected = { issuer: okta.issuer, audience: PUBLIC_URL + PATH };
  const sign = (deviation: Parameters<typeof signRevocation>[2]) => signRevocation(okta.key, expected, deviation);
  expect(await post(known, {})).toBe(204);
  expect(await post(JSON.stringify({ sub_id: { format: 'phone_number', phone_number: '+441632960001' } }), {})).toBe(
    204,
  );
  expect(await post(subject('eve.s3cret@example.com'), {})).toBe(404);
  expect(await post('{"sub_id":{"format":"email","email":"eve.s3cret@example.com","x":1}}', {})).toBe(400);
  expect(await post('{"sub_id":"eve.s3cret@example.com"', {})).toBe(400);
  expect(await post(known, { headers: { 'content-type': 'text/plain; s3cret=1' } })).toBe(415);
  expect(await post(known, { jwt: await sign({ key: stranger }) })).toBe(401);
  expect(await post(known, { jwt: await sign({ claims: { exp: 1 } }) })).toBe(401);
  expect(await post(known, { jwt: await sign({ claims: { sub: 'ada.s3cret@example.com' } }) })).toBe(401);
  expect(await post(known, { headers: { authorization: 'Basic YWRhOnMzY3JldA==' } })).toBe(401);
  expect(await post(known, { path: `${PATH}?access_token=${jwts[0]}` })).toBe(400);
  expect(await post('x'.repeat(20_000), {})).toBe(413);
  expect(await post(known, { path: '/tenants/ada.s3cret@example.com/global-token-revocation' })).toBe(401);
  const api = `${url}/api/revocations`;
  const admin = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };
  expect((await fetch(`${api}?user=ada.s3cret@example.com`, admin)).status).toBe(200);
  expect((await fetch(`${api}?x=ada.s3cret@example.com`, admin)).status).toBe(400);
  expect((await fetch(api, { headers: { authorization: `Bearer ${ADMIN_TOKEN}x` } })).status).toBe(401);
  const scim = { 'content-type': 'application/scim+json', authorization: `Bearer ${SCIM_TOKEN}` };
  const users = (body: object) =>
    fetch(`${url}/scim/v2/Users`, { method: 'POST', headers: scim, body: JSON.stringify(body) });
  expect((await users({ schemas: [], userName: 'ada.s3cret' })).status).toBeGreaterThanOrEqual(400);
  expect((await fetch(`${url}/scim/v2/Users`, { headers: { authorization: `Bearer ${SCIM_TOKEN}x` } })).status).toBe(
    401,
  );

  // Both revocations have been told to every app, and the app that echoes has answered twice.
  await eventually(
    async () => (await (await fetch(api, admin)).json()) as { revocations: { apps: { state: string }[] }[] },
    ({ revocations }) =>
      revocations.length === 2 &&
      revocations.every(({ apps }) => apps.length === 6 && apps.every(({ state }) => state !== 'waiting')),
  );
  await eventually(
    () => echo.calls.length,
    (count) => count >= 8,
  );
  await delay(200);

  const metrics = await (await fetch(`${url}/metrics`)).text();
  const audit = JSON.stringify(await database.redis.xrange('ul:{default}:audit', '-', '+'));
  expect(metrics).toContain('universal_logout_attempts_total{tenant="default",app="good",result="revoked"} 2');
  expect(audit).toContain('account.revoked');
  expect(audit).toContain('revocation.refused');
  for (const msg of ['revocation.accepted', 'revocation.refused', 'account.revoked', 'attempt.failed']) {
    expect(serve.output.stdout).toContain(`"msg":"${msg}"`);
  }

  const sent = [...good.calls, ...echo.calls].flatMap(({ headers, body }) => [
    ...String(headers['webhook-signature'] ?? '').split(' '),
    ...(`${headers.authorization} ${body}`.match(/eyJ[\w.-]+/g) ?? []),
  ]);
  const forbidden = [...Object.values(secrets), ...sent, ...jwts, ADMIN_TOKEN, SCIM_TOKEN, 'YWRhOnMzY3JldA'];
  const places = { stdout: serve.output.stdout, stderr: serve.output.stderr, metrics, audit };
  for (const [place, text] of Object.entries(places)) {
    for (const one of forbidden) if (one) expect([place, text.includes(one)]).toEqual([place, false]);
    expect(text).not.toMatch(/s3cret/i);
    expect(text).not.toMatch(/[\w.+-]+@[\w-]+\.\w+/);
    expect(text).not.toMatch(/eyJ[\w-]{10,}\./);
    expect(text).not.toContain('441632960001');
  }
});
