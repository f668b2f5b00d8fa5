/** Carries accepted revocations out: one worker spreads each over its apps, one worker for each app calls it. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Audit } from '../audit.js';
import { type Call, type Connector, ConnectorError, type Outcome } from '../connectors/connector.js';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import type { Alerts } from './alert.js';
import { type AppJob, appQueue, INTAKE_QUEUE, jobOptions, type Revocation } from './job.js';
import type { RevocationRecords } from './record.js';
import { retryDelayMs } from './retry.js';
import { RetryLater, workerOptions } from './worker-options.js';

const INTAKE_CONCURRENCY = 50;
const CLOSE_WITHIN_MS = 8_000;

/** One app of one tenant, as the settings describe it. */
export type App = {
  tenant: string;
  id: string;
  connector: Connector<unknown>;
  options: unknown;
  delivery: {
    concurrency: number;
    ratePerSecond?: number | undefined;
    timeoutMs: number;
    /** Milliseconds. */
    retryFor: number;
    priority: number;
  };
};

export type WorkerDependencies = {
  connection: Redis;
  prefix: string;
  apps: readonly App[];
  records: RevocationRecords;
  audit: Audit;
  /** Where the settings name a webhook for them. */
  alerts: Alerts | undefined;
  metrics: Metrics;
  logger: Logger;
  now: () => number;
  callContext: Pick<Call, 'publicUrl' | 'signingKeys' | 'send'>;
};

/** Starts all workers. `close` waits for calls that are under way, then leaves the rest to another worker. */
export function startWorkers(dependencies: WorkerDependencies) {
  const { connection, prefix, apps, logger } = dependencies;
  const stop = new AbortController();
  const queues = new Map(apps.map((app) => [appQueue(app.tenant, app.id), { queue: openQueue(app), ...app.delivery }]));

  function openQueue({ tenant, id }: App): Queue<AppJob> {
    const queue = new Queue<AppJob>(appQueue(tenant, id), { connection, prefix, skipVersionCheck: true });
    queue.on('error', logError);
    return queue;
  }

  function logError(error: Error): void {
    logger.error({ error }, 'redis');
  }

  const options = workerOptions(connection, prefix);
  const workers = [
    new Worker<Revocation>(INTAKE_QUEUE, spread(dependencies, queues), { ...options, concurrency: INTAKE_CONCURRENCY }),
    ...apps.map(
      (app) =>
        new Worker<AppJob>(appQueue(app.tenant, app.id), callApp(dependencies, app, stop.signal), {
          ...options,
          concurrency: app.delivery.concurrency,
          ...(app.delivery.ratePerSecond && { limiter: { max: app.delivery.ratePerSecond, duration: 1_000 } }),
        }),
    ),
  ];
  for (const worker of workers) worker.on('error', logError);

  return {
    async close(): Promise<void> {
      const closing = Promise.all(workers.map((worker) => worker.close()));
      const closed = await Promise.race([closing.then(() => true), delay(CLOSE_WITHIN_MS, false, { ref: false })]);
      stop.abort();
      if (!closed) await Promise.race([closing, delay(1_000, undefined, { ref: false })]);
      await Promise.all([...queues.values()].map(({ queue }) => queue.close()));
    },
  };
}

type AppQueue = { queue: Queue<AppJob>; priority: number };

/** Opens the record, then gives each app its job. Run twice, it opens nothing and adds nothing twice. */
function spread(dependencies: WorkerDependencies, queues: ReadonlyMap<string, AppQueue>) {
  const { records, audit, alerts, now } = dependencies;

  return async ({ data }: Job<Revocation>): Promise<void> => {
    const { accounts, ...revocation } = data;
    const { revocationId, tenant, trust, user } = revocation;
    const owed = new Set(await records.open(data));
    const adds = accounts.map(async ({ app, account }) => {
      if (!owed.has(app)) return;
      const found = queues.get(appQueue(tenant, app));
      if (!found) return giveUp(app);
      const { queue, priority } = found;
      await queue.add('revoke', { ...revocation, account }, { ...jobOptions, priority, jobId: revocationId });
    });
    await Promise.all([...adds, audit.record({ event: 'revocation.accepted', tenant, trust, user, revocationId })]);
    if (accounts.length === 0) await audit.record({ event: 'revocation.completed', tenant, user, revocationId });

    /** The app has left the settings since the revocation was accepted. */
    async function giveUp(app: string): Promise<void> {
      const [at, reason] = [now(), 'refused' as const];
      // Told before it is recorded: once it is, a spread that runs again passes this app by.
      await alerts?.raise({ type: 'job.failed', tenant, app, revocationId, reason, attempts: 0, at });
      await audit.record({ event: 'job.failed', tenant, revocationId, user, app, reason, attempt: 0 });
      const status = await records.update(data, app, { state: 'failed', attempts: 0, at, reason });
      if (status !== '') await audit.record({ event: `revocation.${status}`, tenant, user, revocationId });
    }
  };
}

