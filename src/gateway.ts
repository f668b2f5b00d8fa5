/** Opens Redis and wires every part together: the only place that constructs anything. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Express } from 'express';
import { Cluster } from 'ioredis';
import { createAcknowledged, writeSafely } from './acknowledged.js';
import { createApp } from './app.js';
import { startSealing } from './audit/seal.js';
import { createAudit, NO_TENANT } from './audit.js';
import type { Config } from './config.js';
import { registry } from './connectors/registry.js';
import { loadDataKeys } from './data-key-file.js';
import { tellDataKeys } from './data-key-use.js';
import { createDirectory } from './directory/directory.js';
import { identifierOf } from './directory/user.js';
import { startEmbeddedRedis } from './embedded-redis.js';
import { createEvidenceRouter } from './evidence/router.js';
import { startAlerts } from './fanout/alert.js';
import { createAttempts, type Safely } from './fanout/attempt.js';
import type { App } from './fanout/call-app.js';
import { createEnqueue, type Enqueue } from './fanout/enqueue.js';
import { startEvents } from './fanout/events.js';
import { createEvidenceStore } from './fanout/evidence.js';
import { INTAKE_QUEUE } from './fanout/job.js';
import { APP_GONE_AFTER_MS, tellApps } from './fanout/known-apps.js';
import { createLanes } from './fanout/lanes.js';
import { watchOverdue } from './fanout/overdue.js';
import { createRevocationRecords } from './fanout/record.js';
import { type HandOver, startWorkers } from './fanout/worker.js';
import { createHealthRouter } from './health.js';
import { createLogger } from './logger.js';
import { createMetrics } from './metrics.js';
import { problemPage } from './operator/console/problem-page.js';
import { createOperatorRouter } from './operator/router.js';
import { createOutbound } from './outbound/outbound.js';
import { loadSigningKeys } from './outbound/signing-keys.js';
import { createQueueMetrics } from './queue-metrics.js';
import {
  connectForRequests,
  connectForWorkers,
  firstConnection,
  isRedisFailure,
  type RedisClient,
  type RedisLocation,
} from './redis.js';
import { createRedisLog } from './redis-log.js';
import { createAccept } from './revocation/accept.js';
import { createAuthenticate } from './revocation/authenticate.js';
import { createDeactivation } from './revocation/deactivation.js';
import { createLimits } from './revocation/limits.js';
import { createMetadataRouter } from './revocation/metadata.js';
import { createReplay } from './revocation/replay.js';
import { createRevocationRouter } from './revocation/router.js';
import { createTrusts } from './revocation/trust.js';
import { createScimRouter } from './scim/router.js';
import { createValidAfter } from './valid-after.js';

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
const TIMEOUTS_CHECKED_EVERY_MS = 2_000;
const MAX_CONNECTIONS = 10_000;
const MAX_HEADER_BYTES = 16 * 1024;
const DRAIN_MS = 8_000;
/** What has been sent before the end was in sight arrives. */
const UNUSED_MS = 500;
const KEEP_FAILED_MS = 30 * 86_400_000;

export type Role = 'api' | 'worker';

export type GatewayOptions = {
  roles?: readonly Role[];
  /** Starts every key in Redis; two gateways with one Redis and different prefixes know nothing of each other. */
  prefix?: string;
  now?: () => number;
  /** Milliseconds; the same for every process. */
  appGoneAfterMs?: number;
};

export type Gateway = Awaited<ReturnType<typeof openGateway>>;

