/** What became of a revocation, in a real Redis: counted right and told once, in whatever order the apps answer. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { Revocation } from '../../src/fanout/job.js';
import { type AppState, createRevocationRecords } from '../../src/fanout/record.js';
import { createOutcomes } from '../support/outcome.js';

const RETENTION_MS = 60_000;
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const records = createRevocationRecords(redis, { prefix, retentionMs: RETENTION_MS });
const write = createOutcomes(redis, prefix);

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;

const revocationOf = (apps: string[], over: Partial<Revocation> = {}): Revocation => ({
  revocationId: `rev_${randomUUID().replaceAll('-', '')}`,
  tenant: freshTenant(),
  trust: 'okta',
  user: '123456789012345',
  mode: 'full',
  via: ['https://logout.example.com'],
  acceptedAt: Date.now(),
  accounts: apps.map((app) => ({ app, account: `ada@example.com` })),
  ...over,
});

async function opened(apps: string[], over: Partial<Revocation> = {}) {
  const revocation = revocationOf(apps, over);
  await records.open(revocation);
  const read = async () => {
    const record = await records.read(revocation.tenant, revocation.revocationId);
    if (!record) throw new Error('there is no record');
    return record;
  };
  let attempts = 0;
  /** By an attempt of its own. */
  const update = (app: string, state: AppState, at = Date.now()) => {
    attempts += 1;
    return write(revocation, app, { state, attempts, at });
  };
  return { revocation, read, update };
}

describe('a record', () => {
  it('says of each app that it waits, and nothing of accounts', async () => {
    const { revocation, read } = await opened(['intranet', 'wiki']);
    const { accounts: _, ...facts } = revocation;
    expect(await read()).toEqual({
      ...facts,
      status: 'pending',
      apps: { intranet: { state: 'waiting', attempts: 0 }, wiki: { state: 'waiting', attempts: 0 } },
    });
    const { tenant, revocationId } = revocation;
    const stored = await redis.hgetall(`${prefix}:{${tenant}}:revocation:${revocationId}`);
    expect(JSON.stringify(stored)).toContain(revocationId);
    expect(JSON.stringify(stored)).not.toContain('@');
  });

  it('is opened once: again it changes nothing, and answers the apps that are still owed a call', async () => {
    const { revocation, read, update } = await opened(['intranet', 'wiki', 'crm']);
    await update('intranet', 'revoked');
    await update('wiki', 'retrying');
    const before = await read();
    const own = revocation.revocationId;
    expect(await records.open(revocation)).toEqual([undefined, own, own]);
    expect(await read()).toEqual(before);
    await update('crm', 'failed');
    expect(await records.open(revocation)).toEqual([undefined, own, undefined]);
  });

  it('of a revocation without apps is complete from the start', async () => {
    const { revocation, read } = await opened([]);
    expect(await read()).toMatchObject({ status: 'completed', completedAt: revocation.acceptedAt, apps: {} });
  });

  it('of an unknown revocation, or of another tenant, is none', async () => {
    const { revocation } = await opened(['intranet']);
    expect(await records.read(freshTenant(), revocation.revocationId)).toBeUndefined();
    expect(await records.read(revocation.tenant, 'rev_unknown')).toBeUndefined();
    expect(await records.exists(freshTenant(), revocation.revocationId)).toBe(false);
    expect(await records.exists(revocation.tenant, revocation.revocationId)).toBe(true);
    expect(await write({ tenant: freshTenant(), revocationId: 'x' }, 'intranet', done())).toBe('');
  });

  it('keeps what is told of an app', async () => {
    const { revocation, read } = await opened(['intranet']);
    await write(revocation, 'intranet', {
      state: 'retrying',
      attempts: 2,
      at: 1_000,
      reason: 'server',
      nextAttemptAt: 6_000,
    });
    expect((await read()).apps.intranet).toEqual({
      state: 'retrying',
      attempts: 2,
      at: 1_000,
      reason: 'server',
      nextAttemptAt: 6_000,
    });
    await write(revocation, 'intranet', {
      state: 'revoked',
      attempts: 3,
      at: 7_000,
      what: ['sessions'],
      partial: 'tokens live on',
    });
    expect((await read()).apps.intranet).toEqual({
      state: 'revoked',
      attempts: 3,
      at: 7_000,
      what: ['sessions'],
      partial: 'tokens live on',
    });
  });

  it('knows no app that it was not opened with', async () => {
    const { read, update } = await opened(['intranet']);
    expect(await update('wiki', 'revoked')).toBe('');
    expect(await read()).toMatchObject({ status: 'pending', apps: { intranet: { state: 'waiting' } } });
    expect(Object.keys((await read()).apps)).toEqual(['intranet']);
  });
});

