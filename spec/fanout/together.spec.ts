/** Questions of one moment are asked together, and each has its own answer. */
import { together } from '../../src/fanout/together.js';

/** Doubles numbers, and remembers what it was asked at once. */
function doubling() {
  const batches: number[][] = [];
  const ask = async (numbers: readonly number[]) => {
    batches.push([...numbers]);
    return numbers.map((number) => (number < 0 ? new RangeError(`${number}`) : 2 * number));
  };
  return { batches, ask };
}

it('asks what is there in one turn of the event loop at once, so many at most, and the next turn anew', async () => {
  const { batches, ask } = doubling();
  const double = together(ask, 2);
  expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6]);
  expect(await double(4)).toBe(8);
  expect(batches).toEqual([[1, 2], [3], [4]]);
});

it('takes in what comes up in the callbacks of the same turn', async () => {
  const { batches, ask } = doubling();
  const double = together(ask, 10);
  const later = new Promise((resolve) => process.nextTick(() => resolve(double(2))));
  await Promise.all([double(1), Promise.resolve().then(() => double(3)), later]);
  expect(batches.map((batch) => batch.sort((a, b) => a - b))).toEqual([[1, 2, 3]]);
});

it('tells of what failed alone only whoever asked it', async () => {
  const double = together(doubling().ask, 10);
  const [one, other] = await Promise.allSettled([double(-1), double(1)]);
  expect(one).toEqual({ status: 'rejected', reason: new RangeError('-1') });
  expect(other).toEqual({ status: 'fulfilled', value: 2 });
});

it('tells everybody who was asked for together that the asking failed, and goes on', async () => {
  let away = true;
  const { ask } = doubling();
  const double = together((numbers: readonly number[]) => {
    if (away) throw new Error('away');
    return ask(numbers);
  }, 10);
  const failed = await Promise.allSettled([double(1), double(2)]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  away = false;
  expect(await double(1)).toBe(2);
});
