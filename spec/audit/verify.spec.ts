/** Whatever is done to a sealed trail is found, and named. */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { signCheckpoint, textOf } from '../../src/audit/checkpoint.js';
import { type AuditTrail, openAuditTrail, type Raw } from '../support/audit-trail.js';

let trail: AuditTrail;

beforeEach(async () => {
  trail = await openAuditTrail();
  await trail.record(8);
  await trail.sealer().seal('default');
});
afterEach(() => trail.close());

const at = (entries: Raw[], index: number) => entries.at(index) as Raw;
const idAt = async (index: number) => at(await trail.entries(), index)[0];
const without = (index: number) => (entries: Raw[]) => entries.filter((_, i) => i !== index);
const withFields =
  (index: number, change: (fields: [name: string, text: string]) => string[]) =>
  (entries: Raw[]): Raw[] =>
    entries.map(([id, fields], i) => [id, i === index ? change(fields as [string, string]) : fields]);
const swapped = (entries: Raw[]): Raw[] =>
  entries.map(([id, fields], i) => [id, i === 2 ? at(entries, 5)[1] : i === 5 ? at(entries, 2)[1] : fields]);

describe('a sealed trail', () => {
  it('that nobody touched is clean, and what came since is not sealed yet', async () => {
    expect(await trail.verify()).toMatchObject({ found: [], records: 8, unsealed: 0 });
    await trail.record(3);
    expect(await trail.verify()).toMatchObject({ found: [], records: 8, unsealed: 3 });
    await trail.sealer().seal('default');
    expect(await trail.verify()).toMatchObject({ found: [], records: 11, unsealed: 0 });
  });

  it('misses a record that was deleted', async () => {
    const id = await idAt(3);
    await trail.redis.xdel(trail.key, id);
    const { found, sentences } = await trail.verify({ withFile: false });
    expect(found).toEqual([`missing ${id}`]);
    const time = new Date(Number(id.split('-')[0])).toISOString();
    expect(sentences).toEqual([`Record ${id} (${time}) is missing.`]);
  });

  it.each<[string, (fields: [string, string]) => string[]]>([
    ['another value', ([name, text]) => [name, text.replace('okta', 'none')]],
    ['another name', ([name, text]) => [name, text.replace('trust=', 'truth=')]],
    ['one member less', ([name, text]) => [name, text.replace('trust=okta&', '')]],
    ['one member more', ([name, text]) => [name, `${text}&state=revoked`]],
    ['the same, written otherwise', ([name, text]) => [name, text.replace('=okta', '=o%6bta')]],
    ['one field more', (fields) => [...fields, 'state', 'revoked']],
    ['no text', ([name]) => [name, '']],
    ['a letter moved from value to name', ([name, text]) => [`${name}${text[0]}`, text.slice(1)]],
  ])('knows a record that was changed [%s]', async (_, change) => {
    const id = await idAt(3);
    await trail.rewrite(withFields(3, change));
    expect((await trail.verify({ withFile: false })).found).toEqual([`changed ${id}`]);
  });

  it('knows two records that were swapped', async () => {
    const ids = [await idAt(2), await idAt(5)];
    await trail.rewrite(swapped);
    expect((await trail.verify({ withFile: false })).found).toEqual(ids.map((id) => `reordered ${id}`));
  });

  it.each<[string, number]>([
    ['a millisecond later', 1],
    ['an hour earlier', -3_600_000],
  ])('knows records that were all re-stamped [%s]', async (_, byMs) => {
    const ids = (await trail.entries()).map(([id]) => id);
    await trail.rewrite((entries) =>
      entries.map(([id, fields], i) => [`${Number(id.split('-')[0]) + byMs}-${100 + i}`, fields]),
    );
    const { found } = await trail.verify({ withFile: false });
    expect(found.sort()).toEqual(ids.map((id) => `re-stamped ${id}`).sort());
  });

  it('knows records that were re-stamped as new ones', async () => {
    const ids = (await trail.entries()).map(([id]) => id);
    const entries = await trail.entries();
    await trail.redis.del(trail.key);
    for (const [, fields] of entries) await trail.redis.xadd(trail.key, '*', ...fields);
    const { found } = await trail.verify({ withFile: false });
    expect(found.sort()).toEqual(ids.map((id) => `re-stamped ${id}`).sort());
  });

  it('knows a foreign record among its own', async () => {
    const id = `${Number((await idAt(0)).split('-')[0]) - 1}-0`;
    await trail.rewrite((entries) =>
      [...entries, [id, ['event', 'revocation.completed']] as Raw].sort(([a], [b]) =>
        a.localeCompare(b, 'en', { numeric: true }),
      ),
    );
    expect((await trail.verify({ withFile: false })).found).toEqual([`foreign ${id}`]);
  });

  it.each([1, 3, 8])('knows that its end was cut off [%i records]', async (count) => {
    const id = await idAt(-count);
    await trail.rewrite((entries) => entries.slice(0, -count));
    expect((await trail.verify({ withFile: false })).found).toEqual([`cut off ${id}`]);
  });

  it('knows that its end was cut off together with the checkpoints, from the file', async () => {
    const before = await trail.redis.lrange(trail.checkpoints, 0, -1);
    const sealed = await trail.entries();
    await trail.record(4);
    await trail.sealer().seal('default');
    await trail.rewrite(() => sealed);
    await trail.redis.del(trail.checkpoints);
    await trail.redis.rpush(trail.checkpoints, ...before);
    expect((await trail.verify({ withFile: false })).found).toEqual([]);
    const { found, sentences } = await trail.verify();
    expect(found).toEqual(['cut off']);
    expect(sentences[0]).toMatch(
      /^The end is cut off: .*audit-checkpoints\.jsonl:2 has a checkpoint of 12 records, .* has 8\.$/,
    );
  });

  it('knows that all of it is gone', async () => {
    await trail.redis.del(trail.key, trail.checkpoints);
    expect((await trail.verify()).found).toEqual(['cut off']);
  });

  it('knows from the file that it was changed, its checkpoints removed, and the rest sealed anew', async () => {
    await trail.rewrite(withFields(3, (fields) => fields.with(-1, 'user=grace')));
    await trail.redis.del(trail.checkpoints);
    await trail.sealer().seal('default');
    await trail.record(2);
    await trail.sealer().seal('default');
    expect((await trail.verify({ withFile: false })).found).toEqual([]);
    expect((await trail.verify()).found).toEqual(['changed']);
  });

  it('names the records also where the sealer has gone on', async () => {
    const id = await idAt(3);
    await trail.rewrite(without(3));
    await trail.record(2);
    await trail.sealer().seal('default');
    expect(await trail.verify()).toMatchObject({ found: [`missing ${id}`], unsealed: 0 });
  });
});

