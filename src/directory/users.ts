/** The users of each tenant in Redis, with one index per identifier, changed only together. */
import { randomInt } from 'node:crypto';
import type { RedisClient } from '../redis.js';
import {
  canonical,
  formerlyCanonical,
  type Identifier,
  identifiersOf,
  type User,
  type UserAttributes,
  type UserResource,
} from './user.js';
import { FIND, FIRST_INDEX, isUnique, kinds, WRITE } from './user-scripts.js';

/** One thing to look for: the user with this id, or the users that an identifier names. */
export type Lookup = Identifier | { kind: 'id'; value: string };

/** Who lives, and who was deleted within the grace, the last of them first. */
export type Found = { living: User[]; deleted: User[] };

/** Two users, or two groups, of one tenant may not share this attribute. */
export class NotUnique extends Error {
  readonly attribute: string;
  constructor(attribute: string) {
    super(`another resource of this tenant already has this ${attribute}`);
    this.name = 'NotUnique';
    this.attribute = attribute;
  }
}

/** Somebody else changed the resource in between; the caller may read it anew and try again. */
export class Changed extends Error {}

export type Users = ReturnType<typeof createUsers>;

/** How long a deleted user, and a group that was left, still count, in milliseconds. */
export type Grace = { graceMs: number; now: () => number };

