/** Tells the operators' own webhook (`alerts.webhook`) that an app was not reached, as durably as an app is told. */
import { type Job, Queue, type Telemetry, UnrecoverableError, Worker } from 'bullmq';
import { type Call, ConnectorError } from '../connectors/connector.js';
import { request } from '../connectors/request.js';
import { signedHeaders } from '../outbound/signed-headers.js';
import type { RedisClient as Redis } from '../redis.js';
import { jobOptions } from './job.js';
import type { FailureReason } from './record.js';
import { retryDelayMs } from './retry.js';
import { tellUnforeseen } from './unforeseen.js';
import { RetryLater, workerOptions } from './worker-options.js';

export const ALERTS_QUEUE = '{alerts}';
const TIMEOUT_MS = 10_000;
const RETRY_FOR_MS = 24 * 3_600_000;

/** No account and no address: what is wrong, and where to look. */
export type Alert = {
  type: 'job.failed' | 'breaker.opened' | 'breaker.closed' | 'revocation.overdue';
  tenant: string;
  app?: string;
  revocationId?: string;
  reason?: FailureReason;
  attempts?: number;
  /** Apps that a revocation still waits for. */
  waitingFor?: string[];
  /** Milliseconds since the epoch. */
  at: number;
};

export type Alerts = ReturnType<typeof startAlerts>;

export function startAlerts(dependencies: {
  connection: Redis;
  prefix: string;
  target: { url: string; secret: string };
  send: Call['send'];
  now: () => number;
  onError: (error: Error) => void;
  telemetry?: Telemetry | undefined;
}) {
  const { connection, prefix, target, send, now, onError, telemetry } = dependencies;
  const queue = new Queue<Alert>(ALERTS_QUEUE, {
    ...{ connection, prefix, skipVersionCheck: true },
    ...(telemetry && { telemetry }),
  });
  const told = tellUnforeseen(tell, ({ job, error, news }) => {
    if (news) onError(new Error(`alert: job ${job.id} threw`, { cause: error }));
  });
  const worker = new Worker<Alert>(ALERTS_QUEUE, told, workerOptions(connection, prefix, telemetry));
  queue.on('error', onError);
  worker.on('error', onError);

  async function tell(job: Job<Alert>): Promise<void> {
    const { type, at, ...data } = job.data;
    const body = JSON.stringify({ type, timestamp: new Date(at).toISOString(), data });
    const headers = signedHeaders([target.secret], `alert_${job.id}`, new Date(now()), body);
    const call = { send, signal: AbortSignal.timeout(TIMEOUT_MS), now: () => new Date(now()) };
    try {
      await request('alert: POST to alerts.webhook', target.url, { method: 'POST', headers, body }, call);
    } catch (error) {
      if (!(error instanceof ConnectorError)) throw error;
      const delayMs = retryDelayMs(error, {
        attempt: job.attemptsMade + 1,
        ageMs: now() - at,
        retryForMs: RETRY_FOR_MS,
      });
      onError(error);
      throw delayMs === undefined ? new UnrecoverableError(error.message) : new RetryLater(error, delayMs);
    }
  }

  return {
    /** The same failure raised twice is one alert. */
    async raise(alert: Alert): Promise<void> {
      const { type, tenant, app, revocationId, attempts, at } = alert;
      const once = revocationId === undefined ? at : `${revocationId}_${attempts ?? ''}`;
      const jobId = `${type}_${tenant}_${app ?? ''}_${once}`;
      await queue.add(ALERTS_QUEUE, alert, { ...jobOptions, removeOnFail: { age: RETRY_FOR_MS / 1000 }, jobId });
    },
    /** Sends nothing new; what is raised by now another worker sends. Resolves when no call is under way. */
    async stop(): Promise<void> {
      await worker.close();
    },
    /** After the last alert was raised. A call that is still under way comes back as stalled. */
    async close(): Promise<void> {
      await queue.close();
    },
  };
}
