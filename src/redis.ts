/** Connections to Redis: one that fails fast for requests, one that waits for Redis to come back for workers. */
import { Cluster, type ClusterOptions, Redis, type RedisOptions, ReplyError } from 'ioredis';
import { parseRedisUrl, type RedisAddress } from './redis-url.js';
import { Unavailable } from './request-error.js';

const COMMAND_TIMEOUT_MS = 800;
/** Longer than BullMQ ever blocks (10 s): a worker whose Redis has gone without a word looks for it anew. */
const WORKER_SILENCE_MS = 12_000;
const CONNECT_TIMEOUT_MS = 2_000;
const SLOTS_REFRESH_MS = 2_000;

/** One Redis, or the master that Sentinels name, is a `Redis`; the many masters of a Cluster are one `Cluster`. */
export type RedisClient = Redis | Cluster;

/** Where Redis is: what REDIS_URL says, or the Unix socket of the embedded one. */
export type RedisLocation = { url: string } | { path: string };

type Options = Omit<RedisOptions, 'replyMapping' | 'enableAutoPipelining'>;
type OfCluster = Omit<ClusterOptions, 'redisOptions'>;

const reconnectAfterMs = (times: number) => Math.min(times * 50, 500);
const common: Options = { connectTimeout: CONNECT_TIMEOUT_MS, keepAlive: 10_000 };

/** For requests: a command answers, or fails within a second, also while Redis is away or fails over. */
export function connectForRequests(location: RedisLocation): RedisClient {
  const redis = connect(
    location,
    {
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      // A command that waits for a pipeline under way has no timeout yet: where that one hears nothing, none waits longer.
      socketTimeout: COMMAND_TIMEOUT_MS,
      // A master that has become a replica: whoever asks next finds the new one.
      reconnectOnError: (error) => error.message.includes('READONLY'),
    },
    { enableOfflineQueue: false, maxRedirections: 3, retryDelayOnFailover: 50, retryDelayOnClusterDown: 50 },
  );
  // In a Cluster it would send together what is not retried together, and throws where a slot has no master.
  return redis instanceof Cluster ? redis : pipelined(redis);
}

/** For workers: a command waits until Redis is back, as BullMQ wants it, or until `waitsForMaster` has enough of a replica. */
export function connectForWorkers(location: RedisLocation, waitsForMaster = () => true): RedisClient {
  return connect(
    location,
    {
      maxRetriesPerRequest: null,
      socketTimeout: WORKER_SILENCE_MS,
      reconnectOnError: (error) => (error.message.includes('READONLY') && waitsForMaster() ? 2 : false),
    },
    { maxRedirections: Number.POSITIVE_INFINITY, retryDelayOnMoved: 50 },
  );
}

/** For who only hears what is published: for as long as that takes, and with the right to nothing else. */
export function connectForNews(location: RedisLocation): RedisClient {
  return connect(
    location,
    { maxRetriesPerRequest: null, autoResubscribe: false, enableReadyCheck: false },
    // There the client goes from one node to the next by itself.
    { enableReadyCheck: false },
  );
}

function connect(location: RedisLocation, options: Options, ofCluster: OfCluster): RedisClient {
  const address = addressOf(location);
  const all = { ...common, ...options, retryStrategy: reconnectAfterMs };
  if (address.kind === 'socket') return new Redis(address.path, all);
  if (address.kind === 'single') return new Redis(address.url, all);
  const { nodes, tls, username, password } = address;
  const credentials = { ...(username && { username }), ...(password && { password }) };
  if (address.kind === 'sentinel') {
    const { name, db, sentinelUsername, sentinelPassword } = address;
    return new Redis({
      ...all,
      ...credentials,
      ...(tls && { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }),
      sentinels: nodes,
      name,
      db,
      ...(sentinelUsername && { sentinelUsername }),
      ...(sentinelPassword && { sentinelPassword }),
      sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
      sentinelRetryStrategy: reconnectAfterMs,
    });
  }
  const { enableOfflineQueue: _, autoResubscribe: __, ...redisOptions } = { ...common, ...options };
  return new Cluster(nodes, {
    ...ofCluster,
    clusterRetryStrategy: reconnectAfterMs,
    slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // Names stay names, which a certificate can be checked against.
    dnsLookup: (host, callback) => callback(null, host),
    redisOptions: { ...redisOptions, ...credentials, ...(tls && { tls: {} }) },
  });
}

/**
 * What many requests ask meanwhile goes out together. A worker asks for many by one script, and is quicker without.
 *
 * A pipeline knows the scripts that were defined before it was begun. One that waits for another to be answered takes
 * whatever is asked next, also a script that BullMQ defines meanwhile, and would end the process over it.
 */
function pipelined(redis: Redis): Redis {
  redis.options.enableAutoPipelining = true;
  const define = redis.defineCommand.bind(redis);
  const { _autoPipelines: waiting } = redis as unknown as { _autoPipelines: Map<string, Record<string, unknown>> };
  redis.defineCommand = (name, definition) => {
    define(name, definition);
    const defined = redis as unknown as Record<string, unknown>;
    for (const pipeline of waiting.values()) {
      for (const one of [name, `${name}Buffer`]) pipeline[one] = defined[one];
    }
  };
  return redis;
}

/** Throws a TypeError: what the environment says was looked at before. */
function addressOf(location: RedisLocation): RedisAddress {
  if ('path' in location) return { kind: 'socket', path: location.path };
  const address = parseRedisUrl(location.url, (problem) => {
    throw new TypeError(`the address ${problem}`);
  });
  if (!address) throw new TypeError('the address of Redis is wrong');
  return address;
}

/** Waits until there is a connection, so that the first request finds one; not where Redis is away, or slow to answer. */
export async function firstConnection(redis: RedisClient): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(go, CONNECT_TIMEOUT_MS);
    redis.once('ready', go).once('error', go);

    function go(): void {
      clearTimeout(timer);
      redis.off('ready', go).off('error', go);
      resolve();
    }
  });
}

/** Every server that takes writes. None while a Cluster is not known yet. */
export function mastersOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

/** What `SET … NX GET` needs, which binds a JWT to its body. */
const OLDEST = 7;

/** `7.2.4`; of a Valkey, the version of Redis that it is like. */
export async function versionOf(server: Redis): Promise<string> {
  const [, version = ''] = /^redis_version:(\S+)/m.exec(await server.info('server')) ?? [];
  return version;
}

/** One that does not say which it is may be new enough. */
export function isTooOld(version: string): boolean {
  return Number.parseInt(version, 10) < OLDEST;
}

// What ioredis says by itself, where it has no class for it.
const FAILURES = new RegExp(
  `^(${[
    'Connection is closed',
    // What was on its way together, and answered in part.
    'Command aborted due to connection close',
    'Command timed out',
    'Socket timeout',
    "Stream isn't writeable",
    'All sentinels are unreachable',
    "Cluster isn't ready",
    'Cluster is (disconnect|ended)',
    'Too many Cluster redirections',
    'None of startup nodes is available',
    'Failed to refresh slots cache',
  ].join('|')})`,
);

/** Whether Redis failed or was out of reach: what ioredis throws, told from every other error. */
export function isRedisFailure(error: unknown): boolean {
  if (error instanceof ReplyError) return true;
  const { name = '', message = '' } = error as { name?: string; message?: string };
  return name === 'MaxRetriesPerRequestError' || name === 'ClusterAllFailedError' || FAILURES.test(message);
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
