/** One sentence for people about a revocation: "11 of 12 apps in 3.4 s, wiki held since 14:02 UTC". */
import type { Lane } from './lanes.js';
import type { RevocationRecord } from './record.js';

const DONE = ['revoked', 'accepted', 'none'];

/** `lanes` are those of the revocation's apps that are not done; `now` is in milliseconds since the epoch. */
export function summaryOf(record: RevocationRecord, lanes: ReadonlyMap<string, Lane>, now: number): string {
  const apps = Object.entries(record.apps);
  if (apps.length === 0) return 'no app to tell';
  const done = apps.filter(([, { state }]) => DONE.includes(state));
  const lastAt = Math.max(...done.map(([, { at = record.acceptedAt }]) => at));
  const of = `${done.length} of ${apps.length} ${apps.length === 1 ? 'app' : 'apps'}`;
  const counted = done.length === 0 ? of : `${of} in ${durationText(lastAt - record.acceptedAt)}`;
  const rest = apps.flatMap(([app, { state, reason, nextAttemptAt }]) => {
    if (DONE.includes(state)) return [];
    if (state === 'failed') return [`${app} failed (${reason})`];
    const lane = lanes.get(app);
    if (lane && lane.state !== 'moving') return [`${app} ${lane.state} since ${clockText(lane.since ?? now, now)}`];
    if (state === 'pending') return [`${app} at work`];
    if (state === 'retrying' && nextAttemptAt !== undefined && nextAttemptAt > now) {
      return [`${app} tried again in ${durationText(nextAttemptAt - now)}`];
    }
    return [`${app} waiting`];
  });
  return [counted, ...rest].join(', ');
}

/** In words, to two figures or so. */
export function durationText(ms: number): string {
  if (ms < 100) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

function clockText(ms: number, now: number): string {
  const [date, time] = new Date(ms).toISOString().split('T') as [string, string];
  return `${now - ms > 86_400_000 ? `${date} ` : ''}${time.slice(0, 5)} UTC`;
}
