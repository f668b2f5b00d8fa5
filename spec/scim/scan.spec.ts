/** Lists of a directory that is too large to be counted out: in portions, in bounded time, and going on where they stopped. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { userAttributes } from '../../src/scim/attributes.js';
import { type ListLimits, list, type Page, type Source } from '../../src/scim/list.js';
import { scan } from '../../src/scim/scan.js';

const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

type Item = { id: string; userName: string; title: string };

const items = (titles: string[]): Item[] => titles.map((title, n) => ({ id: `${n}`, userName: `u${n}`, title }));

/** A directory of these; `onPage` hears of each look. */
function sourceOf(all: Item[], onPage: (offset: number) => void = () => {}): Source<Item> {
  return {
    name: randomUUID(),
    attribute: userAttributes,
    count: async () => all.length,
    async page(offset, limit) {
      onPage(offset);
      return all.slice(offset, offset + limit);
    },
    candidates: async () => undefined,
    filterable: async (some) => some,
  };
}

const never: ListLimits = { exact: 0, portion: 3, budgetMs: 60_000, emptyBudgetMs: 60_000 };
const atOnce: ListLimits = { ...never, budgetMs: -1, emptyBudgetMs: -1 };

const query = (more: object = {}) => ({ filter: 'title eq "x"', ...more });

async function walk(
  source: Source<Item>,
  limits: ListLimits,
  count: number,
): Promise<{ seen: string[]; pages: Page<Item>[] }> {
  const pages: Page<Item>[] = [];
  const seen: string[] = [];
  for (let startIndex = 1; pages.length < 200; ) {
    const page = await list(source, query({ startIndex, count }), { redis, prefix }, limits);
    expect(page.resources.length).toBeLessThanOrEqual(count);
    pages.push(page);
    seen.push(...page.resources.map(({ id }) => id));
    startIndex += page.resources.length;
    if (startIndex > page.totalResults) return { seen, pages };
  }
  throw new Error('this list has no end');
}

