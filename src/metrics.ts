/** What Prometheus may scrape. Labels are closed sets and ids of the settings file, never a caller's words. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    requests: new Counter({
      name: 'universal_logout_requests_total',
      help: 'Global token revocation requests by status.',
      labelNames: ['status'],
      registers,
    }),
    refusals: new Counter({
      name: 'universal_logout_refusals_total',
      help: 'Refused requests by stable reason.',
      labelNames: ['reason'],
      registers,
    }),
    attempts: new Counter({
      name: 'universal_logout_attempts_total',
      help: 'Calls to apps by result: a state, or the reason of the failure.',
      labelNames: ['tenant', 'app', 'result'],
      registers,
    }),
    retries: new Counter({
      name: 'universal_logout_retries_total',
      help: 'Failed calls that are made again, by the reason of the failure.',
      labelNames: ['tenant', 'app', 'reason'],
      registers,
    }),
    unforeseenFailures: new Counter({
      name: 'universal_logout_unforeseen_failures_total',
      help: 'Attempts at jobs that ended as nothing foresaw, which are repeated: the log has job.threw.',
      labelNames: ['queue'],
      registers,
    }),
    firstAttemptSeconds: new Histogram({
      name: 'universal_logout_first_attempt_seconds',
      help: 'Time from acceptance to the first call of one app.',
      labelNames: ['tenant', 'app'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600],
      registers,
    }),
    openRevocations: new Gauge({
      name: 'universal_logout_open_revocations',
      help: 'Revocations that are not over.',
      labelNames: ['tenant'],
      registers,
    }),
    workersReplaced: new Counter({
      name: 'universal_logout_workers_replaced_total',
      help: 'Workers that looked alive and were not, and were replaced.',
      registers,
    }),
    canaryAgeSeconds: new Gauge({
      name: 'universal_logout_canary_age_seconds',
      help: 'Time since a job last went through a worker of this process and back.',
      registers,
    }),
    doneSeconds: new Histogram({
      name: 'universal_logout_done_seconds',
      help: 'Time from acceptance to the outcome of one app.',
      labelNames: ['tenant', 'app'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 60, 600, 3600, 86_400],
      registers,
    }),
    redisUp: new Gauge({
      name: 'universal_logout_redis_up',
      help: '1 where the queues could be read from Redis, else 0, and then what is read from there is left out.',
      registers,
    }),
    intakeJobs: new Gauge({
      name: 'universal_logout_intake_jobs',
      help: 'Accepted revocations that are not yet spread over their apps.',
      registers,
    }),
    jobs: new Gauge({
      name: 'universal_logout_jobs',
      help: 'Jobs of an app by state: waiting, retrying, active or failed.',
      labelNames: ['tenant', 'app', 'state'],
      registers,
    }),
    oldestJobSeconds: new Gauge({
      name: 'universal_logout_oldest_job_seconds',
      help: 'Time since acceptance of the revocation that waits longest for an app, by the heads of its queue; 0 for none.',
      labelNames: ['tenant', 'app'],
      registers,
    }),
    laneState: new Gauge({
      name: 'universal_logout_lane_state',
      help: '1 for the state that the queue of an app is in, 0 for the others: moving, held (breaker open) or paused.',
      labelNames: ['tenant', 'app', 'state'],
      registers,
    }),
    keyFetches: new Counter({
      name: 'universal_logout_key_fetches_total',
      help: 'Fetches of the JWK Set of a trust by outcome: fetched or failed.',
      labelNames: ['tenant', 'trust', 'outcome'],
      registers,
    }),
    keysFetchedAt: new Gauge({
      name: 'universal_logout_keys_fetched_timestamp_seconds',
      help: 'When the JWK Set of a trust was last fetched; time() minus this is its age.',
      labelNames: ['tenant', 'trust'],
      registers,
    }),
    jwtAgeSeconds: new Histogram({
      name: 'universal_logout_jwt_age_seconds',
      help: 'Our clock minus the iat of an authenticated JWT; below 0, one of the two clocks is wrong.',
      labelNames: ['tenant', 'trust'],
      buckets: [-30, -10, -5, -1, 0, 1, 5, 10, 30, 60, 120, 300],
      registers,
    }),
  };
}
