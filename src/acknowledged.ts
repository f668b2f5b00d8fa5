/** What must not be lost with a master counts once so many replicas have it: `REDIS_WAIT_REPLICAS`. */
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type Redis, ReplyError } from 'ioredis';
import { isRedisFailure, mastersOf, type RedisClient } from './redis.js';

/** Leaves the rest of a second to the write itself. */
const WAIT_MS = 400;
const AGAIN_AFTER_MS = 100;

export type Acknowledged = <T>(write: () => Promise<T>) => Promise<T>;

/**
 * Carries out a write of `redis`, or a read of what has been written, and answers what that answers once `replicas`
 * replicas have acknowledged it: on disk, as this master does, where the server has WAITAOF (Redis 7.2), else in memory
 * (WAIT). Throws where fewer do in time, and where the connection was another one in the end: then nobody knows. What
 * was written stays, so the caller may repeat it. `key` is in the hash slot of what is written. While it waits nothing
 * else gets through on this connection, so `redis` is for such writes alone; those that come meanwhile wait together.
 */
export function createAcknowledged(redis: RedisClient, key: string, replicas: number): Acknowledged {
  const withoutWaitAof = new WeakSet<object>();
  // By connection: what has gone out, and what goes out when that is answered.
  const underWay = new WeakMap<object, Promise<unknown>>();
  const gathering = new WeakMap<object, Promise<number>>();
  let slot: number | undefined;

  return async function acknowledged<T>(write: () => Promise<T>): Promise<T> {
    const before = (await master()).stream;
    const answer = await write();
    const { stream } = await master();
    if (stream !== before) throw new OtherMaster('the master of Redis was another one after the write than before');
    const count = await together(await master());
    if ((await master()).stream !== before) throw new OtherMaster('the connection to the master of Redis broke');
    if (count < replicas) {
      throw new Error(`${count} of the ${replicas} replicas of REDIS_WAIT_REPLICAS had it within ${WAIT_MS} ms`);
    }
    return answer;
  };

  /** Whoever has written before it goes out is served by it. */
  function together(node: Redis): Promise<number> {
    const { stream } = node;
    const joined = gathering.get(stream);
    if (joined) return joined;
    const next = (underWay.get(stream) ?? Promise.resolve()).then(() => {
      gathering.delete(stream);
      return acknowledgements(node);
    });
    gathering.set(stream, next);
    underWay.set(
      stream,
      next.catch(() => {}),
    );
    return next;
  }

  /** A write of its own goes first: WAIT is for the writes of its connection, and what is repeated writes nothing. */
  async function acknowledgements(node: Redis): Promise<number> {
    const { stream } = node;
    const marked = node.set(key, '1', 'EX', 60);
    if (withoutWaitAof.has(stream)) return (await Promise.all([node.wait(replicas, WAIT_MS), marked]))[0];
    try {
      const [reply] = await Promise.all([node.call('WAITAOF', 1, replicas, WAIT_MS), marked]);
      const [local, others] = reply as [number, number];
      return local === 1 ? others : 0;
    } catch (error) {
      if (!/unknown command/i.test((error as Error).message)) throw error;
      withoutWaitAof.add(stream);
      return acknowledgements(node);
    }
  }

  async function master(): Promise<Redis> {
    if (!(redis instanceof Cluster)) return redis;
    slot ??= await redis.cluster('KEYSLOT', key);
    const address = redis.slots[slot]?.[0];
    const node = mastersOf(redis).find(({ options }) => `${options.host}:${options.port}` === address);
    if (!node) throw new Error('the master of a hash slot is not known');
    // It connects when it is first asked something.
    if (!node.stream) await node.ping();
    return node;
  }
}

/** Whatever was written may be gone. */
class OtherMaster extends Error {}

/**
 * For what has been done and cannot be refused any more: writes it again, on whichever master is there by then, until
 * it is acknowledged. `safe` is false where this master has it and, for want of replicas, nobody says that it will last.
 * Throws where the write itself is wrong, and where there is no master before `stop`.
 */
export async function writeSafely<T>(
  acknowledged: Acknowledged,
  write: () => Promise<T>,
  stop: AbortSignal,
): Promise<{ answer: T; safe: boolean }> {
  for (;;) {
    const written: T[] = [];
    try {
      const answer = await acknowledged(async () => {
        written.push(await write());
        return written[0] as T;
      });
      return { answer, safe: true };
    } catch (error) {
      if (!isForAnotherMaster(error)) {
        if (written.length === 0) throw error;
        return { answer: written[0] as T, safe: false };
      }
    }
    await delay(AGAIN_AFTER_MS, undefined, { signal: stop });
  }
}

/** A master that becomes a replica refuses writes, and ends whatever waits there. */
function isForAnotherMaster(error: unknown): boolean {
  if (error instanceof ReplyError) return /READONLY|UNBLOCKED/.test((error as Error).message);
  return error instanceof OtherMaster || isRedisFailure(error);
}
