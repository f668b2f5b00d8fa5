/** Whoever wants to know that a revocation is over is told: by a webhook, or by a CAEP SET that jose verifies. */
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../support/gateway.js';
import { mismatches } from '../support/openapi.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'events').toString('base64')}`;
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const BEARER = 'a-bearer-token-of-the-receiver';

let app: TargetApp;
let hook: TargetApp;
let caep: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;

beforeEach(async () => {
  [app, hook, caep] = await Promise.all([startTargetApp(), startTargetApp(), startTargetApp(answer(202))]);
  const target = { url: caep.url, audience: 'https://receiver.example.com', bearer: BEARER };
  gateway = await startGateway({
    tenants: [
      {
        id: 'default',
        apps: [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } }],
        events: [
          { id: 'hook', webhook: { url: hook.url, secret: SECRET } },
          { id: 'caep', caep: target },
          { id: 'opaque', caep: { ...target, subject: 'opaque' } },
        ],
      },
      { id: 'acme', events: [{ id: 'other', webhook: { url: hook.url, secret: SECRET } }] },
    ],
  });
  await gateway.directory.put('default', { userName: 'ada', externalId: '00u1ada', emails: ['ada@example.com'] });
});
afterEach(async () => {
  await gateway.close();
  await Promise.all([app.close(), hook.close(), caep.close()]);
});

async function revoke(): Promise<string> {
  const response = await fetch(`${gateway.url}/api/revocations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    body: JSON.stringify({ userName: 'ada' }),
  });
  return ((await response.json()) as { revocationId: string }).revocationId;
}

const calls = (of: TargetApp, count: number) =>
  eventually(
    () => of.calls,
    (seen) => seen.length >= count,
    15_000,
  );

const verified = ({ body, headers }: TargetApp['calls'][number]) =>
  new Webhook(SECRET).verify(body, headers as never) as { type: string; data: object };

it('tells a completed revocation to every receiver of its tenant, once', async () => {
  const revocationId = await revoke();
  const [call] = await calls(hook, 1);
  const message = verified(call as TargetApp['calls'][number]);
  expect(message).toMatchObject({
    type: 'revocation.completed',
    data: { revocationId, tenant: 'default', apps: [{ app: 'intranet', state: 'revoked' }] },
  });
  const schema = '/webhooks/revocation.completed/post/requestBody/content/application~1json/schema';
  expect(mismatches(schema, message)).toEqual([]);
  expect(call?.body).not.toContain('@');

  const sets = await calls(caep, 2);
  const keys = createRemoteJWKSet(new URL(`${gateway.url}/.well-known/jwks.json`));
  const subjects = await Promise.all(
    sets.map(async ({ body, headers, method }) => {
      expect(method).toBe('POST');
      expect(headers).toMatchObject({
        'content-type': 'application/secevent+jwt',
        accept: 'application/json',
        authorization: `Bearer ${BEARER}`,
      });
      const { payload } = await jwtVerify(body, keys, {
        ...{ issuer: PUBLIC_URL, audience: 'https://receiver.example.com', typ: 'secevent+jwt' },
        algorithms: ['RS256'],
      });
      // RFC 8417 §2.2, §4.2: no `sub` and no `exp`, lest it be taken for a login.
      expect(Object.keys(payload).sort((a, b) => a.localeCompare(b))).toEqual([
        'aud',
        'events',
        'iat',
        'iss',
        'jti',
        'sub_id',
        'txn',
      ]);
      expect(payload.txn).toBe(revocationId);
      const { [SESSION_REVOKED]: event } = payload.events as Record<string, { event_timestamp: number }>;
      expect(event).toEqual({ event_timestamp: expect.any(Number), initiating_entity: 'admin' });
      return payload.sub_id as { format: string };
    }),
  );
  expect(subjects.toSorted((a, b) => a.format.localeCompare(b.format))).toEqual([
    { format: 'email', email: 'ada@example.com' },
    { format: 'opaque', id: '00u1ada' },
  ]);
  await new Promise((done) => setTimeout(done, 500));
  expect([hook.calls.length, caep.calls.length]).toEqual([1, 2]);
});

it('tells a webhook of a failure, and no CAEP receiver that sessions are revoked which may live on', async () => {
  app.answerWith(answer(400));
  await revoke();
  const [call] = await calls(hook, 1);
  expect(verified(call as TargetApp['calls'][number])).toMatchObject({
    type: 'revocation.failed',
    data: { apps: [{ app: 'intranet', state: 'failed' }] },
  });
  await new Promise((done) => setTimeout(done, 500));
  expect(caep.calls).toEqual([]);
});

it('tells again, with the same ids, until it is heard', async () => {
  hook.answerWith((res, _call, count) => res.writeHead(count === 1 ? 503 : 204).end());
  caep.answerWith((res, _call, count) => res.writeHead(count <= 2 ? 500 : 202).end());
  await revoke();
  const [first, second] = await calls(hook, 2);
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
  const sets = await calls(caep, 4);
  const jti = ({ body }: { body: string }) =>
    JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString()).jti as string;
  expect(new Set(sets.map(jti)).size).toBe(1);
});

it('keeps persons out of its jobs', async () => {
  for (const one of [hook, caep]) one.answerWith(answer(503));
  await revoke();
  await calls(caep, 2);
  for (const key of await gateway.redis.keys(`${gateway.prefix}:{events.*`)) {
    if ((await gateway.redis.type(key)) !== 'hash') continue;
    expect(JSON.stringify(await gateway.redis.hgetall(key))).not.toMatch(/ada|00u1/);
  }
});
