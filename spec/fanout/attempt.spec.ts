/** The two scripts of an attempt, called one after the other as workers do, and as workers do that were killed. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis, ReplyError } from 'ioredis';
import { type Beginning, type Blame, type BreakerSettings, createAttempts } from '../../src/fanout/attempt.js';
import { digestOf, type Revocation } from '../../src/fanout/job.js';
import { tenantKeys } from '../../src/fanout/keys.js';
import { type AppState, createRevocationRecords } from '../../src/fanout/record.js';

const RETENTION_MS = 60_000;
const LEASE_MS = 5_000;
const ACCOUNT = 'ada@example.com';
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const records = createRevocationRecords(redis, { prefix, retentionMs: RETENTION_MS });
const attempts = createAttempts(redis, { prefix, retentionMs: RETENTION_MS });

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

const BREAKER: BreakerSettings = { failureRatio: 0.7, minimumCalls: 10, window: 300_000, openFor: 400 };

let tenant: string;
beforeEach(() => {
  tenant = `t-${randomUUID().slice(0, 8)}`;
});

/** A revocation of this person, or of somebody new. */
async function open(user: string = randomUUID()): Promise<Revocation & { job: string | undefined }> {
  const revocation: Revocation = {
    ...{ revocationId: `rev_${randomUUID().replaceAll('-', '')}`, tenant, trust: 'okta', user, mode: 'full' },
    ...{ via: [], acceptedAt: Date.now(), accounts: [{ app: 'intranet', account: ACCOUNT }] },
  };
  const [job] = await records.open(revocation);
  return { ...revocation, job };
}

const place = (revocation: Revocation) => ({
  ...{ tenant, app: 'intranet', job: revocation.revocationId, digest: digestOf(revocation, ACCOUNT) },
});

const begin = (revocation: Revocation, leaseMs = LEASE_MS) => attempts.begin({ ...place(revocation), leaseMs });

/** The number of the attempt that began last. */
async function lastCall(revocation: Revocation): Promise<number> {
  const { job, digest } = place(revocation);
  return Number((await redis.hget(tenantKeys(prefix, tenant).account('intranet', digest), `calls:${job}`)) ?? 1);
}

async function end(
  revocation: Revocation,
  blame: Blame,
  breaker = BREAKER,
  members = [revocation.revocationId],
  { at = Date.now(), state = blame === 'good' ? 'revoked' : 'retrying' }: { at?: number; state?: AppState } = {},
) {
  return attempts.end(
    { ...place(revocation), call: await lastCall(revocation), members, joinable: true },
    { state, attempts: 1, at },
    {
      ...{ blame, breaker, ...(blame !== 'good' && { failure: { at, tookMs: 1, reason: 'server' } as const }) },
      audit: { event: 'account.revoked', tenant, user: revocation.user, app: 'intranet' },
    },
  );
}

/** A call of somebody new. */
async function call(blame: Blame, breaker = BREAKER) {
  const revocation = await open();
  expect(await begin(revocation)).toMatchObject({ verdict: 'go' });
  return end(revocation, blame, breaker);
}

const stateOf = async ({ revocationId }: Revocation) =>
  (await records.read(tenant, revocationId))?.apps.intranet?.state;

