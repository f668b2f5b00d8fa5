/** Lists of resources (RFC 7644 §3.4.2): pages by index, by look-up, or by a look through all that is bounded in time. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { RedisClient } from '../redis.js';
import type { Attribute } from './attributes.js';
import { type Filter, matches, parseFilter } from './filter.js';
import { type Position, scan } from './scan.js';
import { ScimError } from './scim-error.js';
import { sorted } from './sort.js';

export const MAX_COUNT = 1_000;
const DEFAULT_COUNT = 100;

export type ListLimits = {
  /** Up to so many resources, a filter is counted out and a sort is carried out. */
  exact: number;
  portion: number;
  /** How long one answer may look for matches: with one in hand, and with none. */
  budgetMs: number;
  emptyBudgetMs: number;
};

const LIMITS: ListLimits = { exact: 10_000, portion: 500, budgetMs: 2_000, emptyBudgetMs: 10_000 };

/** How long the place where a list goes on is known. */
const POSITION_TTL_SECONDS = 600;
const RETRY_TTL_SECONDS = 60;

const integer = z.coerce.number().int();

const query = z.looseObject({
  filter: z.string().optional(),
  startIndex: integer.default(1).transform((index) => Math.max(1, index)),
  count: integer.default(DEFAULT_COUNT).transform((count) => Math.min(Math.max(0, count), MAX_COUNT)),
  sortBy: z.string().min(1).optional(),
  sortOrder: z.enum(['ascending', 'descending']).default('ascending'),
});

export type Page<R> = { resources: R[]; totalResults: number; startIndex: number };

/** Where the resources of one kind are. */
export type Source<R> = {
  /** Names the kind and the tenant, in keys of positions. */
  name: string;
  attribute: Attribute;
  count(): Promise<number>;
  /** In a stable order, from a zero-based offset. */
  page(offset: number, limit: number): Promise<R[]>;
  /** Resources that include every match of the filter, where an index knows. Throws where a filter is not served. */
  candidates(filter: Filter): Promise<R[] | undefined>;
  /** The resources with whatever else the filter looks at. */
  filterable(resources: R[], filter: Filter): Promise<unknown[]>;
};

/** Throws a ScimError where the query is wrong or asks for too much. */
export async function list<R>(
  source: Source<R>,
  rawQuery: unknown,
  store: { redis: RedisClient; prefix: string },
  limits = LIMITS,
): Promise<Page<R>> {
  const { filter: text, startIndex, count, ...order } = parseQuery(rawQuery);
  const filter = text === undefined ? undefined : parseFilter(text, source.attribute);
  const slice = (all: R[]): Page<R> => ({
    resources: sorted(all, order, source.attribute).slice(startIndex - 1, startIndex - 1 + count),
    totalResults: all.length,
    startIndex,
  });

  const candidates = filter && (await source.candidates(filter));
  if (candidates) return slice(await matching(source, candidates, filter));
  const total = await source.count();
  if (!filter && order.sortBy === undefined) {
    return { resources: await source.page(startIndex - 1, count), totalResults: total, startIndex };
  }
  if (total <= limits.exact) {
    const all: R[] = [];
    for (let offset = 0; offset < total; offset += limits.portion) {
      all.push(...(await matching(source, await source.page(offset, limits.portion), filter)));
    }
    return slice(all);
  }
  if (!filter || order.sortBy !== undefined || count === 0) {
    const what = filter && count === 0 ? 'count the matches among' : 'sort';
    throw new ScimError(400, 'tooMany', `Too many to ${what}: there are more than ${limits.exact} resources.`);
  }
  return look(source, filter, { key: `${source.name} ${text}`, startIndex, count }, store, limits);
}

function parseQuery(rawQuery: unknown): z.output<typeof query> {
  const parsed = query.safeParse(rawQuery);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map(({ path }) => String(path[0])).join(', ');
  throw new ScimError(400, 'invalidValue', `Wrong query parameter: ${names}.`);
}

async function matching<R>(source: Source<R>, resources: R[], filter: Filter | undefined): Promise<R[]> {
  if (!filter) return resources;
  const seen = await source.filterable(resources, filter);
  return resources.filter((_, index) => matches(seen[index], filter, source.attribute));
}

/**
 * Where the time is up before everything was seen, `totalResults` counts one more than was found, so that the client
 * asks for the next page; where that page begins is remembered.
 */
async function look<R>(
  source: Source<R>,
  filter: Filter,
  { key, startIndex, count }: { key: string; startIndex: number; count: number },
  { redis, prefix }: { redis: RedisClient; prefix: string },
  limits: ListLimits,
): Promise<Page<R>> {
  const positionKey = (index: number) =>
    `${prefix}:scim-position:${createHash('sha256').update(`${key} ${index}`).digest('base64url')}`;
  const own = positionKey(startIndex);
  // A list that begins anew looks at everyone, unless it is the same request again after one that found nobody.
  const remembered = await (startIndex === 1 ? redis.getdel(own) : redis.get(own));
  const from: Position =
    remembered === null ? { offset: 0, skip: startIndex - 1 } : (JSON.parse(remembered) as Position);

  async function portion(offset: number) {
    const resources = await source.page(offset, limits.portion);
    const seen = await source.filterable(resources, filter);
    return resources.map((resource, index) => ({
      resource,
      matches: matches(seen[index], filter, source.attribute),
    }));
  }

  const begun = performance.now();
  const { resources, left, missing } = await scan(
    portion,
    from,
    count,
    (found) => performance.now() - begun > (found > 0 ? limits.budgetMs : limits.emptyBudgetMs),
  );
  const next = startIndex + resources.length;
  if (!left) return { resources, totalResults: next - 1 - missing, startIndex };
  const ttl = resources.length > 0 ? POSITION_TTL_SECONDS : RETRY_TTL_SECONDS;
  await redis.set(positionKey(next), JSON.stringify(left), 'EX', ttl);
  return { resources, totalResults: next, startIndex };
}
