/** A worker process killed in the middle of its calls: another one takes them up, as the same calls. */
import { randomUUID } from 'node:crypto';
import { createDataKeys } from '../../src/data-key.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { createRevocationRecords } from '../../src/fanout/record.js';
import { createFolder, type RunningCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'killed').toString('base64')}`;

let database: Database;
let interrupted: TargetApp;
let unheard: TargetApp;
let worker: RunningCommand;

beforeAll(async () => {
  [database, interrupted, unheard] = await Promise.all([openDatabase(), startTargetApp(), startTargetApp()]);
});
afterAll(async () => {
  await worker?.stop();
  await Promise.all([interrupted.close(), unheard.close()]);
  await database.close();
});

it('is replaced within ten seconds: each app is called again, with the same webhook-id, and once more only', async () => {
  const app = (id: string, { url }: TargetApp) => ({ id, connector: 'webhook', options: { url, secret: SECRET } });
  const tenants = [{ id: 'default', apps: [app('interrupted', interrupted), app('unheard', unheard)] }];
  const env = { REDIS_URL: database.url, PORT: '0' };
  worker = startCommand(['serve', '--role', 'worker'], { folder: createFolder({ tenants }), env });
  await worker.listening();

  // One app never answers; the other does, at the very moment at which nobody is left to hear it.
  let killedAt = 0;
  interrupted.answerWith((res, _call, count) => {
    if (count > 1) res.writeHead(204).end();
  });
  unheard.answerWith(async (res, _call, count) => {
    if (count === 1) {
      await eventually(
        () => interrupted.calls.length,
        (calls) => calls === 1,
      );
      await worker.stop();
      killedAt = Date.now();
    }
    res.writeHead(204).end();
  });
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  const enqueue = createEnqueue(database.redis, 'ul', createDataKeys([]));
  await enqueue.add({
    revocationId,
    tenant: 'default',
    trust: 'okta',
    user: '1',
    mode: 'full',
    via: [],
    acceptedAt: Date.now(),
    accounts: [
      { app: 'interrupted', account: 'ada@example.com' },
      { app: 'unheard', account: 'ada@example.com' },
    ],
  });
  await eventually(
    () => killedAt,
    (at) => at > 0,
  );

  // Nobody else takes up what the dead one kept for itself.
  const left = await database.redis.keys('ul:{canary.*');
  const kept = left.filter((key) => /:(meta|id|events)$/.test(key));
  expect(kept).toHaveLength(3);
  for (const key of kept) expect(await database.redis.ttl(key)).toBeGreaterThan(0);

  const successor = await startGateway(
    { tenants },
    { roles: ['worker'], prefix: 'ul', config: { redisUrl: database.url } },
  );
  const records = createRevocationRecords(database.redis, { prefix: 'ul', retentionMs: 60_000 });
  const record = await eventually(
    () => records.read('default', revocationId),
    (seen) => seen?.status === 'completed',
    12_000,
  );
  expect(record?.apps).toMatchObject({ interrupted: { state: 'revoked' }, unheard: { state: 'revoked' } });
  for (const { calls } of [interrupted, unheard]) {
    expect(calls).toHaveLength(2);
    expect((calls[1]?.at ?? 0) - killedAt).toBeLessThan(10_000);
    expect(calls[1]?.headers['webhook-id']).toBe(calls[0]?.headers['webhook-id']);
    expect(JSON.parse(calls[1]?.body ?? '{}').data).toEqual(JSON.parse(calls[0]?.body ?? '{}').data);
  }
  await enqueue.close();
  await successor.close();
});