describe('the jobs for one account', () => {
  it('are one at a time, until the lease of one that died is over', async () => {
    const [first, other] = [await open('ada'), await open('ada')];
    expect([first.job, other.job]).toEqual([first.revocationId, first.revocationId]);
    expect(await begin(first, 300)).toMatchObject({ verdict: 'go', members: [first.revocationId, other.revocationId] });
    const next = await open('ada');
    expect(next.job).toBe(next.revocationId);
    expect(await begin(next)).toMatchObject({ verdict: 'busy' });
    await delay(350);
    expect(await begin(next)).toMatchObject({ verdict: 'go', members: [next.revocationId] });
  });

  it('that was interrupted begins again, and counts its calls', async () => {
    const revocation = await open();
    expect(await begin(revocation)).toMatchObject({ verdict: 'go', call: 1 });
    expect(await begin(revocation)).toMatchObject({ verdict: 'go', call: 2 });
  });

  it('whose revocations another one has taken over is over, also where its worker died before it could say so', async () => {
    const first = await open('ada');
    await begin(first);
    const second = await open('ada');
    expect(await end(first, 'bad')).toMatchObject({ moved: true });
    expect(await begin(first)).toEqual({ verdict: 'moved', safe: true });
    expect(await begin(second)).toMatchObject({ members: [second.revocationId, first.revocationId] });
  });

  it('that is done is done for all of its members, also where its worker died before it could say so', async () => {
    const [first, other] = [await open('ada'), await open('ada')];
    await begin(first);
    const members = [first.revocationId, other.revocationId];
    expect(await end(first, 'good', BREAKER, members)).toMatchObject({ statuses: ['completed', 'completed'] });
    expect(await begin(first)).toMatchObject({ verdict: 'done' });
    expect([await stateOf(first), await stateOf(other)]).toEqual(['revoked', 'revoked']);
    // Called once more, and done again: nothing new.
    const later = { at: Date.now() + 1 };
    expect(await end(first, 'good', BREAKER, members, later)).toMatchObject({ statuses: ['', ''] });
  });

  it('is not joined any more where it only asks what has become of a call', async () => {
    const first = await open('ada');
    await begin(first);
    const audit = { event: 'account.pending' as const, tenant, user: 'ada', app: 'intranet' };
    const details = { state: 'pending' as const, attempts: 1, at: Date.now() };
    const of = { ...place(first), call: await lastCall(first), members: [first.revocationId], joinable: false };
    await attempts.end(of, details, { blame: 'good', breaker: BREAKER, audit });
    const second = await open('ada');
    expect(second.job).toBe(second.revocationId);
  });
});

/** Everything of the tenant, the audit trail included. */
async function everything(): Promise<Record<string, unknown>> {
  const keys = (await redis.keys(`${prefix}:{${tenant}}*`)).sort();
  const values = await Promise.all(
    keys.map(async (key) => {
      const type = await redis.type(key);
      if (type === 'hash') return Object.entries(await redis.hgetall(key)).sort();
      return type === 'stream' ? redis.xrange(key, '-', '+') : redis.zrange(key, '0', '-1', 'WITHSCORES');
    }),
  );
  return Object.fromEntries(keys.map((key, index) => [key, values[index]]));
}

describe('an end that is told again, because nobody knows whether it was heard', () => {
  it.each<[AppState, Blame, string]>([
    ['revoked', 'good', 'completed'],
    ['failed', 'bad', 'failed'],
    ['retrying', 'bad', ''],
    ['waiting', 'neutral', ''],
  ])('is answered as before, and changes nothing [%s]', async (state, blame, status) => {
    const [first, other] = [await open('ada'), await open('ada')];
    await begin(first);
    const members = [first.revocationId, other.revocationId];
    const tell = () => end(first, blame, BREAKER, members, { state, at: first.acceptedAt + 100 });
    const answer = await tell();
    expect(answer.statuses).toEqual([status, status]);
    const before = await everything();
    expect(JSON.stringify(before)).toContain('account.revoked');
    expect(await tell()).toEqual(answer);
    expect(await everything()).toEqual(before);
  });

  it('does not give the account free that somebody else is calling by now', async () => {
    const first = await open('ada');
    await begin(first);
    const tell = () => end(first, 'good', BREAKER, [first.revocationId], { at: first.acceptedAt + 100 });
    await tell();
    const next = await open('ada');
    expect(await begin(next)).toMatchObject({ verdict: 'go' });
    await tell();
    expect(await begin(await open('ada'))).toMatchObject({ verdict: 'busy' });
  });

  it('has still been moved, also where who has taken it over has been called since', async () => {
    const first = await open('ada');
    await begin(first);
    const second = await open('ada');
    const tell = () => end(first, 'bad', BREAKER, [first.revocationId], { at: first.acceptedAt + 100 });
    expect(await tell()).toMatchObject({ moved: true });
    expect(await tell()).toMatchObject({ moved: true });
    const members = membersOf(await begin(second));
    expect(members).toEqual([second.revocationId, first.revocationId]);
    await end(second, 'bad', BREAKER, members, { at: first.acceptedAt + 200 });
    const before = await everything();
    expect(await tell()).toMatchObject({ moved: true, statuses: [''] });
    expect(await everything()).toEqual(before);
  });

  it('has still opened the breaker, or closed it', async () => {
    const [refused, probe] = [await open(), await open()];
    await begin(refused);
    const opened = () => end(refused, 'auth', BREAKER, [refused.revocationId], { at: refused.acceptedAt + 100 });
    expect(await opened()).toMatchObject({ breaker: 'opened', openForMs: 400 });
    const again = await opened();
    expect(again.breaker).toBe('opened');
    expect(again.openForMs).toBeGreaterThan(0);
    expect(again.openForMs).toBeLessThanOrEqual(400);
    await delay(450);
    await begin(probe);
    const close = () => end(probe, 'good', BREAKER, [probe.revocationId], { at: probe.acceptedAt + 100 });
    expect(await close()).toMatchObject({ breaker: 'closed' });
    expect(await close()).toMatchObject({ breaker: 'closed' });
    expect(await opened()).toMatchObject({ breaker: '' });
  });
});

