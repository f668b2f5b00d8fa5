/** Connections to Redis: one that fails fast for requests, one that waits for Redis to come back for workers. */
import { Redis, type RedisOptions, ReplyError } from 'ioredis';
import { Unavailable } from './request-error.js';

const COMMAND_TIMEOUT_MS = 800;
/** Longer than BullMQ ever blocks (10 s): a worker whose Redis has gone without a word looks for it anew. */
const WORKER_SILENCE_MS = 12_000;

/** Where Redis is: an address, or the Unix socket of the embedded one. */
export type RedisLocation = { url: string } | { path: string };

const reconnectAfterMs = (times: number) => Math.min(times * 50, 500);

/** For requests: a command answers, or fails within a second, also while Redis is away. */
export function connectForRequests(location: RedisLocation): Redis {
  return connect(location, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // A command that waits for a pipeline under way has no timeout yet: where that one hears nothing, none waits longer.
    socketTimeout: COMMAND_TIMEOUT_MS,
    enableAutoPipelining: true,
  });
}

/** For workers: a command waits until Redis is back, as BullMQ wants it. */
export function connectForWorkers(location: RedisLocation): Redis {
  return connect(location, {
    maxRetriesPerRequest: null,
    enableAutoPipelining: true,
    socketTimeout: WORKER_SILENCE_MS,
  });
}

function connect(location: RedisLocation, options: Omit<RedisOptions, 'replyMapping'>): Redis {
  const all = { ...options, connectTimeout: 2_000, retryStrategy: reconnectAfterMs, keepAlive: 10_000 };
  if ('path' in location) return new Redis(location.path, all);
  if (location.url.startsWith('unix://')) return new Redis(location.url.slice('unix://'.length), all);
  return new Redis(location.url, all);
}

/** Whether Redis failed or was out of reach: what ioredis throws, told from every other error. */
export function isRedisFailure(error: unknown): boolean {
  if (error instanceof ReplyError) return true;
  const { name = '', message = '' } = error as { name?: string; message?: string };
  return (
    name === 'MaxRetriesPerRequestError' ||
    /^(Connection is closed|Command timed out|Socket timeout|Stream isn't writeable)/.test(message)
  );
}

/**
 * What Redis answers, or Unavailable. The time limit is for BullMQ, whose calls wait without end for the
 * very first connection.
 */
export async function orUnavailable<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Redis did not answer in time')), COMMAND_TIMEOUT_MS + 50);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    throw new Unavailable('redis_unavailable', error);
  } finally {
    clearTimeout(timer);
  }
}
