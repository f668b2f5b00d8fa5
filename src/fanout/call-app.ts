/** One attempt at one account of an app. */
import { DelayedError, type Job, type Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Audit } from '../audit.js';
import {
  type Call,
  type Connector,
  ConnectorError,
  type Mode,
  type Outcome,
  type Pending,
} from '../connectors/connector.js';
import type { DataKeys } from '../data-key.js';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import type { Alerts } from './alert.js';
import type { Attempts, Blame, BreakerSettings, Ending } from './attempt.js';
import type { BulkGate } from './bulk-gate.js';
import { traceCall } from './call-span.js';
import type { EvidenceStore } from './evidence.js';
import { type AppJob, digestOf } from './job.js';
import type { AppRecord, FailureReason } from './record.js';
import { boundedRetryAfterMs, type Failure, retryDelayMs } from './retry.js';
import { RetryLater } from './worker-options.js';

/** One app of one tenant, as the settings describe it. */
export type App = {
  tenant: string;
  id: string;
  connector: Connector<unknown>;
  options: unknown;
  /** Where the app is asked for less than the caller asks for. */
  mode: Mode;
  delivery: {
    concurrency: number;
    ratePerSecond?: number | undefined;
    timeoutMs: number;
    /** Milliseconds, as `pendingFor`. */
    retryFor: number;
    pendingFor: number;
    priority: number;
    breaker: BreakerSettings;
  };
};

/** What of an app it takes to call it. */
export type CallableApp = Omit<App, 'connector'> & {
  connector: Pick<Connector<unknown>, 'name' | 'revoke' | 'poll' | 'beginsOnce'>;
};

/** Thrown in the place of a call of an app that has left the settings. */
export class AppRemoved extends Error {
  constructor() {
    super('the app has left the settings');
    this.name = 'AppRemoved';
  }
}

/** Told of every revocation whose last app has answered; told again where a worker died before it could say so. */
export type Closed = (tenant: string, revocationIds: readonly string[], statuses: Ending['statuses']) => Promise<void>;

export type CallDependencies = {
  attempts: Attempts;
  audit: Audit;
  /** Bulk attempts begin through it. */
  bulkGate: BulkGate;
  dataKeys: DataKeys;
  alerts: Alerts | undefined;
  closed: Closed;
  evidence: EvidenceStore;
  metrics: Metrics;
  logger: Logger;
  now: () => number;
  callContext: Pick<Call, 'publicUrl' | 'signingKeys' | 'send'>;
};

// How often a job looks whether the one before it, for the same account, has ended.
const BUSY_STEP_MS = 500;
// What a worker that dies leaves behind is free again this long after its call would have ended.
const LEASE_MARGIN_MS = 5_000;
// How often a job that may not be finished yet looks whether replicas have its end.
const UNSAFE_STEP_MS = 1_000;
const PENDING_STEP_MS = { least: 1_000, most: 600_000 };

const BLAME: Record<FailureReason, Blame> = {
  auth: 'auth',
  server: 'bad',
  network: 'bad',
  timeout: 'bad',
  // The app works; it says no to this account, or asks for time.
  refused: 'good',
  not_found: 'good',
  rate_limited: 'neutral',
  internal: 'neutral',
  app_removed: 'neutral',
};

type AppFailure = Failure & { error: Error };

/** One account that the credential may not touch, such as an admin's, must not stop the logouts of all others. */
function blameOf({ reason, error }: AppFailure): Blame {
  const isForbidden = error instanceof ConnectorError && error.forbidden;
  return reason === 'auth' && isForbidden ? 'bad' : BLAME[reason];
}