const membersOf = (beginning: Beginning | undefined) => (beginning && 'members' in beginning ? beginning.members : []);

describe('while replicas are away', () => {
  it('nobody may rely on what has ended, or is said to have ended; every other beginning is as ever', async () => {
    const awaiting = createAttempts(
      redis,
      { prefix, retentionMs: RETENTION_MS },
      {
        connection: redis,
        safely: async (write) => ({ answer: await write(), safe: false }),
      },
    );
    const beginning = (one: Revocation) => awaiting.begin({ ...place(one), leaseMs: LEASE_MS });
    const first = await open('ada');
    expect(await beginning(first)).toMatchObject({ verdict: 'go', call: 1 });
    const second = await open('ada');
    expect(await beginning(second)).toMatchObject({ verdict: 'busy' });
    await end(first, 'bad');
    expect(await beginning(first)).toEqual({ verdict: 'moved', safe: false });
    expect(await beginning(second)).toMatchObject({ verdict: 'go', call: 1 });
    const audit = { event: 'account.revoked' as const, tenant, user: 'ada', app: 'intranet' };
    const members = [second.revocationId, first.revocationId];
    const of = { ...place(second), call: 1, members, joinable: false };
    const details = { state: 'revoked' as const, attempts: 1, at: Date.now() };
    expect(await awaiting.end(of, details, { blame: 'good', breaker: BREAKER, audit })).toMatchObject({ safe: false });
    expect(await beginning(second)).toMatchObject({ verdict: 'done', safe: false });
    expect(await begin(second)).toMatchObject({ verdict: 'done', safe: true });
  });
});

describe('attempts of the same moment', () => {
  it('have each their own answer', async () => {
    const all = await Promise.all(Array.from({ length: 40 }, (_, index) => open(`user-${index}`)));
    const again = await Promise.all([open('user-0'), open('user-39')]);
    const begun = await Promise.all(all.map((one) => begin(one)));
    expect(begun.map(membersOf)).toEqual(
      all.map(({ revocationId }, index) =>
        [revocationId, index === 0 && again[0].revocationId, index === 39 && again[1].revocationId].filter(Boolean),
      ),
    );
    const ended = await Promise.all(
      all.map((one, index) => end(one, index % 2 ? 'neutral' : 'good', BREAKER, membersOf(begun[index]))),
    );
    expect(ended.map(({ statuses }) => statuses)).toEqual(
      all.map((_, index) =>
        index === 0 ? ['completed', 'completed'] : index === 39 ? ['', ''] : [index % 2 ? '' : 'completed'],
      ),
    );
    expect(await Promise.all(again.map(stateOf))).toEqual(['revoked', 'retrying']);
  });

  it('share nothing of what is wrong with the data of one', async () => {
    const [broken, ...others] = await Promise.all(['a', 'b', 'c'].map(open));
    const key = tenantKeys(prefix, tenant).record((broken as Revocation).revocationId);
    await redis.set(key, 'no record');
    const wrong = expect.objectContaining({ status: 'rejected', reason: expect.any(ReplyError) });
    const right = expect.objectContaining({ status: 'fulfilled' });
    const all = [others[0], broken, others[1]] as Revocation[];
    expect(await Promise.allSettled(all.map((one) => begin(one)))).toEqual([right, wrong, right]);
    expect(await Promise.allSettled(all.map((one) => end(one, 'good')))).toEqual([right, wrong, right]);
    expect(await Promise.all((others as Revocation[]).map(stateOf))).toEqual(['revoked', 'revoked']);
  });
});

