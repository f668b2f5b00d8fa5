/** Revocations and apps as operators are shown them: times in ISO 8601, durations in milliseconds. */
import { faultOf, type Lane } from '../fanout/lanes.js';
import type { RevocationRecord } from '../fanout/record.js';

export function viewRevocation({ via, acceptedAt, completedAt, bulk, apps, ...record }: RevocationRecord) {
  return {
    ...record,
    acceptedAt: iso(acceptedAt),
    ...(completedAt !== undefined && { completedAt: iso(completedAt), tookMs: completedAt - acceptedAt }),
    ...(bulk && { bulk }),
    ...(via.length > 1 && { via: via.slice(0, -1) }),
    apps: Object.entries(apps).map(([app, { at, nextAttemptAt, reason, failures, ...rest }]) => ({
      app,
      ...rest,
      ...(at !== undefined && { at: iso(at) }),
      ...(nextAttemptAt !== undefined && { nextAttemptAt: iso(nextAttemptAt) }),
      ...(reason !== undefined && { reason, fault: faultOf(reason) }),
      ...(failures && {
        failures: failures.map(({ at: failedAt, nextAttemptAt: next, ...failure }) => ({
          ...failure,
          at: iso(failedAt),
          ...(next !== undefined && { nextAttemptAt: iso(next) }),
        })),
      }),
    })),
  };
}

export function viewLane({ since, nextProbeAt, oldestAcceptedAt, ...lane }: Lane, connector: string) {
  return {
    ...lane,
    connector,
    ...(since !== undefined && { since: iso(since) }),
    ...(nextProbeAt !== undefined && { nextProbeAt: iso(nextProbeAt) }),
    ...(oldestAcceptedAt !== undefined && { oldestAcceptedAt: iso(oldestAcceptedAt) }),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