describe('an app', () => {
  it.each(['revoked', 'accepted', 'none'] as const)('that is done stays done [%s]', async (state) => {
    const { read, update } = await opened(['intranet']);
    await update('intranet', state);
    const before = await read();
    for (const later of ['waiting', 'retrying', 'failed', 'revoked'] as const) {
      expect(await update('intranet', later)).toBe('');
    }
    expect(await read()).toEqual(before);
  });

  it('that has failed may still become done', async () => {
    const { read, update } = await opened(['intranet']);
    expect(await update('intranet', 'failed', 1_000)).toBe('failed');
    expect(await read()).toMatchObject({ status: 'failed', completedAt: 1_000 });
    expect(await update('intranet', 'retrying', 2_000)).toBe('');
    expect((await read()).status).toBe('pending');
    expect(await read()).not.toHaveProperty('completedAt');
    expect(await update('intranet', 'revoked', 3_000)).toBe('completed');
    expect(await read()).toMatchObject({ status: 'completed', completedAt: 3_000 });
  });
});

describe('the end', () => {
  it('comes with the last app, whichever that is, and is told once', async () => {
    const { read, update } = await opened(['intranet', 'wiki', 'crm']);
    expect(await update('wiki', 'none', 1_000)).toBe('');
    expect(await update('crm', 'failed', 2_000)).toBe('');
    expect((await read()).status).toBe('pending');
    expect(await update('intranet', 'revoked', 3_000)).toBe('failed');
    expect(await read()).toMatchObject({ status: 'failed', completedAt: 3_000 });
    expect(await update('crm', 'failed', 4_000)).toBe('');
  });

  it('is told once also where all apps answer at the same moment', async () => {
    const apps = Array.from({ length: 20 }, (_, index) => `app-${index}`);
    const { update } = await opened(apps);
    const told = await Promise.all([...apps, ...apps].map((app) => update(app, 'revoked')));
    expect(told.filter((status) => status !== '')).toEqual(['completed']);
  });

  it('is counted right after any sequence of updates', async () => {
    const apps = ['intranet', 'wiki', 'crm'];
    const states: AppState[] = ['waiting', 'retrying', 'failed', 'revoked', 'accepted', 'none'];
    const isDone = (state: AppState | undefined) => state === 'revoked' || state === 'accepted' || state === 'none';
    const steps = fc.array(fc.tuple(fc.constantFrom(...apps), fc.constantFrom(...states)), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const { read, update } = await opened(apps);
        const model = new Map<string, AppState>(apps.map((app) => [app, 'waiting']));
        const statusOf = () => {
          const all = [...model.values()];
          if (all.some((state) => state === 'waiting' || state === 'retrying')) return 'pending';
          return all.includes('failed') ? 'failed' : 'completed';
        };
        for (const [app, state] of sequence) {
          const before = statusOf();
          if (!isDone(model.get(app))) model.set(app, state);
          const after = statusOf();
          expect(await update(app, state)).toBe(after === before || after === 'pending' ? '' : after);
          const record = await read();
          expect(record.status).toBe(after);
          expect(Object.fromEntries(Object.entries(record.apps).map(([name, one]) => [name, one.state]))).toEqual(
            Object.fromEntries(model),
          );
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('retention', () => {
  it('ends a record by itself', async () => {
    const { revocation } = await opened(['intranet']);
    const ttl = await redis.pttl(`${prefix}:{${revocation.tenant}}:revocation:${revocation.revocationId}`);
    expect(ttl).toBeGreaterThan(RETENTION_MS - 5_000);
    expect(ttl).toBeLessThanOrEqual(RETENTION_MS);
  });

  it('trims the list with each revocation that is opened', async () => {
    const tenant = freshTenant();
    const now = Date.now();
    await opened([], { tenant, acceptedAt: now - RETENTION_MS - 1 });
    await opened([], { tenant, acceptedAt: now - RETENTION_MS + 10_000 });
    await opened([], { tenant, acceptedAt: now });
    expect((await records.list(tenant, { limit: 10 })).map(({ acceptedAt }) => acceptedAt)).toEqual([
      now,
      now - RETENTION_MS + 10_000,
    ]);
  });
});

describe('the list', () => {
  it('has the newest first, tenant by tenant', async () => {
    const [tenant, other] = [freshTenant(), freshTenant()];
    const start = Date.now();
    for (const offset of [2, 0, 1]) await opened([], { tenant, acceptedAt: start + offset });
    await opened([], { tenant: other, acceptedAt: start });
    const list = await records.list(tenant, { limit: 10 });
    expect(list.map(({ acceptedAt }) => acceptedAt - start)).toEqual([2, 1, 0]);
    expect(await records.list(tenant, { limit: 2 })).toEqual(list.slice(0, 2));
    expect(await records.list(other, { limit: 10 })).toHaveLength(1);
    expect(await records.list(freshTenant(), { limit: 10 })).toEqual([]);
  });

  it('goes on page by page, and misses none of those that came in the same millisecond', async () => {
    const tenant = freshTenant();
    const acceptedAt = Date.now();
    const all = await Promise.all(
      Array.from({ length: 7 }, (_, index) => opened([], { tenant, acceptedAt: acceptedAt + (index > 4 ? 1 : 0) })),
    );
    const seen: string[] = [];
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const page = await records.list(tenant, { limit: 2, ...(after !== undefined && { after }) });
      if (page.length === 0) break;
      seen.push(...page.map(({ revocationId }) => revocationId));
      // Newer ones shift nothing.
      await opened([], { tenant, acceptedAt: acceptedAt + 1_000 });
    }
    expect(new Set(seen)).toEqual(new Set(all.map(({ revocation }) => revocation.revocationId)));
    expect(seen).toHaveLength(7);
  });

  it('of one person has those of that person alone, and goes when they go', async () => {
    const tenant = freshTenant();
    const [start, user] = [Date.now(), '900000000000001'];
    for (const offset of [0, 2, 1]) await opened([], { tenant, user, acceptedAt: start + offset });
    await opened([], { tenant, acceptedAt: start + 3 });
    const all = await records.list(tenant, { user, limit: 10 });
    expect(all.map(({ acceptedAt }) => acceptedAt - start)).toEqual([2, 1, 0]);
    const [first] = all;
    expect(await records.list(tenant, { user, limit: 1, after: first?.revocationId })).toEqual([all[1]]);
    expect(await records.list(freshTenant(), { user, limit: 10 })).toEqual([]);
    const ttl = await redis.pttl(`${prefix}:{${tenant}}:revocations:${user}`);
    expect(ttl).toBeGreaterThan(RETENTION_MS - 5_000);
    await opened([], { tenant, user, acceptedAt: start + RETENTION_MS + 1 });
    expect(await records.list(tenant, { user, limit: 10 })).toHaveLength(2);
  });

  it('ends at a revocation that is not there any more', async () => {
    const { revocation } = await opened([]);
    expect(await records.list(revocation.tenant, { limit: 10, after: 'rev_gone' })).toEqual([]);
  });
});

function done() {
  return { state: 'revoked' as const, attempts: 1 };
}