describe('a list that is scanned', () => {
  const titles = fc.array(fc.constantFrom('x', 'y'), { maxLength: 30 });

  it.each([
    ['in one go', never],
    ['with an end after each portion', atOnce],
  ])('holds every match once, in order, whatever the page [%s]', async (_, limits) => {
    await fc.assert(
      fc.asyncProperty(titles, fc.integer({ min: 1, max: 8 }), async (some, count) => {
        const all = items(some);
        const { seen } = await walk(sourceOf(all), limits, count);
        expect(seen).toEqual(all.filter(({ title }) => title === 'x').map(({ id }) => id));
      }),
      { numRuns: 150 },
    );
  });

  it('looks at each resource once, since the place where it stopped is remembered', async () => {
    const offsets: number[] = [];
    const all = items(Array.from({ length: 60 }, (_, n) => (n % 6 === 0 ? 'x' : 'y')));
    const { seen } = await walk(
      sourceOf(all, (offset) => offsets.push(offset)),
      atOnce,
      2,
    );
    expect(seen).toHaveLength(10);
    // Twenty portions, and one look more where a page ended within a portion, or at the end.
    expect(offsets.length).toBeLessThan(40);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  });

  it('gives a page without anybody where the time is up, and the same request goes on from there', async () => {
    const all = items([...Array(10).fill('y'), 'x']);
    const source = sourceOf(all);
    const ask = () => list(source, query({ count: 5 }), { redis, prefix }, atOnce);
    const pages = [await ask(), await ask(), await ask(), await ask()];
    expect(pages.map(({ resources }) => resources.length)).toEqual([0, 0, 0, 1]);
    expect(pages.map(({ totalResults }) => totalResults)).toEqual([1, 1, 1, 2]);
  });

  it('goes on from there once: whoever asks after that begins with the first', async () => {
    const all = items(['y', 'y', 'y', 'y', 'x']);
    const source = sourceOf(all);
    const ask = async () => {
      const { resources } = await list(source, query({ count: 5 }), { redis, prefix }, atOnce);
      return resources.map(({ id }) => id);
    };
    expect([await ask(), await ask()]).toEqual([[], ['4']]);
    all[1] = { id: '1', userName: 'u1', title: 'x' };
    expect(await ask()).toEqual(['1']);
  });

  it('that begins anew looks at everyone again', async () => {
    const all = items(['x', 'y', 'y', 'x', 'y', 'y', 'x']);
    const source = sourceOf(all);
    const ask = (startIndex: number) => list(source, query({ startIndex, count: 1 }), { redis, prefix }, never);
    expect((await ask(1)).resources.map(({ id }) => id)).toEqual(['0']);
    expect((await ask(2)).resources.map(({ id }) => id)).toEqual(['3']);
    expect((await ask(1)).resources.map(({ id }) => id)).toEqual(['0']);
    expect((await ask(3)).resources.map(({ id }) => id)).toEqual(['6']);
    expect((await ask(2)).resources.map(({ id }) => id)).toEqual(['3']);
  });

  it('finds its place also where nobody remembers it', async () => {
    const all = items(Array.from({ length: 20 }, (_, n) => (n % 2 ? 'x' : 'y')));
    const page = await list(sourceOf(all), query({ startIndex: 8, count: 2 }), { redis, prefix }, never);
    expect(page.resources.map(({ id }) => id)).toEqual(['15', '17']);
    const last = await list(sourceOf(all), query({ startIndex: 12, count: 2 }), { redis, prefix }, never);
    expect(last).toMatchObject({ resources: [], totalResults: 10 });
  });

  it('keeps places of one filter, one tenant and one kind apart', async () => {
    const all = items(['x', 'y', 'x', 'y']);
    const source = sourceOf(all);
    const other = sourceOf(items(['y', 'y', 'y', 'x', 'x']));
    await list(source, query({ count: 1 }), { redis, prefix }, never);
    const elsewhere = await list(other, query({ startIndex: 2 }), { redis, prefix }, never);
    expect(elsewhere.resources.map(({ id }) => id)).toEqual(['4']);
    const y = await list(source, { filter: 'title eq "y"', startIndex: 2 }, { redis, prefix }, never);
    expect(y.resources.map(({ id }) => id)).toEqual(['3']);
  });

  it('leaves places that pass away', async () => {
    await list(sourceOf(items(['x', 'x'])), query({ count: 1 }), { redis, prefix }, never);
    const keys = await redis.keys(`${prefix}:scim-position:*`);
    expect(keys.length).toBeGreaterThan(0);
    const left = await Promise.all(keys.map((key) => redis.ttl(key)));
    expect(Math.min(...left)).toBeGreaterThan(0);
    expect(Math.max(...left)).toBeLessThanOrEqual(600);
  });

  it.each([
    ['to be sorted', { sortBy: 'title' }],
    ['to be sorted and filtered', query({ sortBy: 'title' })],
    ['to be counted', query({ count: 0 })],
  ])('is too long %s', async (_, asked) => {
    const refused = list(sourceOf(items(['x'])), asked, { redis, prefix }, never);
    await expect(refused).rejects.toMatchObject({ status: 400, scimType: 'tooMany' });
  });
});

describe('a portion', () => {
  const portions = (all: Item[]) => async (offset: number) =>
    all.slice(offset, offset + 4).map((resource) => ({ resource, matches: resource.title === 'x' }));

  it('is read until the page is full', async () => {
    const all = items(['x', 'y', 'x', 'x', 'x']);
    const { resources, left } = await scan(portions(all), { offset: 0, skip: 1 }, 2, () => false);
    expect(resources.map(({ id }) => id)).toEqual(['2', '3']);
    expect(left).toEqual({ offset: 4, skip: 0 });
  });

  it('remembers what is still to be passed over when the time is up', async () => {
    const all = items(['x', 'y', 'y', 'y', 'x', 'x']);
    const { resources, left } = await scan(portions(all), { offset: 0, skip: 2 }, 2, () => true);
    expect(resources).toEqual([]);
    expect(left).toEqual({ offset: 4, skip: 1 });
    expect(
      (await scan(portions(all), left ?? { offset: 0, skip: 0 }, 2, () => true)).resources.map(({ id }) => id),
    ).toEqual(['5']);
  });

  it('says how many were not there to be passed over', async () => {
    expect(await scan(portions(items(['x', 'y'])), { offset: 0, skip: 3 }, 2, () => true)).toEqual({
      resources: [],
      left: { offset: 2, skip: 2 },
      missing: 0,
    });
    expect(await scan(portions(items(['x', 'y'])), { offset: 2, skip: 2 }, 2, () => true)).toEqual({
      resources: [],
      left: undefined,
      missing: 2,
    });
  });

  it('is told how many there are already', async () => {
    const heard: number[] = [];
    await scan(portions(items(['x', 'y', 'x', 'y', 'x'])), { offset: 0, skip: 0 }, 9, (found) => heard.push(found) > 9);
    expect(heard).toEqual([2, 3]);
  });
});