describe('a checkpoint', () => {
  const forged = async (signer: AuditTrail, tenant = 'default') => {
    const { claims, marks } = await trail.read((await trail.redis.lindex(trail.checkpoints, 0)) as string, 'default');
    return textOf(await signCheckpoint(signer.signingKeys, { ...claims, tenant }, marks as string));
  };

  it('of another key has a bad signature, and its records are vouched for by nothing', async () => {
    const other = await openAuditTrail();
    try {
      await trail.redis.lset(trail.checkpoints, 0, await forged(other));
      expect(await trail.verify({ withFile: false })).toMatchObject({
        found: ['bad signature'],
        records: 0,
        unsealed: 8,
      });
    } finally {
      await other.close();
    }
  });

  it('of another tenant is foreign', async () => {
    await trail.redis.lset(trail.checkpoints, 0, await forged(trail, 'acme'));
    const { found, sentences } = await trail.verify({ withFile: false });
    expect(found).toEqual(['foreign']);
    expect(sentences).toEqual(['Checkpoint 1 is one of tenant acme.']);
  });

  it('that we signed as something else is foreign', async () => {
    await trail.redis.lset(trail.checkpoints, 0, await trail.signingKeys.sign('logout+jwt', { tenant: 'default' }));
    expect((await trail.verify({ withFile: false })).found).toEqual(['foreign']);
  });

  it('that is no JWS has a bad signature', async () => {
    await trail.redis.lset(trail.checkpoints, 0, 'so what');
    expect((await trail.verify({ withFile: false })).found).toEqual(['bad signature']);
  });

  it('whose marks were changed is told of, with its records intact or not', async () => {
    const text = (await trail.redis.lindex(trail.checkpoints, 0)) as string;
    await trail.redis.lset(
      trail.checkpoints,
      0,
      text.replace(/.$/, (mark) => (mark === 'A' ? 'B' : 'A')),
    );
    expect(await trail.verify()).toMatchObject({ found: ['changed'], records: 8 });
    await trail.rewrite(without(3));
    expect(await trail.verify()).toMatchObject({ found: ['changed', 'changed'], records: 0 });
  });

  it('that is missing between two others, repeated, or out of order is told of', async () => {
    for (let day = 1; day <= 2; day++) {
      trail.clock.now += 2 * 86_400_000;
      await trail.record(2);
      await trail.sealer().seal('default');
    }
    const [a, b, c] = (await trail.redis.lrange(trail.checkpoints, 0, -1)) as [string, string, string];
    const put = async (...texts: string[]) => {
      await trail.redis.del(trail.checkpoints);
      await trail.redis.rpush(trail.checkpoints, ...texts);
      return (await trail.verify({ withFile: false })).found;
    };
    expect(await put(a, b, c)).toEqual([]);
    expect(await put(a, c)).toEqual(['missing']);
    expect(await put(b, c)).toEqual(['cut off']);
    expect(await put(a, a, b, c)).toEqual(['reordered']);
    expect(await put(a, c, b)).toEqual(['missing', 'reordered']);
  });
});

describe('the file of checkpoints', () => {
  it('may have been cut in the middle of a line, and is still read', async () => {
    const text = readFileSync(trail.file, 'utf8');
    writeFileSync(trail.file, text.slice(0, 100));
    appendFileSync(trail.file, `\n${text}`);
    await trail.redis.del(trail.key, trail.checkpoints);
    expect((await trail.verify()).found).toEqual(['cut off']);
  });

  it('is no witness where another key signed it', async () => {
    const other = await openAuditTrail();
    try {
      await other.record(20);
      await other.sealer({ file: trail.file }).seal('default');
      expect((await trail.verify()).found).toEqual(['bad signature']);
    } finally {
      await other.close();
    }
  });

  it('that is lost costs what only it knew', async () => {
    rmSync(trail.file);
    writeFileSync(trail.file, '');
    expect((await trail.verify()).found).toEqual([]);
  });
});
