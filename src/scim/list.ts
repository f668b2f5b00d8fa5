/** Lists of resources (RFC 7644 §3.4.2): pages by index, by look-up, or by a scan that is bounded in time. */

import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Filter } from 'scim2-parse-filter';
import { z } from 'zod';
import { matches, parseFilter, valuesAt } from './filter.js';
import { ScimError } from './scim-error.js';

const MAX_COUNT = 1_000;
const DEFAULT_COUNT = 100;
const MAX_SORTED = 10_000;
const SCAN_CHUNK = 500;
const SCAN_BUDGET_MS = 2_000;
const POSITION_TTL_SECONDS = 600;

const integer = z.coerce.number().int();

const query = z.looseObject({
  filter: z.string().optional(),
  startIndex: integer.default(1).transform((index) => Math.max(1, index)),
  count: integer.default(DEFAULT_COUNT).transform((count) => Math.min(Math.max(0, count), MAX_COUNT)),
  sortBy: z.string().optional(),
  sortOrder: z.enum(['ascending', 'descending']).default('ascending'),
});

export type Page<R> = { resources: R[]; totalResults: number; startIndex: number };

/** Where the resources of one kind are. */
export type Source<R> = {
  /** Names the kind and the tenant, in keys of scan positions. */
  name: string;
  count(): Promise<number>;
  /** In a stable order, from a zero-based offset. */
  page(offset: number, limit: number): Promise<R[]>;
  /** Resources that include every match of the filter, where an index knows. */
  candidates(filter: Filter): Promise<R[]> | undefined;
};

export async function list<R>(
  source: Source<R>,
  rawQuery: unknown,
  store: { redis: Redis; prefix: string },
): Promise<Page<R>> {
  const parsed = query.safeParse(rawQuery);
  if (!parsed.success) {
    const names = parsed.error.issues.map(({ path }) => String(path[0])).join(', ');
    throw new ScimError(400, 'invalidValue', `Wrong query parameter: ${names}.`);
  }
  const { filter: text, startIndex, count, sortBy, sortOrder } = parsed.data;
  const filter = text === undefined ? undefined : parseFilter(text);
  const candidates = filter && source.candidates(filter);
  if (candidates) {
    const found = (await candidates).filter((one) => matches(one, filter as Filter));
    return slice(sorted(found, sortBy, sortOrder), startIndex, count);
  }
  if (sortBy !== undefined) {
    if ((await source.count()) > MAX_SORTED) {
      throw new ScimError(
        400,
        'tooMany',
        `More than ${MAX_SORTED} resources cannot be sorted: leave sortBy out or filter by userName, externalId, id or emails.`,
      );
    }
    const all = (await source.page(0, MAX_SORTED)).filter((one) => !filter || matches(one, filter));
    return slice(sorted(all, sortBy, sortOrder), startIndex, count);
  }
  if (!filter) {
    const [resources, totalResults] = await Promise.all([source.page(startIndex - 1, count), source.count()]);
    return { resources, totalResults, startIndex };
  }
  return scan(source, filter, `${text}`, { startIndex, count }, store);
}

/**
 * Looks through the resources until the page is full, everything was seen, or the time is up. Where it stops
 * early, `totalResults` counts one more than was found, so that the client asks for the next page; where that
 * page starts is remembered.
 */
async function scan<R>(
  source: Source<R>,
  filter: Filter,
  text: string,
  { startIndex, count }: { startIndex: number; count: number },
  { redis, prefix }: { redis: Redis; prefix: string },
): Promise<Page<R>> {
  const key = (index: number) => `${prefix}:scan:${hash(JSON.stringify([source.name, text, index]))}`;
  const remembered = startIndex > 1 ? await redis.get(key(startIndex)) : null;
  let offset = Number(remembered ?? 0);
  let skip = remembered === null ? startIndex - 1 : 0;
  const deadline = performance.now() + SCAN_BUDGET_MS;
  const resources: R[] = [];
  let seen = 0;
  for (;;) {
    const chunk = await source.page(offset, SCAN_CHUNK);
    for (const one of chunk) {
      if (resources.length === count && count > 0) break;
      offset++;
      if (!matches(one, filter)) continue;
      seen++;
      if (skip > 0) skip--;
      else if (count > 0) resources.push(one);
    }
    const isFull = count > 0 && resources.length === count;
    const isEnd = chunk.length < SCAN_CHUNK && !isFull;
    const before = startIndex - 1 - skip;
    if (isEnd) return { resources, totalResults: count > 0 ? before + resources.length : seen, startIndex };
    if (isFull || performance.now() > deadline) {
      const next = startIndex + resources.length;
      await redis.set(key(next), offset, 'EX', POSITION_TTL_SECONDS);
      return { resources, totalResults: next, startIndex };
    }
  }
}

function slice<R>(all: R[], startIndex: number, count: number): Page<R> {
  return { resources: all.slice(startIndex - 1, startIndex - 1 + count), totalResults: all.length, startIndex };
}

function sorted<R>(all: R[], sortBy: string | undefined, sortOrder: 'ascending' | 'descending'): R[] {
  if (sortBy === undefined) return all;
  const keyOf = (one: R) => {
    const [first] = valuesAt(one, sortBy);
    const value = first !== null && typeof first === 'object' && 'value' in first ? first.value : first;
    return value === undefined ? undefined : String(value).toLowerCase();
  };
  const sign = sortOrder === 'ascending' ? 1 : -1;
  // RFC 7644 §3.4.2.3: those without a value come last when ascending, first when descending.
  return all.toSorted((a, b) => {
    const [x, y] = [keyOf(a), keyOf(b)];
    if (x === y) return 0;
    if (x === undefined) return sign;
    if (y === undefined) return -sign;
    return x < y ? -sign : sign;
  });
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
