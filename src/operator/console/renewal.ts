/** When the page of a revocation renews itself: the more seldom the older it is, and not before what is left can have moved. */
import type { Apps } from '../apps.js';
import type { Revocations } from '../revocations.js';

export type Shown = Awaited<ReturnType<Revocations['read']>>;
export type AppPart = Shown['apps'][number];
export type Lane = Awaited<ReturnType<Apps['list']>>['apps'][number];
export type LanesByApp = ReadonlyMap<string, Lane>;

export const isUnderWay = ({ state }: AppPart) => state === 'waiting' || state === 'retrying' || state === 'pending';

/** So long after somebody asked for another try, what had failed is looked at as if it were under way. */
const ASKED_MS = 10_000;

/** Younger than so many milliseconds, it is looked at every so many seconds. */
const PACE = [
  [10_000, 2],
  [60_000, 5],
  [600_000, 15],
  [Number.POSITIVE_INFINITY, 60],
] as const;

/** In seconds; undefined where nothing is left, or all that is left waits for somebody to resume an app. */
export function renewAfterSeconds(
  { status, acceptedAt, apps }: Shown,
  lanes: LanesByApp,
  { now, askedAt = 0 }: { now: number; askedAt?: number | undefined },
): number | undefined {
  const isAsked = now - askedAt < ASKED_MS;
  if (status !== 'pending' && !isAsked) return undefined;
  const age = now - Math.max(Date.parse(acceptedAt), askedAt);
  const pace = PACE.find(([youngerThan]) => age < youngerThan)?.[1] ?? 60;
  if (isAsked) return pace;
  const next = Math.min(...apps.filter(isUnderWay).map((part) => movesAt(part, lanes.get(part.app), now)));
  return Number.isFinite(next) ? Math.max(pace, Math.ceil((next - now) / 1_000)) : undefined;
}

/** The earliest moment at which it can have changed, in milliseconds since the epoch. */
function movesAt({ nextAttemptAt }: AppPart, lane: Lane | undefined, now: number): number {
  if (lane?.state === 'paused' && lane.active === 0) return Number.POSITIVE_INFINITY;
  const times = [nextAttemptAt, lane?.nextProbeAt].map((time) => (time === undefined ? 0 : Date.parse(time)));
  return Math.max(now, ...times);
}
