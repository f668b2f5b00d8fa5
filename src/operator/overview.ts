/** What counts at a glance, of one tenant: what is not over, what waits, what failed, and which apps are not called. */
import type { RevocationRecords } from '../fanout/record.js';
import { orUnavailable } from '../redis.js';
import type { Apps } from './apps.js';

export type Overview = ReturnType<typeof createOverview>;

export function createOverview({ apps, records }: { apps: Apps; records: Pick<RevocationRecords, 'countOpen'> }) {
  return async function overview(tenant: string) {
    const [{ apps: own }, open] = await Promise.all([apps.list(tenant), orUnavailable(records.countOpen(tenant))]);
    const sum = (count: (lane: (typeof own)[number]) => number) => own.reduce((total, lane) => total + count(lane), 0);
    return {
      open,
      waiting: sum(({ waiting, retrying, active }) => waiting + retrying + active),
      failed: sum(({ failed }) => failed),
      held: sum(({ state }) => (state === 'held' ? 1 : 0)),
      paused: sum(({ state }) => (state === 'paused' ? 1 : 0)),
    };
  };
}
