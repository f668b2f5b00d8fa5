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

describe('of a revocation that failed and is retried', () => {
  // The event may be out before the queue of the app knows that its job has failed.
  const retry = (revocationId: string) =>
    eventually(
      async () => {
        const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
        const answered = await fetch(`${gateway.url}/api/revocations/${revocationId}/retry`, {
          method: 'POST',
          headers,
        });
        return (await answered.json()) as { apps: { result: string }[] };
      },
      ({ apps }) => apps.some(({ result }) => result === 'retried'),
    );
  const heard: { type: string; id: string; states: string[] }[] = [];
  let deaf: boolean;
  let unheard: number;
  beforeEach(() => {
    heard.length = 0;
    unheard = 0;
    deaf = false;
    app.answerWith(answer(400));
    hook.answerWith((res, call) => {
      const { type, data } = verified(call) as { type: string; data: { apps: { state: string }[] } };
      const states = data.apps.map(({ state }) => state);
      if (deaf) unheard += 1;
      else heard.push({ type, id: String(call.headers['webhook-id']), states });
      res.writeHead(deaf ? 503 : 204).end();
    });
  });

  const types = () => heard.map(({ type }) => type);
  const hears = (...expected: string[]) =>
    eventually(types, (seen) => JSON.stringify(seen) === JSON.stringify(expected.map((one) => `revocation.${one}`)));
  const missed = () =>
    eventually(
      () => unheard,
      (count) => count === 1,
    );
  // The first repeat comes after a second, a quarter more or less.
  const repeated = () => new Promise((done) => setTimeout(done, 1_500));

  it('a receiver that was away hears nothing while it is not over, and then how it ended', async () => {
    let release = () => {};
    deaf = true;
    const revocationId = await revoke();
    await missed();
    app.answerWith((res) => {
      release = () => res.writeHead(204).end();
    });
    await retry(revocationId);
    await calls(app, 2);
    deaf = false;
    await repeated();
    expect(heard).toEqual([]);
    release();
    await hears('completed');
    await calls(caep, 2);
  });

  it('a receiver that was away hears of no failure after the success', async () => {
    deaf = true;
    const revocationId = await revoke();
    await missed();
    app.answerWith(answer(204));
    deaf = false;
    await retry(revocationId);
    await hears('completed');
    await repeated();
    expect(heard).toEqual([expect.objectContaining({ type: 'revocation.completed', states: ['revoked'] })]);
  });

  it('a receiver that was away hears of two failures once', async () => {
    deaf = true;
    const revocationId = await revoke();
    await missed();
    await retry(revocationId);
    await calls(app, 2);
    deaf = false;
    await hears('failed');
    await repeated();
    expect(types()).toEqual(['revocation.failed']);
  });

  it('a receiver that heard of the failure hears how the retry ended, each under an id of its own', async () => {
    const revocationId = await revoke();
    await hears('failed');
    await retry(revocationId);
    await hears('failed', 'failed');
    app.answerWith(answer(204));
    await retry(revocationId);
    await hears('failed', 'failed', 'completed');
    expect(new Set(heard.map(({ id }) => id)).size).toBe(3);
    expect(heard.map(({ states }) => states)).toEqual([['failed'], ['failed'], ['revoked']]);
  });
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
