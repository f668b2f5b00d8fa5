/** Reads a tenant's directory in chunks of bounded size, and judges each item by one atomic read of all that it touches. */
import { setTimeout as sleep } from 'node:timers/promises';
import { mastersOf, type RedisClient } from '../redis.js';

const CHUNK = 250;
const MAX_TRIES = 10;
const BETWEEN_TRIES_MS = 20;

/** The same of many members at once. */
const MANY: Partial<Record<Read[0], string>> = { hget: 'hmget', zscore: 'zmscore', sismember: 'smismember' };

/** `problem` may name a person: it is for an operator's eyes. */
export type Disagreement = {
  kind: 'unreadable' | 'not_indexed' | 'dead_entry' | 'order' | 'membership' | 'leftover';
  problem: string;
};

/** A field and its value, or a member and its score. */
export type Pair = [string, string];

/** Of one member of a key, or of the key as a whole. */
export type Read = [name: 'hget' | 'zscore' | 'sismember' | 'hexists' | 'exists', key: string, member?: string];
export type Reply = string | number | null | undefined;

/** `now` is the item as it is by now, where it is not the one that was asked about. */
export type Verdict<Item> = Disagreement[] | { now: Item };

export type ReaderOptions = { redis: RedisClient; prefix: string; tenant: string; onChecked?: (count: number) => void };

export type Reader = ReturnType<typeof createReader>;

export function createReader({ redis, prefix, tenant, onChecked = () => {} }: ReaderOptions) {
  const key = (name: string) => `${prefix}:{${tenant}}:${name}`;

  /** The fields of a hash with their values, or the members of a sorted set with their scores. */
  async function* pairs(command: 'hscan' | 'zscan', name: string): AsyncGenerator<Pair[]> {
    let cursor = '0';
    do {
      const [next, flat] = await redis[command](key(name), cursor, 'COUNT', CHUNK);
      cursor = next;
      const found = flat.flatMap((item, index): Pair[] => (index % 2 === 0 ? [[item, flat[index + 1] as string]] : []));
      yield* chunks(found);
    } while (cursor !== '0');
  }

  /** What the names of keys have after `name:`. */
  async function* owners(name: string): AsyncGenerator<string[]> {
    // One of them has all keys of a tenant; which one may change meanwhile.
    for (const master of mastersOf(redis)) {
      let cursor = '0';
      do {
        const [next, found] = await master.scan(cursor, 'MATCH', key(`${name}:*`), 'COUNT', CHUNK);
        cursor = next;
        if (found.length > 0) yield found.map((one) => one.slice(key(`${name}:`).length));
      } while (cursor !== '0');
    }
  }

  /** Each member of every set `name:owner`, many sets at a time. */
  async function* members(name: string): AsyncGenerator<{ owner: string; member: string }[]> {
    for await (const found of owners(name)) {
      let open = found.map((owner) => ({ owner, cursor: '0' }));
      while (open.length > 0) {
        const scans = open.map(({ owner, cursor }) => redis.sscan(key(`${name}:${owner}`), cursor, 'COUNT', CHUNK));
        const answers = await Promise.all(scans);
        const pieces = open.map(({ owner }, index) => {
          const [cursor, list] = answers[index] as [string, string[]];
          return { owner, cursor, list };
        });
        yield* chunks(pieces.flatMap(({ owner, list }) => list.map((member) => ({ owner, member }))));
        open = pieces.filter(({ cursor }) => cursor !== '0');
      }
    }
  }

  /** The replies in the order of the reads; what is asked of one key is asked at once. */
  async function atomically(reads: Read[]): Promise<Reply[]> {
    const commands = new Map<string, string[]>();
    const places = reads.map(([name, target, member]) => {
      const many = MANY[name];
      const id = (many ? [many, target] : [name, target, member]).join('\0');
      const command = commands.get(id) ?? [many ?? name, target];
      commands.set(id, command);
      if (many || command.length === 2) command.push(...(member === undefined ? [] : [member]));
      return { id, index: many ? command.length - 3 : undefined };
    });
    const answers = (await redis.multi([...commands.values()]).exec()) ?? [];
    const byId = new Map([...commands.keys()].map((id, index) => [id, answers[index]]));
    return places.map(({ id, index }) => {
      const [error, reply] = byId.get(id) ?? [new Error('the transaction was not carried out')];
      if (error) throw error;
      return index === undefined ? (reply as Reply) : (reply as Reply[])[index];
    });
  }

  /** What never holds still while it is looked at is left for another run. */
  async function* judged<Item>(
    items: Item[],
    readsOf: (item: Item) => Read[],
    judge: (item: Item, replies: Reply[]) => Verdict<Item>,
  ): AsyncGenerator<Disagreement> {
    let open = items;
    for (let tries = 1; open.length > 0 && tries <= MAX_TRIES; tries++) {
      if (tries > 1) await sleep(BETWEEN_TRIES_MS);
      const reads = open.map(readsOf);
      const replies = await atomically(reads.flat());
      const changed: Item[] = [];
      let position = 0;
      for (const [index, item] of open.entries()) {
        const count = reads[index]?.length ?? 0;
        const verdict = judge(item, replies.slice(position, position + count));
        position += count;
        if ('now' in verdict) changed.push(verdict.now);
        else yield* verdict;
      }
      open = changed;
    }
    onChecked(items.length);
  }

  return { key, pairs, owners, members, judged };
}

function* chunks<T>(list: T[]): Generator<T[]> {
  for (let start = 0; start < list.length; start += CHUNK) yield list.slice(start, start + CHUNK);
}

/** The resource of this id, or undefined where the text is none. */
export function parseStored<T extends { id: string }>(text: unknown, id: string): T | undefined {
  try {
    const resource = JSON.parse(String(text)) as T | null;
    return resource?.id === id ? resource : undefined;
  } catch {
    return undefined;
  }
}
