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
  };
}