export function callApp(dependencies: CallDependencies, app: CallableApp, queue: Queue<AppJob>, stop: AbortSignal) {
  const { attempts, bulkGate, dataKeys, alerts, closed, evidence, metrics, logger, now, callContext } = dependencies;
  const { tenant, id, connector, options, delivery } = app;
  const underWay = new Map<string, AbortController>();
  stop.addEventListener('abort', () => {
    for (const cut of underWay.values()) cut.abort();
  });

  /** A job whose lock this process could not renew in time comes back to it, while the call of the first time goes on. */
  return async (job: Job<AppJob>, token?: string): Promise<void> => {
    const revocationId = job.id as string;
    if (underWay.has(revocationId)) {
      await job.moveToDelayed(Date.now() + BUSY_STEP_MS, token);
      throw new DelayedError();
    }
    // One signal for the deadline and the stop: `AbortSignal.timeout` and `AbortSignal.any` cost as much as the call.
    const cut = new AbortController();
    underWay.set(revocationId, cut);
    try {
      await attempt(job, cut, token);
    } finally {
      underWay.delete(revocationId);
    }
  };

  async function attempt(job: Job<AppJob>, cut: AbortController, token?: string): Promise<void> {
    const { data } = job;
    const revocationId = job.id as string;
    const account = dataKeys.open(data.account, tenant);
    const here = { tenant, app: id, job: revocationId, digest: digestOf(data, account) };
    const beginning = await attempts.begin(
      { ...here, leaseMs: delivery.timeoutMs + LEASE_MARGIN_MS },
      data.bulk ? (ask) => bulkGate.pass(queue.name, ask) : undefined,
    );
    if (beginning.verdict === 'later') return later(0);
    if (beginning.verdict === 'moved') return over(beginning);
    // The worker that called the app may have died before it could say so to the queue.
    if (beginning.verdict === 'done') {
      if (beginning.safe) await tell(beginning.members, []);
      return over(beginning);
    }
    if (beginning.verdict === 'busy') return later(Math.min(beginning.forMs, BUSY_STEP_MS));
    if (beginning.verdict === 'held') return hold(beginning.forMs);

    const { members, call, renewedAt, probe } = beginning;
    const facts = { revocationId, tenant, app: id, connector: connector.name, attempt: call };
    const startedAt = now();
    if (call === 1) metrics.firstAttemptSeconds.observe({ tenant, app: id }, (startedAt - data.acceptedAt) / 1000);
    const timer = setTimeout(() => cut.abort(), delivery.timeoutMs);
    if (stop.aborted) cut.abort();
    const answer = await traceCall(facts, () =>
      ask(cut.signal).catch((thrown: unknown) => {
        if (stop.aborted) return undefined;
        return failureOf(thrown, connector.name, cut.signal);
      }),
    );
    clearTimeout(timer);
    if (answer === undefined) return handBack();
    if ('error' in answer) return failed(answer);
    if ('pending' in answer) return pending(answer);
    return succeeded(answer);

    async function ask(signal: AbortSignal): Promise<Outcome | Pending> {
      const context: Call = {
        ...callContext,
        revocationId,
        tenant,
        app: id,
        mode: app.mode === 'refresh-only' ? app.mode : data.mode,
        via: data.via,
        acceptedAt: data.acceptedAt,
        attempt: call,
        idempotencyKey: `${revocationId}_${id}`,
        signal,
        now: () => new Date(now()),
        evidence: (abouts) => evidence.read({ tenant, app: id }, abouts),
      };
      if (data.poll === undefined || !connector.poll) return connector.revoke(account, options, context);
      return connector.poll(JSON.parse(dataKeys.open(data.poll, tenant)), options, context);
    }

    async function succeeded({ state, removed, ...ended }: Outcome): Promise<void> {
      const at = now();
      const record = { state, attempts: call, at, tookMs: at - startedAt, ...ended, ...removedWith(removed) };
      const ending = await end(record, {
        blame: 'good',
        audit: { event: 'account.revoked', tenant, user: data.user, app: id, state, attempt: call },
      });
      metrics.attempts.inc({ tenant, app: id, result: state });
      metrics.doneSeconds.observe({ tenant, app: id }, (at - data.acceptedAt) / 1000);
      logger.info({ ...facts, state, ms: at - data.acceptedAt }, 'account.revoked');
      await tell(members, ending.statuses);
      return over(ending);
    }

    async function pending({ pending: { poll, afterMs, removed } }: Pending): Promise<void> {
      const at = now();
      const pendingSince = data.pendingSince ?? at;
      if (at - pendingSince >= delivery.pendingFor) {
        const error = new ConnectorError('timeout', `${connector.name}: the app has not finished in time`);
        return failed({ ...error, error }, 'anew');
      }
      const wait = Math.min(Math.max(afterMs, PENDING_STEP_MS.least), PENDING_STEP_MS.most);
      // Kept before it is recorded: a crash in between costs one more question and no second logout.
      const kept = { ...resealed(), ...removedWith(removed) };
      await job.updateData({ ...kept, poll: dataKeys.seal(JSON.stringify(poll), tenant), pendingSince });
      await end(
        { state: 'pending', attempts: call, at, nextAttemptAt: at + wait, ...removedWith(removed) },
        {
          blame: 'good',
          audit: { event: 'account.pending', tenant, user: data.user, app: id, attempt: call },
        },
      );
      metrics.attempts.inc({ tenant, app: id, result: 'pending' });
      logger.info({ ...facts, afterMs: wait }, 'account.pending');
      return later(wait);
    }

    async function failed(failure: AppFailure, then?: 'anew'): Promise<void> {
      const { reason, error, retryAfterMs } = failure;
      const at = now();
      // While the app is away nothing is given up: a probe is there to find out, not to be spent.
      const ageMs = probe ? 0 : at - Math.max(data.acceptedAt, data.retriedAt ?? 0, renewedAt);
      const delayMs = retryDelayMs(failure, { attempt: job.attemptsMade + 1, ageMs, retryForMs: delivery.retryFor });
      // An app that says when it can be called again says so for every account.
      const pauseMs =
        delayMs !== undefined && retryAfterMs !== undefined && (reason === 'rate_limited' || reason === 'server')
          ? boundedRetryAfterMs(retryAfterMs)
          : undefined;
      const nextAttempt = delayMs === undefined ? {} : { nextAttemptAt: at + (pauseMs ?? delayMs) };
      const tookMs = at - startedAt;
      const state = delayMs === undefined ? 'failed' : 'retrying';
      const event = delayMs === undefined ? 'job.failed' : 'attempt.failed';
      // What cannot be asked about any more is asked for anew.
      const isLost = then === 'anew' || reason === 'not_found' || reason === 'refused';
      const isOver = pendingIsOver(at);
      const keepsPoll = data.poll !== undefined && !isLost && (!isOver || keepsWhileAway(reason));
      if (data.poll !== undefined && (isOver || !keepsPoll)) {
        const { poll, pendingSince, ...rest } = resealed();
        // The time in which an app was away is none that it has taken.
        const kept = keepsPoll && poll ? { poll: dataKeys.seal(dataKeys.open(poll, tenant), tenant) } : {};
        await job.updateData({ ...rest, ...kept });
      }
      if (delayMs === undefined) {
        const alert = { type: 'job.failed' as const, tenant, app: id, reason, attempts: call, at };
        await Promise.all(members.map((member) => alerts?.raise({ ...alert, revocationId: member })));
      }
      const ending = await end(
        { state, attempts: call, at, reason, tookMs, ...nextAttempt, ...removedWith() },
        {
          blame: blameOf(failure),
          failure: { at, tookMs, reason, ...nextAttempt },
          retryAfterMs: pauseMs,
          audit: { event, tenant, user: data.user, app: id, reason, attempt: call },
        },
        !keepsPoll && data.removed === undefined,
      );
      metrics.attempts.inc({ tenant, app: id, result: reason });
      if (state === 'retrying') metrics.retries.inc({ tenant, app: id, reason });
      logger[delayMs === undefined ? 'warn' : 'info']({ ...facts, reason, delayMs, error }, 'attempt.failed');
      await closed(tenant, members, ending.statuses);
      if (pauseMs !== undefined) await queue.rateLimit(Math.max(1, pauseMs));
      if (ending.moved) return over(ending);
      if (pauseMs !== undefined) throw Worker.RateLimitError();
      if (delayMs !== undefined) throw new RetryLater(error, delayMs);
      // Given up only when that cannot be lost any more; it costs calls that are of no use, so fewer and fewer.
      throw ending.safe ? new UnrecoverableError(error.message) : new RetryLater(error, growingDelayMs(job));
    }

    /** Keys may have been rotated since the job was read: what is written back is sealed with the first one of now. */
    function resealed(): AppJob {
      return { ...data, account: dataKeys.seal(account, tenant) };
    }

    /** What is given up, and begun anew, has taken away what it has taken away. */
    function removedWith(more: Outcome['removed'] = []): Pick<AppRecord, 'removed'> {
      const all = [...(data.removed ?? []), ...more];
      const removed = [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
      return removed.length === 0 ? {} : { removed };
    }

    /** What we did wrong ourselves may be with what was kept. */
    function keepsWhileAway(reason: FailureReason): boolean {
      return connector.beginsOnce === true && reason !== 'internal';
    }

    function pendingIsOver(at: number): boolean {
      return data.pendingSince !== undefined && at - data.pendingSince >= delivery.pendingFor;
    }

    /** The gateway stops: another worker makes the call, at once, as if this one had not begun. */
    async function handBack(): Promise<void> {
      const at = now();
      const audit = {
        event: 'attempt.failed' as const,
        tenant,
        user: data.user,
        app: id,
        reason: 'stopped',
        attempt: call,
      };
      const joinable = data.poll === undefined && data.removed === undefined;
      await end({ state: 'waiting', attempts: call, at, ...removedWith() }, { blame: 'neutral', audit }, joinable);
      return later(0);
    }

    async function end(
      record: AppRecord,
      more: Omit<Parameters<Attempts['end']>[2], 'breaker'>,
      joinable = false,
    ): Promise<Ending> {
      const of = { ...here, call, members, joinable };
      const ending = await attempts.end(of, record, { ...more, breaker: delivery.breaker });
      if (ending.stale) {
        logger.warn({ ...facts, state: record.state }, 'attempt.superseded');
        return later(BUSY_STEP_MS);
      }
      if (ending.breaker !== '') await turned(ending, record.reason);
      return ending;
    }

    /** The breaker has opened or closed: the lane stops or moves at once, and the operators hear of it. */
    async function turned({ breaker, openForMs }: Ending, reason: FailureReason | undefined): Promise<void> {
      const event = breaker === 'opened' ? ('breaker.opened' as const) : ('breaker.closed' as const);
      const at = now();
      logger.warn({ tenant, app: id, reason, openForMs }, event);
      await dependencies.audit.record({ event, tenant, app: id, reason });
      await alerts?.raise({ type: event, tenant, app: id, ...(reason && { reason }), at });
      if (breaker === 'opened') await queue.rateLimit(openForMs);
      else await queue.removeRateLimitKey();
    }

    async function tell(of: readonly string[], statuses: Ending['statuses']): Promise<void> {
      await closed(tenant, of, statuses);
      if (of.length > 1) await attempts.told(here);
    }

    /** Where a replica without the end took over, a finished job would be missed. */
    async function over({ safe }: { safe: boolean }): Promise<void> {
      if (!safe) return later(UNSAFE_STEP_MS);
    }

    async function later(ms: number): Promise<never> {
      await job.moveToDelayed(Date.now() + ms, token);
      throw new DelayedError();
    }
  }

  async function hold(forMs: number): Promise<never> {
    await queue.rateLimit(Math.max(1, Math.ceil(forMs)));
    throw Worker.RateLimitError();
  }
}

function growingDelayMs({ attemptsMade }: Job): number {
  const failure = { reason: 'internal' as const, retryable: true };
  const forever = { attempt: attemptsMade + 1, ageMs: 0, retryForMs: Number.POSITIVE_INFINITY };
  return retryDelayMs(failure, forever) as number;
}

function failureOf(thrown: unknown, connector: string, deadline: AbortSignal): AppFailure {
  if (thrown instanceof AppRemoved) return { reason: 'app_removed', retryable: false, error: thrown };
  if (thrown instanceof ConnectorError) {
    const { reason, retryable, retryAfterMs } = thrown;
    return { reason, retryable, retryAfterMs, error: thrown };
  }
  if (deadline.aborted) {
    const error = new ConnectorError('timeout', `${connector}: no answer in time`, { cause: thrown });
    return { reason: 'timeout', retryable: true, error };
  }
  const error = new Error(`${connector}: unexpected failure`, { cause: thrown });
  return { reason: 'internal', retryable: true, error };
}
