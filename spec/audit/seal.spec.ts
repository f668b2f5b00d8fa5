/** The sealer: what it writes, that two of them write one chain, and that none of its deaths costs a record. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { CheckpointError } from '../../src/audit/checkpoint.js';
import { type AuditTrail, openAuditTrail } from '../support/audit-trail.js';

const DAY_MS = 86_400_000;

let trail: AuditTrail;

beforeEach(async () => {
  trail = await openAuditTrail();
});
afterEach(() => trail.close());

const lines = () => readFileSync(trail.file, 'utf8').split('\n').filter(Boolean);
const claims = async () => {
  const texts = await trail.redis.lrange(trail.checkpoints, 0, -1);
  return Promise.all(texts.map(async (text) => (await trail.read(text, 'default')).claims));
};

describe('a sealer', () => {
  it('writes nothing where there is nothing new', async () => {
    const sealer = trail.sealer();
    expect(await sealer.seal('default')).toBe(0);
    expect(await trail.redis.exists(trail.checkpoints)).toBe(0);
    await trail.record(2);
    expect(await sealer.seal('default')).toBe(2);
    const before = await trail.redis.lrange(trail.checkpoints, 0, -1);
    expect(await sealer.seal('default')).toBe(0);
    expect(await trail.redis.lrange(trail.checkpoints, 0, -1)).toEqual(before);
    expect(lines()).toHaveLength(1);
  });

  it('lets a checkpoint grow to a thousand records, and keeps each step in the file', async () => {
    const sealer = trail.sealer();
    for (const count of [400, 600, 1, 2_100]) {
      await trail.record(count);
      expect(await sealer.seal('default')).toBe(count);
    }
    const ranges = (await claims()).map(({ from, count }) => [from, count]);
    expect(ranges).toEqual([
      [0, 1_000],
      [1_000, 1_001],
      [1_001, 2_001],
      [2_001, 3_001],
      [3_001, 3_101],
    ]);
    expect(lines()).toHaveLength(6);
    expect(await trail.verify()).toMatchObject({ found: [], records: 3_101 });
    const bytes = (await trail.redis.lrange(trail.checkpoints, 0, -1)).join('').length;
    expect(bytes / 3_101).toBeLessThan(25);
  });

  it('begins a checkpoint each day, so that a quiet trail can be trimmed', async () => {
    const sealer = trail.sealer();
    await trail.record(1);
    await sealer.seal('default');
    trail.clock.now += DAY_MS + 1_000;
    await trail.record(1);
    await sealer.seal('default');
    expect((await claims()).map(({ from, count }) => [from, count])).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  it('is one of several, and the chain is one', async () => {
    const sealers = [trail.sealer(), trail.sealer(), trail.sealer()];
    for (let round = 0; round < 20; round++) {
      await trail.record(3);
      await Promise.all([...sealers.map((sealer) => sealer.seal('default')), trail.record(2)]);
    }
    await sealers[0]?.seal('default');
    expect(await trail.verify()).toMatchObject({ found: [], records: 100, unsealed: 0 });
  });

  it('that dies between the file and Redis has said nothing untrue', async () => {
    const { username, url } = await userWithout('-@scripting');
    try {
      await trail.record(3);
      await expect(trail.sealer({ redis: new Redis(url) }).seal('default')).rejects.toThrow(/NOPERM/);
      expect(lines()).toHaveLength(1);
      expect(await trail.redis.exists(trail.checkpoints)).toBe(0);
      expect(await trail.verify()).toMatchObject({ found: [], records: 0, unsealed: 3 });
      await trail.record(2);
      expect(await trail.sealer().seal('default')).toBe(5);
      expect(await trail.verify()).toMatchObject({ found: [], records: 5, unsealed: 0 });
    } finally {
      await trail.redis.call('ACL', 'DELUSER', username);
    }
  });

  it('seals nothing in Redis that it cannot write to the file', async () => {
    await trail.record(1);
    await expect(trail.sealer({ file: trail.dataDir }).seal('default')).rejects.toThrow(/EISDIR/);
    expect(await trail.redis.exists(trail.checkpoints)).toBe(0);
  });

  it('takes over no marks that somebody changed', async () => {
    const sealer = trail.sealer();
    await trail.record(2);
    await sealer.seal('default');
    const text = (await trail.redis.lindex(trail.checkpoints, 0)) as string;
    await trail.redis.lset(
      trail.checkpoints,
      0,
      text.replace(/.$/, (mark) => (mark === 'A' ? 'B' : 'A')),
    );
    await trail.record(2);
    await sealer.seal('default');
    expect((await claims()).map(({ from, count }) => [from, count])).toEqual([
      [0, 2],
      [2, 4],
    ]);
  });

  it('does not go on from a checkpoint that it did not sign', async () => {
    const sealer = trail.sealer();
    await trail.record(1);
    await sealer.seal('default');
    const other = await openAuditTrail();
    try {
      await trail.redis.del(trail.checkpoints);
      await other.record(1);
      await other.sealer().seal('default');
      await trail.redis.rpush(trail.checkpoints, (await trail.redis.lindex(other.checkpoints, 0)) as string);
      await trail.record(1);
      await expect(sealer.seal('default')).rejects.toThrow(CheckpointError);
      expect(await trail.redis.llen(trail.checkpoints)).toBe(1);
    } finally {
      await other.close();
    }
  });
});

describe('trimming', () => {
  /** Records of three days, the first five days ago. */
  async function threeDays() {
    const start = trail.clock.now;
    const sealer = trail.sealer({ retentionMs: 3 * DAY_MS });
    for (const daysAgo of [5, 4, 1]) {
      for (let i = 0; i < 3; i++) {
        await trail.redis.xadd(
          trail.key,
          `${start - daysAgo * DAY_MS}-${i}`,
          'event',
          'app.paused',
          'app',
          `a${daysAgo}${i}`,
        );
      }
      trail.clock.now = start - daysAgo * DAY_MS + 1_000;
      await sealer.seal('default');
    }
    expect((await claims()).map(({ count }) => count)).toEqual([3, 6, 9]);
    trail.clock.now = start;
    return sealer;
  }

  it('drops what is older than the retention, and the rest can be verified', async () => {
    const sealer = await threeDays();
    expect(await sealer.trim('default')).toBe(6);
    expect(await trail.entries()).toHaveLength(3);
    expect(await trail.verify()).toMatchObject({ found: [], records: 3, unsealed: 0 });
    expect(await sealer.trim('default')).toBe(0);
    await trail.record(2);
    await trail.sealer().seal('default');
    expect(await trail.verify()).toMatchObject({ found: [], records: 5, unsealed: 0 });
  });

  it('by two sealers at once drops nothing twice', async () => {
    const sealer = await threeDays();
    const other = trail.sealer({ retentionMs: 3 * DAY_MS });
    const trimmed = await Promise.all([sealer.trim('default'), other.trim('default')]);
    expect(trimmed.sort()).toEqual([0, 6]);
    expect(await trail.verify()).toMatchObject({ found: [], records: 3, unsealed: 0 });
  });

  it('of everything leaves a base to go on from', async () => {
    const sealer = await threeDays();
    trail.clock.now += 10 * DAY_MS;
    expect(await sealer.trim('default')).toBe(9);
    expect(await claims()).toEqual([expect.objectContaining({ count: 9, base: true })]);
    await trail.record(2);
    await sealer.seal('default');
    expect(await trail.verify()).toMatchObject({ found: [], records: 2, unsealed: 0 });
  });

  it('leaves what is not sealed yet, however old', async () => {
    await trail.redis.xadd(trail.key, '1000-0', 'event', 'app.paused');
    expect(await trail.sealer({ retentionMs: 1 }).trim('default')).toBe(0);
    expect(await trail.entries()).toHaveLength(1);
  });

  it('by somebody else is told from ours', async () => {
    const sealer = await threeDays();
    const all = await trail.redis.lrange(trail.checkpoints, 0, -1);
    const entries = await trail.entries();
    const cut = all.length - 1;
    await trail.redis.ltrim(trail.checkpoints, cut, -1);
    await trail.rewrite((raw) => raw.slice(6));
    expect((await trail.verify({ withFile: false })).found).toEqual(['cut off']);
    await trail.redis.del(trail.checkpoints);
    await trail.redis.rpush(trail.checkpoints, ...all);
    await trail.rewrite(() => entries);
    await sealer.trim('default');
    await trail.rewrite((raw) => [entries[0] as (typeof entries)[0], ...raw]);
    expect((await trail.verify()).found).toEqual([`foreign ${entries[0]?.[0]}`]);
  });
});

/** A user of Redis that lacks some commands. */
async function userWithout(commands: string) {
  const username = `spec-${randomUUID().slice(0, 8)}`;
  await trail.redis.call('ACL', 'SETUSER', username, 'on', '>secret', '~*', '&*', '+@all', commands);
  const url = new URL(process.env.TEST_REDIS_URL as string);
  url.username = username;
  url.password = 'secret';
  return { username, url: url.href };
}