describe('the breaker', () => {
  it('opens with the last of so many calls, and not before', async () => {
    for (let calls = 1; calls < 10; calls += 1) expect((await call('bad')).breaker).toBe('');
    expect(await call('bad')).toMatchObject({ breaker: 'opened', openForMs: 400 });
    expect(await begin(await open())).toMatchObject({ verdict: 'held' });
  });

  it('opens where enough of the calls failed, and not where fewer did', async () => {
    for (let calls = 0; calls < 4; calls += 1) await call('good');
    for (let calls = 0; calls < 9; calls += 1) expect((await call('bad')).breaker).toBe('');
    // 10 of 14 are 0.714.
    expect((await call('bad')).breaker).toBe('opened');
  });

  it('forgets what was longer ago than its window', async () => {
    const quick = { ...BREAKER, window: 500 };
    for (let calls = 0; calls < 9; calls += 1) expect((await call('bad', quick)).breaker).toBe('');
    await delay(700);
    for (let calls = 0; calls < 9; calls += 1) expect((await call('bad', quick)).breaker).toBe('');
  });

  it.each<Blame>(['neutral', 'good'])('is not opened by calls that are not to blame [%s]', async (blame) => {
    for (let calls = 0; calls < 15; calls += 1) expect((await call(blame)).breaker).toBe('');
  });

  it('lets one probe through when its time is over, whose failure doubles the time and whose success ends it', async () => {
    expect(await call('auth')).toMatchObject({ breaker: 'opened', openForMs: 400 });
    const [probe, other] = [await open(), await open()];
    expect(await begin(probe)).toMatchObject({ verdict: 'held' });
    await delay(450);
    expect(await begin(probe)).toMatchObject({ verdict: 'go' });
    expect(await begin(other)).toMatchObject({ verdict: 'held' });
    expect(await end(probe, 'bad')).toMatchObject({ breaker: '', openForMs: 800 });
    await delay(450);
    expect(await begin(other)).toMatchObject({ verdict: 'held' });
    await delay(450);
    expect(await begin(other)).toMatchObject({ verdict: 'go' });
    expect(await end(other, 'good')).toMatchObject({ breaker: 'closed' });
    expect(await begin(probe)).toMatchObject({ verdict: 'go' });
  });

  it('lets another probe through where the first died, or told nothing', async () => {
    await call('auth');
    const [probe, other] = [await open(), await open()];
    await delay(450);
    expect(await begin(probe, 300)).toMatchObject({ verdict: 'go' });
    expect(await begin(other)).toMatchObject({ verdict: 'held' });
    await delay(350);
    expect(await begin(other)).toMatchObject({ verdict: 'go' });
    await end(other, 'neutral');
    expect(await begin(probe)).toMatchObject({ verdict: 'go' });
  });

  it('is not closed by a call that had begun before it opened', async () => {
    const early = await open();
    await begin(early);
    await call('auth');
    expect(await end(early, 'good')).toMatchObject({ breaker: '' });
    expect(await begin(await open())).toMatchObject({ verdict: 'held' });
  });
});
