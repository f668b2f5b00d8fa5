/** An attempt that is no longer the last one of its job says nothing any more, and nobody joins a job that is done. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Beginning, type Blame, type BreakerSettings, createAttempts } from '../../src/fanout/attempt.js';
import { digestOf, type Revocation } from '../../src/fanout/job.js';
import { tenantKeys } from '../../src/fanout/keys.js';
import { type AppState, createRevocationRecords } from '../../src/fanout/record.js';

const RETENTION_MS = 60_000;
const LEASE_MS = 5_000;
const ACCOUNT = 'ada@example.com';
const BREAKER: BreakerSettings = { failureRatio: 0.7, minimumCalls: 10, window: 300_000, openFor: 300 };
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const records = createRevocationRecords(redis, { prefix, retentionMs: RETENTION_MS });
const attempts = createAttempts(redis, { prefix, retentionMs: RETENTION_MS });

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

let tenant: string;
beforeEach(() => {
  tenant = `t-${randomUUID().slice(0, 8)}`;
});

type Opened = Revocation & { job: string | undefined };

async function open({ user = 'ada', acceptedAt = Date.now() } = {}): Promise<Opened> {
  const revocation: Revocation = {
    ...{ revocationId: `rev_${randomUUID().replaceAll('-', '')}`, tenant, trust: 'okta', user, mode: 'full' },
    ...{ via: [], acceptedAt, accounts: [{ app: 'intranet', account: ACCOUNT }] },
  };
  const [job] = await records.open(revocation);
  return { ...revocation, job };
}

const place = (revocation: Revocation) => ({
  ...{ tenant, app: 'intranet', job: revocation.revocationId, digest: digestOf(revocation, ACCOUNT) },
});

const begin = (revocation: Revocation) => attempts.begin({ ...place(revocation), leaseMs: LEASE_MS });

/** The attempt that this `begin` answered ends. */
function end(
  revocation: Revocation,
  begun: Beginning,
  state: AppState,
  more: { blame?: Blame; retryAfterMs?: number } = {},
) {
  if (begun.verdict !== 'go') throw new Error(`it may not call: ${begun.verdict}`);
  const { blame = state === 'revoked' ? 'good' : 'bad', retryAfterMs } = more;
  const audit = { event: 'account.revoked' as const, tenant, user: revocation.user, app: 'intranet' };
  return attempts.end(
    { ...place(revocation), call: begun.call, members: begun.members, joinable: true },
    { state, attempts: begun.call, at: Date.now() },
    { blame, breaker: BREAKER, audit, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  );
}

const stateOf = async ({ revocationId }: Revocation) =>
  (await records.read(tenant, revocationId))?.apps.intranet?.state;
const accountKey = (revocation: Revocation) =>
  tenantKeys(prefix, tenant).account('intranet', digestOf(revocation, ACCOUNT));
const ids = (...revocations: Revocation[]) => revocations.map(({ revocationId }) => revocationId);

describe('a worker that was halted in a call, while another one made the same call', () => {
  it.each<AppState>(['retrying', 'failed', 'waiting', 'revoked'])(
    'says “%s” too late: nothing changes, and whoever is logged out next is called for',
    async (late) => {
      const first = await open();
      const halted = await begin(first);
      const other = await begin(first);
      expect(await end(first, other, 'revoked')).toMatchObject({ stale: false, statuses: ['completed'] });
      expect(await end(first, halted, late)).toMatchObject({ stale: true, statuses: [''], moved: false, breaker: '' });
      expect(await stateOf(first)).toBe('revoked');
      const [next, nextToo] = [await open(), await open()];
      expect([next.job, nextToo.job]).toEqual([next.revocationId, next.revocationId]);
      const begun = await begin(next);
      expect(begun).toMatchObject({ verdict: 'go', members: ids(next, nextToo) });
      await end(next, begun, 'revoked');
      expect([await stateOf(next), await stateOf(nextToo)]).toEqual(['revoked', 'revoked']);
    },
  );

  it.each<AppState>(['retrying', 'failed', 'revoked'])(
    'says “%s” while the other is in the call: the job cannot be joined, and the other’s word counts',
    async (early) => {
      const first = await open();
      const halted = await begin(first);
      const other = await begin(first);
      expect(await end(first, halted, early)).toMatchObject({ stale: true });
      expect(await stateOf(first)).toBe('waiting');
      const next = await open();
      expect(next.job).toBe(next.revocationId);
      expect(await begin(next)).toMatchObject({ verdict: 'busy' });
      await end(first, other, 'revoked');
      expect(await begin(next)).toMatchObject({ verdict: 'go', members: ids(next) });
    },
  );

  it('takes no failure back: what is to be tried again is tried again', async () => {
    const first = await open();
    const halted = await begin(first);
    await end(first, await begin(first), 'retrying');
    expect(await end(first, halted, 'revoked')).toMatchObject({ stale: true });
    expect(await stateOf(first)).toBe('retrying');
    expect(await begin(first)).toMatchObject({ verdict: 'go', call: 3 });
  });

  it('is not what a failover makes of a call whose beginning it has lost', async () => {
    const first = await open();
    const begun = await begin(first);
    await redis.del(accountKey(first));
    expect(await end(first, begun, 'revoked')).toMatchObject({ stale: false, statuses: ['completed'] });
    expect(await begin(first)).toMatchObject({ verdict: 'done' });
  });

  it('does not end it for those who joined on a master without its beginning', async () => {
    const first = await open();
    const begun = await begin(first);
    // What the new master has: the job waits, and has never begun.
    await redis.del(accountKey(first));
    await redis.hset(accountKey(first), 'waiting', first.revocationId);
    const joined = await open();
    expect(joined.job).toBe(first.revocationId);
    expect(await end(first, begun, 'revoked')).toMatchObject({ stale: true });
    const again = await begin(first);
    expect(again).toMatchObject({ verdict: 'go', members: ids(first, joined) });
    expect(await end(first, again, 'revoked')).toMatchObject({ statuses: ['completed', 'completed'] });
  });

  it.each<AppState>(['failed', 'revoked'])('leaves nothing to join where its beginning is lost: %s', async (state) => {
    const first = await open();
    const begun = await begin(first);
    await redis.del(accountKey(first));
    await redis.hset(accountKey(first), 'waiting', first.revocationId);
    expect(await end(first, begun, state)).toMatchObject({ stale: false });
    const next = await open();
    expect(next.job).toBe(next.revocationId);
  });

  it('does not give the account free that another job is calling by now', async () => {
    const first = await open();
    const halted = await begin(first);
    await redis.hset(accountKey(first), 'until', '0');
    const next = await open();
    const begun = await begin(next);
    expect(begun).toMatchObject({ verdict: 'go' });
    // Its word counts: nobody has made its call since.
    expect(await end(first, halted, 'revoked')).toMatchObject({ stale: false, statuses: ['completed'] });
    const last = await open();
    expect(await begin(last)).toMatchObject({ verdict: 'busy' });
    await end(next, begun, 'revoked');
    expect(await begin(last)).toMatchObject({ verdict: 'go' });
  });
});

describe('a job that is done', () => {
  it('is not joined, and where it was all the same, the app is called for those who did', async () => {
    const first = await open();
    await end(first, await begin(first), 'revoked');
    await redis.hset(accountKey(first), 'waiting', first.revocationId);
    const joined = await open();
    expect(joined.job).toBe(first.revocationId);
    const begun = await begin(first);
    expect(begun).toMatchObject({ verdict: 'go', members: ids(first, joined) });
    expect((await open()).job).not.toBe(first.revocationId);
    expect(await end(first, begun, 'revoked')).toMatchObject({ statuses: ['', 'completed'] });
    expect(await stateOf(joined)).toBe('revoked');
    const last = await open();
    await redis.hset(accountKey(first), 'waiting', first.revocationId);
    expect(await begin(first)).toMatchObject({ verdict: 'done' });
    expect((await open()).job).not.toBe(first.revocationId);
    expect(last.job).not.toBe(first.revocationId);
  });

  it('still knows who joined it, until it has been told on', async () => {
    const [first, other] = [await open(), await open()];
    await end(first, await begin(first), 'revoked');
    // The worker died before it could tell anybody.
    expect(await begin(first)).toMatchObject({ verdict: 'done', members: ids(first, other) });
    await attempts.told(place(first));
    expect(await begin(first)).toMatchObject({ verdict: 'done', members: ids(first) });
    expect(await redis.hgetall(accountKey(first))).toEqual({});
  });

  it('leaves nothing behind that lives for ever', async () => {
    const [first] = [await open(), await open()];
    await end(first, await begin(first), 'retrying');
    const keys = await redis.keys(`${prefix}:{${tenant}}:account:*`);
    const check = async () => Promise.all(keys.map((key) => redis.pttl(key)));
    expect(Math.min(...(await check()))).toBeGreaterThan(0);
    await redis.persist(keys[0] as string);
    await open();
    expect(Math.min(...(await check()))).toBeGreaterThan(0);
    const begun = await begin(first);
    await redis.persist(keys[0] as string);
    await end(first, begun, 'revoked');
    expect(Math.min(...(await check()))).toBeGreaterThan(0);
  });
});

describe('the age of a job', () => {
  it('counts from the last revocation that joined it', async () => {
    const now = Date.now();
    const first = await open({ acceptedAt: now - 50_000 });
    expect(await begin(first)).toMatchObject({ renewedAt: 0 });
    const again = await open({ acceptedAt: now - 50_000 });
    await open({ acceptedAt: now - 1_000 });
    await open({ acceptedAt: now - 2_000 });
    await redis.hset(accountKey(first), 'until', '0');
    expect(await begin(again)).toMatchObject({ renewedAt: now - 1_000 });
  });

  it('counts from the last one also where the job was taken over by another', async () => {
    const now = Date.now();
    const [first] = [await open({ acceptedAt: now - 50_000 }), await open({ acceptedAt: now - 1_000 })];
    const begun = await begin(first);
    const second = await open({ acceptedAt: now - 40_000 });
    expect(await end(first, begun, 'retrying')).toMatchObject({ moved: true });
    expect(await begin(second)).toMatchObject({ renewedAt: now - 1_000 });
  });

  it('counts from when the breaker closed, since nobody called before', async () => {
    const [refused, probe, held] = [await open({ user: 'a' }), await open({ user: 'b' }), await open({ user: 'c' })];
    await end(refused, await begin(refused), 'retrying', { blame: 'auth' });
    await delay(BREAKER.openFor + 20);
    const begun = await begin(probe);
    expect(begun).toMatchObject({ probe: true });
    const before = Date.now();
    expect(await end(probe, begun, 'revoked')).toMatchObject({ breaker: 'closed' });
    const renewed = await begin(held);
    expect(renewed).toMatchObject({ verdict: 'go', probe: false });
    expect((renewed as { renewedAt: number }).renewedAt).toBeGreaterThanOrEqual(before);
  });
});

describe('an app that asks for time', () => {
  it('is left alone as long as the longest of its answers says, whatever the queue is told', async () => {
    const [first, second] = [await open({ user: 'a' }), await open({ user: 'b' })];
    const [one, other] = [await begin(first), await begin(second)];
    await end(first, one, 'retrying', { blame: 'neutral', retryAfterMs: 600_000 });
    await end(second, other, 'retrying', { blame: 'neutral', retryAfterMs: 5_000 });
    const held = await begin(await open({ user: 'c' }));
    expect(held).toMatchObject({ verdict: 'held' });
    expect((held as { forMs: number }).forMs).toBeGreaterThan(590_000);
  });

  it('is called again afterwards', async () => {
    const first = await open({ user: 'a' });
    await end(first, await begin(first), 'retrying', { blame: 'neutral', retryAfterMs: 100 });
    const next = await open({ user: 'b' });
    expect(await begin(next)).toMatchObject({ verdict: 'held' });
    await delay(120);
    expect(await begin(next)).toMatchObject({ verdict: 'go' });
  });
});
