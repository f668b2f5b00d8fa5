/** Operators hear of an app that was not reached: signed, once for each failure, and naming nobody. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { startAlerts } from '../../src/fanout/alert.js';
import { createOutbound } from '../../src/outbound/outbound.js';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';
import { CLIENT, signRevocation, startOkta } from '../support/okta.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'alerts').toString('base64')}`;

let operators: TargetApp;

beforeAll(async () => {
  operators = await startTargetApp();
});
beforeEach(() => {
  operators.calls.length = 0;
  operators.answerWith(answer(204));
});
afterAll(() => operators.close());

const verified = ({ headers, body }: TargetApp['calls'][number]) => new Webhook(SECRET).verify(body, headers as never);

it('says which app of which tenant was not reached, why, and after how many attempts', async () => {
  const [okta, app] = await Promise.all([startOkta(), startTargetApp(answer(400))]);
  const gateway = await startGateway({
    tenants: [
      {
        id: 'default',
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        apps: [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } }],
      },
    ],
    alerts: { webhook: { url: operators.url, secret: SECRET } },
  });
  await gateway.directory.put('default', { userName: 'ada', emails: ['ada@example.com'] });
  const endpoint = '/global-token-revocation';
  const audience = gateway.config.settings.publicUrl + endpoint;
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience });
  await fetch(gateway.url + endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email: 'ada@example.com' } }),
  });
  const [call] = await eventually(
    () => operators.calls,
    (calls) => calls.length === 1,
  );
  const [{ revocationId } = { revocationId: '' }] = (await gateway.audit()).filter(
    ({ event }) => event === 'job.failed',
  );
  expect(verified(call as TargetApp['calls'][number])).toEqual({
    type: 'job.failed',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    data: { tenant: 'default', app: 'intranet', revocationId, reason: 'refused', attempts: 1 },
  });
  expect(call?.body).not.toContain('@');
  await gateway.close();
  await Promise.all([okta.close(), app.close()]);
});

it('says each failure once, and again until it is heard', async () => {
  const redis = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
  const { send, close } = createOutbound({ allowNetworks: ['127.0.0.0/8'] });
  const prefix = `spec-${randomUUID().slice(0, 8)}`;
  const errors: Error[] = [];
  const target = { url: operators.url, secret: SECRET };
  const onError = (error: Error) => errors.push(error);
  const alerts = startAlerts({ connection: redis, prefix, target, send, now: Date.now, onError });
  operators.answerWith((res, _call, count) => res.writeHead(count === 1 ? 503 : 204).end());
  const alert = {
    type: 'job.failed',
    tenant: 'default',
    app: 'intranet',
    revocationId: 'rev_1',
    reason: 'server',
    attempts: 9,
    at: Date.now(),
  } as const;
  await Promise.all([alerts.raise(alert), alerts.raise(alert)]);
  await alerts.raise({ ...alert, app: 'wiki' });
  const calls = await eventually(
    () => operators.calls,
    (seen) => seen.length === 3,
  );
  const told = calls.map((call) => (verified(call) as { data: { app: string } }).data.app);
  expect(told.toSorted((a, b) => a.localeCompare(b))).toEqual(['intranet', 'intranet', 'wiki']);
  const ids = calls.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(2);
  expect(errors.map(({ message }) => message)).toEqual(['alert: POST to alerts.webhook answered 503']);
  await alerts.stop();
  await alerts.close();
  await close();
  await redis.del(await redis.keys(`${prefix}:*`));
  redis.disconnect();
});