/** One attempt at one account. */
function callApp(dependencies: WorkerDependencies, app: App, stop: AbortSignal) {
  const { records, audit, alerts, metrics, logger, now, callContext } = dependencies;
  const { connector, options, delivery } = app;

  return async (job: Job<AppJob>): Promise<void> => {
    const { revocationId, tenant, user, mode, via, account, acceptedAt } = job.data;
    const attempt = job.attemptsMade + 1;
    const facts = { revocationId, tenant, app: app.id, connector: connector.name, attempt };
    // The worker that called the app may have died before it could say so to the queue.
    if (await records.isDone(job.data, app.id)) return;

    const deadline = AbortSignal.timeout(delivery.timeoutMs);
    let outcome: Outcome;
    try {
      outcome = await connector.revoke(account, options, {
        ...callContext,
        revocationId,
        tenant,
        app: app.id,
        mode,
        via,
        idempotencyKey: `${revocationId}_${app.id}`,
        signal: AbortSignal.any([deadline, stop]),
        now: () => new Date(now()),
      });
    } catch (thrown) {
      const error = toConnectorError(thrown, connector.name, deadline);
      throw await failed(error);
    }
    await succeeded(outcome);

    async function succeeded({ state, what, partial }: Outcome): Promise<void> {
      const at = now();
      const record = { state, attempts: attempt, at, what, ...(partial !== undefined && { partial }) };
      const status = await records.update(job.data, app.id, record);
      metrics.attempts.inc({ tenant, app: app.id, result: state });
      metrics.doneSeconds.observe({ tenant, app: app.id }, (at - acceptedAt) / 1000);
      logger.info({ ...facts, state, ms: at - acceptedAt }, 'account.revoked');
      await audit.record({ event: 'account.revoked', tenant, revocationId, user, app: app.id, state, attempt });
      await close(status);
    }

    async function failed(error: ConnectorError): Promise<Error> {
      const { reason } = error;
      const at = now();
      const delayMs = retryDelayMs(error, { attempt, ageMs: at - acceptedAt, retryForMs: delivery.retryFor });
      const state = delayMs === undefined ? 'failed' : 'retrying';
      const nextAttempt = delayMs === undefined ? {} : { nextAttemptAt: at + delayMs };
      const status = await records.update(job.data, app.id, { state, attempts: attempt, at, reason, ...nextAttempt });
      metrics.attempts.inc({ tenant, app: app.id, result: reason });
      logger[delayMs === undefined ? 'warn' : 'info']({ ...facts, reason, delayMs, error }, 'attempt.failed');
      const event = delayMs === undefined ? 'job.failed' : 'attempt.failed';
      await audit.record({ event, tenant, revocationId, user, app: app.id, reason, attempt });
      if (delayMs === undefined) {
        await alerts?.raise({ type: 'job.failed', tenant, app: app.id, revocationId, reason, attempts: attempt, at });
      }
      await close(status);
      return delayMs === undefined ? new UnrecoverableError(error.message) : new RetryLater(error, delayMs);
    }

    async function close(status: '' | 'completed' | 'failed'): Promise<void> {
      if (status !== '') await audit.record({ event: `revocation.${status}`, tenant, user, revocationId });
    }
  };
}

function toConnectorError(error: unknown, connector: string, deadline: AbortSignal): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const reason = deadline.aborted ? 'timeout' : 'server';
  return new ConnectorError(
    reason,
    `${connector}: ${reason === 'timeout' ? 'no answer in time' : 'unexpected failure'}`,
    {
      retryable: true,
      cause: error,
    },
  );
}