/** Throws where neither REDIS_URL nor a Redis to start is there, or the keys in DATA_DIR cannot be read. */
export async function openGateway(config: Config, options: GatewayOptions = {}) {
  const { roles = ['api', 'worker'], prefix = 'ul', now = Date.now, appGoneAfterMs = APP_GONE_AFTER_MS } = options;
  const { settings } = config;
  const logger = createLogger(config.logLevel);
  // Whatever can fail without Redis comes first: an open Redis keeps the process alive, and the data directory claimed.
  const dataKeys = await loadDataKeys(config);
  const signingKeys = await loadSigningKeys(join(config.dataDir, 'signing-keys.json'));
  const apps = appsToCall(config);
  const telemetry = config.otlpEndpoint ? (await import('./telemetry.js')).startTelemetry() : undefined;
  const embedded = config.redisUrl
    ? undefined
    : await startEmbeddedRedis({ dataDir: config.dataDir, onRestart: (why) => logger.warn(why) });
  const location: RedisLocation = embedded ?? { url: config.redisUrl as string };
  const redisLog = createRedisLog(logger);
  const redis = connectForRequests(location);
  redisLog.watch(redis);
  redisLog.watchVersion(redis);
  const outbound = createOutbound(settings.outbound);
  const metrics = createMetrics();
  const tenants = settings.tenants.map(({ id }) => id);
  const keep = { prefix, retentionMs: settings.retention.revocations };
  const records = createRevocationRecords(redis, keep);
  const replicas = config.redisWaitReplicas;
  // What waits for replicas holds up its connection.
  const accepting = replicas > 0 ? connectForRequests(location) : redis;
  if (accepting !== redis) redisLog.watch(accepting);
  await Promise.all([redis, accepting].map(firstConnection));
  const enqueue = replicas > 0 ? enqueueAcknowledged() : createEnqueue(redis, prefix, dataKeys, telemetry?.queues);
  const lanes = createLanes(redis, { prefix, now, dataKeys });

  const keyUse = tellDataKeys(redis, prefix, dataKeys, { roles, settings: config.settingsDigest });
  const knownApps = tellApps(redis, prefix, { apps, goneAfterMs: appGoneAfterMs });

  const stopping = new AbortController();
  const workers = roles.includes('worker') ? openWorkers() : undefined;
  const app = buildApp();

  /** What is answered as accepted, or as accepted before, has reached the replicas. */
  function enqueueAcknowledged(): Enqueue {
    const queue = createEnqueue(accepting, prefix, dataKeys, telemetry?.queues);
    const acknowledged = createAcknowledged(accepting, `${prefix}:${INTAKE_QUEUE}:acknowledged`, replicas);
    return {
      ...queue,
      add: (revocation) => acknowledged(() => queue.add(revocation)),
      isWaiting: (revocationId) => acknowledged(() => queue.isWaiting(revocationId)),
    };
  }

  function buildApp(): Express {
    const health = createHealthRouter(
      redis,
      metrics,
      createQueueMetrics({ redis, lanes, enqueue, metrics, apps, now }),
      workers?.canaryAgeMs,
    );
    // Whoever split the roles wants nobody to reach where the credentials of apps are in use.
    if (!roles.includes('api')) {
      return createApp(undefined, [health], logger, { traceRequests: telemetry?.traceRequests });
    }
    const audit = createAudit(redis, { prefix, tenants });
    const limits = createLimits(redis, { prefix, ...settings.limits });
    const directory = createDirectory(redis, prefix, { graceMs: settings.assignmentGrace, now });
    // Before the revocation on one connection, so that replicas have the one where they have the other.
    const validAfter = { ...createValidAfter(redis, keep), raise: createValidAfter(accepting, keep).raise };
    const accepted = createRevocationRecords(accepting, keep);
    const appsOf = new Map(settings.tenants.map(({ id, apps }) => [id, apps]));
    const accept = createAccept({
      users: directory.users,
      replay: createReplay(redis, prefix),
      enqueue,
      validAfter,
      records: accepted,
      apps: (tenant) => appsOf.get(tenant) ?? [],
      limit: limits.accepted,
      gateway: settings.publicUrl,
      now,
    });
    const authenticate = createAuthenticate(
      createTrusts(settings, { send: outbound.send, now, metrics, logger }),
      now,
      metrics,
    );
    const { bodyKb } = settings.limits;
    return createApp(
      createRevocationRouter({ authenticate, accept, limits, audit, metrics, logger, bodyKb }),
      [
        createMetadataRouter(settings, signingKeys),
        health,
        createScimRouter({
          directory,
          redis,
          prefix,
          publicUrl: settings.publicUrl,
          tenants: settings.tenants,
          onDeactivate: createDeactivation({
            ...{ tenants: settings.tenants, enqueue, records: accepted, validAfter },
            ...{ gateway: settings.publicUrl, now },
          }),
          logger,
        }),
        createEvidenceRouter({
          ...{ apps, evidence: createEvidenceStore(redis, prefix) },
          ...{ refused: limits.refused, audited: limits.audited, audit, logger, now },
        }),
        createOperatorRouter({
          ...{ records, enqueue, lanes, directory, users: directory.users, validAfter, audit, settings, now },
          ...{ apps, adminToken: config.adminToken, redis, prefix, send: outbound.send, logger },
          ...{ refused: limits.refused, audited: limits.audited, stopping: stopping.signal },
          callContext: { publicUrl: settings.publicUrl, signingKeys, send: outbound.send },
        }),
      ],
      logger,
      { problemPage, traceRequests: telemetry?.traceRequests },
    );
  }

  function openWorkers() {
    const connection = connectForWorkers(location);
    redisLog.watch(connection);
    const target = settings.alerts.webhook;
    const onError = (error: Error) => {
      if (isRedisFailure(error)) redisLog.tell(error);
      else logger.warn({ error }, 'alert');
    };
    const alerts =
      target &&
      startAlerts({ connection, prefix, target, send: outbound.send, now, onError, telemetry: telemetry?.queues });
    const callContext = { publicUrl: settings.publicUrl, signingKeys, send: outbound.send };
    const people = createDirectory(connection, prefix, { graceMs: settings.assignmentGrace, now });
    const events = startEvents({
      ...{ connection, prefix, callContext, now },
      receivers: settings.tenants.flatMap((tenant) => tenant.events.map((one) => ({ ...one, tenant: tenant.id }))),
      records: createRevocationRecords(connection, keep),
      async subjectOf(tenant, user, format) {
        const [[found] = []] = await people.users.find(tenant, [{ kind: 'id', value: user }]);
        const name = found && identifierOf(found.resource, format === 'email' ? 'email' : 'externalId');
        if (name === undefined) return undefined;
        return format === 'email' ? { format, email: name } : { format, id: name };
      },
      onError(error, { tenant, id }) {
        if (isRedisFailure(error)) redisLog.tell(error);
        else logger.warn({ error, tenant, receiver: id }, 'event');
      },
    });
    const handOver = openHandOver(connection);
    const ends = openEnds(connection);
    const running = startWorkers({
      connection,
      prefix,
      handOver,
      alerts,
      telemetry: telemetry?.queues,
      apps,
      goneAfterMs: appGoneAfterMs,
      records: createRevocationRecords(handOver?.connection ?? connection, keep),
      attempts: createAttempts(connection, keep, ends),
      audit: createAudit(connection, { prefix, tenants }),
      dataKeys,
      closed: events.closed,
      keepFailedSeconds: Math.max(KEEP_FAILED_MS, settings.retention.revocations) / 1_000,
      metrics,
      logger,
      onRedisFailure: redisLog.tell,
      now,
      callContext,
    });
    const overdue = watchOverdue({
      ...{ connection, prefix, alerts, metrics, logger, now },
      onRedisFailure: redisLog.tell,
      records: createRevocationRecords(connection, keep),
      tenants: settings.tenants.map(({ id }) => id),
      overdueAfterMs: settings.alerts.overdueAfter,
    });
    const sealing = startSealing({
      ...{ redis, prefix, signingKeys, logger, now },
      file: join(config.dataDir, 'audit-checkpoints.jsonl'),
      retentionMs: settings.retention.audit,
      tenants: [...tenants, NO_TENANT],
    });
    return {
      canaryAgeMs: running.canaryAgeMs,
      async close() {
        // All take nothing new from now on; what the calls to apps still lead to is kept for another process.
        const idle = Promise.all([overdue.close(), events.stop(), alerts?.stop()]);
        const late = delay(DRAIN_MS, undefined, { ref: false });
        await Promise.all([running.close(), Promise.race([idle, late])]);
        await sealing.close();
        await events.close();
        await alerts?.close();
        handOver?.connection.disconnect();
        ends?.close();
        connection.disconnect();
      },
    };
  }

  function openHandOver(connection: RedisClient): HandOver | undefined {
    return openAcknowledging(connection, 'handed-over');
  }

  /** Over a connection of its own: else a single logout on its way to its apps would wait for the ends of a bulk one. */
  function openEnds(connection: RedisClient) {
    const opened = openAcknowledging(connection, 'ended');
    if (!opened) return undefined;
    const stop = new AbortController();
    const safely: Safely = (write) => writeSafely(opened.acknowledged, write, stop.signal);
    return {
      connection: opened.connection,
      safely,
      close() {
        stop.abort();
        opened.connection.disconnect();
      },
    };
  }

  /** In a Cluster the jobs of each app may be on a master of their own, and are not waited for. */
  function openAcknowledging(connection: RedisClient, what: string) {
    if (replicas === 0 || connection instanceof Cluster) return undefined;
    // One that fails rather than waits: what began on one master is not carried on with the next, where its jobs would
    // be without a record, and be called once more when they get one. It is written again as a whole.
    const own = connectForRequests(location);
    redisLog.watch(own);
    return { connection: own, acknowledged: createAcknowledged(own, `${prefix}:${INTAKE_QUEUE}:${what}`, replicas) };
  }

  return {
    app,
    logger,
    redis,
    dataKeys,
    /**
     * Stops in reverse order of starting. `served` resolves when no request is under way any more: until then nothing is
     * closed that requests need, while workers stop at once, so that neither takes the time of the other.
     */
    async close(served?: Promise<void>): Promise<void> {
      // What would go on for long ends now, so that nobody has to wait for `served`.
      stopping.abort();
      await Promise.all([served, workers?.close()]);
      await enqueue.close();
      await lanes.close();
      knownApps.close();
      await keyUse.close();
      accepting.disconnect();
      redis.disconnect();
      await outbound.close();
      await embedded?.close();
      await telemetry?.close();
    },
  };
}

function appsToCall({ settings }: Config): App[] {
  return settings.tenants.flatMap(({ id: tenant, apps }) =>
    apps.map(({ id, connector: name, options, mode, delivery }) => {
      const connector = registry.find((one) => one.name === name);
      if (!connector) throw new TypeError(`no connector is called ${name}`);
      return { tenant, id, connector, options, mode, delivery };
    }),
  );
}

/** Listens, with limits on what a slow or greedy client can hold. Throws where the port is taken. */
export async function listen(app: Express, { host, port }: { host: string; port: number }) {
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUTS_CHECKED_EVERY_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    app,
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const address = server.address() as AddressInfo;
  return { port: address.port, close: () => drain(server, sockets) };
}

/** No new connections; requests under way have eight seconds. */
async function drain(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  // Those that browsers open ahead of need are not idle to Node, since nothing has come yet.
  const unused = setTimeout(() => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, UNUSED_MS);
  const timer = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await closed;
  clearTimeout(unused);
  clearTimeout(timer);
}
