/** Any manipulation of any sealed stretch is found, and where there is none nothing is. */
import fc from 'fast-check';
import { type AuditTrail, openAuditTrail, type Raw } from '../support/audit-trail.js';

const RECORDS = 12;

let trail: AuditTrail;
let sealed: Raw[];

beforeAll(async () => {
  trail = await openAuditTrail();
  // Some are alike but for their ids, as refusals are.
  const sealer = trail.sealer();
  for (let i = 0; i < RECORDS; i++) {
    await trail.redis.xadd(
      trail.key,
      `${1_000 * (i + 1)}-${i % 3}`,
      'event',
      'revocation.refused',
      'status',
      String(400 + (i % 4)),
    );
    if (i % 5 === 4) await sealer.seal('default');
  }
  await sealer.seal('default');
  sealed = await trail.entries();
});
afterAll(() => trail.close());

const place = fc.nat(RECORDS - 1);
const text = fc.string({ maxLength: 4 });
const id = fc.tuple(fc.integer({ min: 1, max: 20_000 }), fc.nat(3)).map(([ms, number]) => `${ms}-${number}`);

type Change = (entries: Raw[]) => Raw[];
const at = <T>(list: readonly T[], index: number) => list[index % list.length] as T;

/** One thing that somebody may do to a stream. */
const change: fc.Arbitrary<Change> = fc.oneof(
  place.map(
    (index): Change =>
      (entries) =>
        entries.filter((_, i) => i !== index % entries.length),
  ),
  fc.tuple(place, id).map(
    ([index, stamp]): Change =>
      (entries) =>
        entries.map((entry, i) => (i === index % entries.length ? [stamp, entry[1]] : entry)),
  ),
  fc.tuple(place, fc.nat(3), text).map(
    ([index, field, value]): Change =>
      (entries) =>
        entries.map(([stamp, fields], i) => [stamp, i === index % entries.length ? fields.with(field, value) : fields]),
  ),
  fc.tuple(place, place).map(
    ([a, b]): Change =>
      (entries) =>
        entries.map(([stamp, fields], i) => {
          if (i === a % entries.length) return [stamp, at(entries, b)[1]];
          return [stamp, i === b % entries.length ? at(entries, a)[1] : fields];
        }),
  ),
  fc.tuple(id, place).map(
    ([stamp, index]): Change =>
      (entries) => [...entries, [stamp, at(entries, index)[1]]],
  ),
  fc.integer({ min: 1, max: RECORDS }).map(
    (count): Change =>
      (entries) =>
        entries.slice(0, -count),
  ),
  fc.integer({ min: 1, max: RECORDS }).map(
    (count): Change =>
      (entries) =>
        entries.slice(count),
  ),
);

/** As a stream can hold it: by id, each once. */
function asStream(entries: Raw[]): Raw[] {
  const order = ([stamp]: Raw) => stamp.split('-').map(Number) as [number, number];
  const byId = new Map(entries.map((entry) => [entry[0], entry]));
  return [...byId.values()].sort((a, b) => {
    const [x, y] = [order(a), order(b)];
    return x[0] - y[0] || x[1] - y[1];
  });
}

it('finds every manipulation of sealed records', async () => {
  const end = sealed.at(-1)?.[0].split('-').map(Number)[0] as number;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      let entries = sealed;
      for (const one of changes) if (entries.length > 0) entries = asStream(one(entries));
      await trail.rewrite(() => entries);
      const { found } = await trail.verify({ withFile: false });
      const upToEnd = entries.filter(([stamp]) => Number(stamp.split('-')[0]) <= end);
      const touched = JSON.stringify(upToEnd) !== JSON.stringify(sealed);
      expect(found.length > 0).toBe(touched);
    }),
    { numRuns: 200 },
  );
});