export function createUsers(redis: RedisClient, prefix: string, { graceMs, now }: Grace) {
  const numberOfKeys = kinds.length + 3;
  redis.defineCommand('userFind', { numberOfKeys, lua: FIND });
  redis.defineCommand('userWrite', { numberOfKeys, lua: WRITE });
  const commands = redis as unknown as Record<'userFind' | 'userWrite', (...args: string[]) => Promise<unknown>>;

  const keysOf = new Map<string, string[]>();
  const keys = (tenant: string): string[] => {
    let names = keysOf.get(tenant);
    if (!names) {
      names = ['users', ...kinds.map((kind) => `users-by-${kind}`), 'user-order', 'deleted-users'].map(
        (name) => `${prefix}:{${tenant}}:${name}`,
      );
      keysOf.set(tenant, names);
    }
    return names;
  };
  const usersKey = (tenant: string) => keys(tenant)[0] as string;
  const orderKey = (tenant: string) => keys(tenant).at(-2) as string;
  const deletedKey = (tenant: string) => keys(tenant).at(-1) as string;

  /** The users that each lookup finds, in one round trip. At most two living ones each unless `limit` says otherwise. */
  async function findWithDeleted(tenant: string, lookups: Lookup[], limit = 2, deletedLimit = 100): Promise<Found[]> {
    const args = lookups.flatMap(({ kind, value }) =>
      kind === 'id' ? ['id', value.replace(/\s/g, '')] : [keyNumber(kind), canonical(kind, value)],
    );
    const limits = [String(now() - graceMs), String(limit), String(deletedLimit)];
    const found = await commands.userFind(...keys(tenant), ...limits, ...args);
    return (found as Stored[][][]).map(([living, deleted]) => ({
      living: living?.map(parse) ?? [],
      deleted: deleted?.map(parse) ?? [],
    }));
  }

  /** The living, else the deleted: two are already ambiguous, but what only one may have is who had it last. */
  async function find(tenant: string, lookups: Lookup[], limit = 2): Promise<User[][]> {
    const found = await findWithDeleted(tenant, lookups, limit, limit);
    return found.map(({ living, deleted }, index) => {
      if (living.length > 0) return living;
      return isUnique(lookups[index]?.kind ?? 'id') ? deleted.slice(0, 1) : deleted;
    });
  }

  async function get(tenant: string, id: string): Promise<UserResource | undefined> {
    const text = await redis.hget(usersKey(tenant), id);
    const user = text === null ? undefined : (JSON.parse(text) as UserResource);
    return user?.deletedAt === undefined ? user : undefined;
  }

  /** Throws Changed where `before` is not what is stored, NotUnique where another user has the identifier. */
  async function write(
    tenant: string,
    before: UserResource | undefined,
    after: UserResource | undefined,
  ): Promise<void> {
    const old = before ? identifiersOf(before) : [];
    const former = before ? identifiersOf(before, formerlyCanonical) : [];
    const next = after ? identifiersOf(after) : [];
    const isIn = (list: Identifier[]) => (one: Identifier) =>
      list.some((other) => other.kind === one.kind && other.value === one.value);
    // What was written in another form is indexed in one of the two, or in both where the other is another value's too.
    const removed = [...old, ...former.filter((one) => !isIn(old)(one))].filter((one) => !isIn(next)(one));
    const added = next.filter((one) => !isIn(old)(one) || !isIn(former)(one));
    const flat = (list: Identifier[]) => list.flatMap(({ kind, value }) => [keyNumber(kind), value]);
    const { id, meta } = (after ?? before) as UserResource;
    const answer = await commands.userWrite(
      ...keys(tenant),
      id,
      before ? JSON.stringify(before) : '',
      after ? JSON.stringify(after) : '',
      String(Date.parse(meta.created)),
      after?.deletedAt === undefined ? '' : String(Date.parse(after.deletedAt)),
      meta.lastModified,
      String(removed.length),
      ...flat(removed),
      ...flat(added),
    );
    if (answer === 'changed') throw new Changed();
    if (answer !== 'ok') throw new NotUnique(kinds[Number(answer) - FIRST_INDEX] ?? 'identifier');
  }

  /** Ids in the order of creation, after the place where a page ended; '' is the beginning. Removals shift nothing. */
  async function idsAfter(tenant: string, place: string, limit: number): Promise<{ ids: string[]; place: string }> {
    const from = place === '' ? '-inf' : `(${place}`;
    const flat = await redis.zrange(orderKey(tenant), from, '+inf', 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES');
    return { ids: flat.filter((_, index) => index % 2 === 0), place: flat.at(-1) ?? place };
  }

  async function byIds(tenant: string, ids: readonly string[]): Promise<UserResource[]> {
    if (ids.length === 0) return [];
    const texts = await redis.hmget(usersKey(tenant), ...ids);
    return texts.flatMap((text) => (text === null ? [] : (JSON.parse(text) as UserResource)));
  }

  return {
    find,
    findWithDeleted,
    get,

    /** Throws NotUnique. */
    async create(tenant: string, attributes: UserAttributes): Promise<UserResource> {
      for (;;) {
        const at = new Date(now()).toISOString();
        const meta = { resourceType: 'User', created: at, lastModified: at, version: 'W/"1"' };
        const user = { ...attributes, id: newId(), meta };
        try {
          await write(tenant, undefined, user);
          return user;
        } catch (error) {
          // The id was taken, which happens once in a great many times.
          if (!(error instanceof Changed)) throw error;
        }
      }
    },

    /** Puts `attributes` in the place of `before`'s. Throws Changed and NotUnique. */
    async replace(tenant: string, before: UserResource, attributes: UserAttributes): Promise<UserResource> {
      const after = { ...attributes, id: before.id, meta: nextMeta(before.meta, now()) };
      await write(tenant, before, after);
      return after;
    },

    /** The user stays revocable until the grace is over; then a later removal sweeps it out. Throws Changed. */
    async remove(tenant: string, before: UserResource): Promise<void> {
      await write(tenant, before, {
        ...before,
        meta: nextMeta(before.meta, now()),
        deletedAt: new Date(now()).toISOString(),
      });
      const outlived = await redis.zrangebyscore(deletedKey(tenant), '-inf', now() - graceMs, 'LIMIT', 0, 10);
      for (const id of outlived) {
        const text = await redis.hget(usersKey(tenant), id);
        // Another removal may sweep at the same time.
        if (text) await write(tenant, JSON.parse(text) as UserResource, undefined).catch(onlyChanged);
      }
    },

    /** Users in the order of their creation, from the zero-based `offset`. */
    async page(tenant: string, offset: number, limit: number): Promise<UserResource[]> {
      if (limit <= 0) return [];
      return byIds(tenant, await redis.zrange(orderKey(tenant), String(offset), String(offset + limit - 1)));
    },

    idsAfter,

    /** Users in the order of creation, after the place where a page ended, and where this one did unless it is the last. */
    async pageAfter(tenant: string, place: string, limit: number) {
      const { ids, place: end } = await idsAfter(tenant, place, limit);
      return { users: await byIds(tenant, ids), ...(ids.length === limit && { next: end }) };
    },

    count: (tenant: string): Promise<number> => redis.zcard(orderKey(tenant)),
  };
}

type Stored = [resource: string, groups: string[]];

function parse([resource, groups]: Stored): User {
  return { resource: JSON.parse(resource), groups };
}

function onlyChanged(error: unknown): void {
  if (!(error instanceof Changed)) throw error;
}

export function nextMeta<M extends { version: string; lastModified: string }>(meta: M, nowMs: number): M {
  const version = Number(/\d+/.exec(meta.version)?.[0] ?? 0) + 1;
  return { ...meta, lastModified: new Date(nowMs).toISOString(), version: `W/"${version}"` };
}

/** Fifteen digits: as integers Redis keeps a set of them in eight bytes each. */
export function newId(): string {
  return String(randomInt(100_000_000, 999_999_999)) + String(randomInt(100_000, 999_999));
}

const keyNumber = (kind: Identifier['kind']) => String(kinds.indexOf(kind) + FIRST_INDEX);
