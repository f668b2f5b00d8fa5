/** Checkpoints from files in any order, of which those that contradict a trail are found. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { createWitnesses } from '../../src/audit/witnesses.js';

const headOf = (name: unknown) => createHash('sha256').update(String(name)).digest('base64url');

it('tells for each count the first that has another head, as a list of all would', () => {
  const witness = fc.record({ count: fc.nat(12), name: fc.nat(2), file: fc.constantFrom('a', 'b'), at: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(witness), fc.uniqueArray(fc.nat(12)), (list, counts) => {
      const witnesses = createWitnesses();
      const all = list.map(({ count, name, file, at }, line) => {
        witnesses.add({ count, head: headOf(name), at }, file, line);
        return { name, witness: { count, at, place: `${file}:${line}` } };
      });
      const most = Math.max(...list.map(({ count }) => count));
      expect(witnesses.furthest()).toEqual(all.find((one) => one.witness.count === most)?.witness);
      expect(witnesses.size()).toBe(list.length);
      const otherThan = witnesses.compare();
      for (const count of counts.sort((a, b) => a - b)) {
        const other = all.find((one) => one.witness.count === count && one.name !== 0);
        expect(otherThan(count, headOf(0))).toEqual(other?.witness);
      }
    }),
  );
});

it.each<[string, (i: number) => number]>([
  ['in order', (i) => i],
  ['the newest first', (i) => 9_999 - i],
  ['two files in turns', (i) => (i * 5_000) % 9_999],
])('finds one among ten thousand [%s]', (_, countOf) => {
  const witnesses = createWitnesses();
  const fileOf = (i: number) => (i < 5_000 ? 'older' : 'newer');
  for (let i = 0; i < 10_000; i++) {
    const count = countOf(i);
    witnesses.add({ count, head: headOf(count === 7_777 ? 'another' : count), at: i }, fileOf(i), i);
  }
  const otherThan = witnesses.compare();
  const found = Array.from({ length: 10_000 }, (_, count) => otherThan(count, headOf(count))).filter(Boolean);
  const at = Array.from({ length: 10_000 }, (_, i) => i).find((i) => countOf(i) === 7_777) as number;
  expect(found).toEqual([{ count: 7_777, at, place: `${fileOf(at)}:${at}` }]);
});
