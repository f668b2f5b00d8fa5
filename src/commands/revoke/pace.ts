/** The pace of a bulk revocation: no faster than the gateway spreads and the apps are called. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Enqueue } from '../../fanout/enqueue.js';
import type { Lanes } from '../../fanout/lanes.js';

/** A worker that spreads a thousand a second always has two seconds of work, and Redis holds little more than it needs. */
const INTAKE_WAITING = 2_000;
/** Some minutes of work for an app that takes a hundred calls a second, at about 3 kB each in Redis. */
const APP_WAITING = 20_000;
const LOOK_EVERY_MS = 200;
const TELL_AFTER_MS = 10_000;

export type PaceDependencies = {
  enqueue: Enqueue;
  lanes: Lanes;
  tenant: string;
  apps: readonly string[];
  /** One sentence for whoever waits. */
  say: (text: string) => void;
};

/**
 * Waits until there is room, or the signal. An app that is paused, or held by its breaker, is not waited for: the others
 * would wait with it.
 */
export function createPace({ enqueue, lanes, tenant, apps, say }: PaceDependencies) {
  const passedBy = new Set<string>();

  async function full(): Promise<string | undefined> {
    if ((await enqueue.waiting()) > INTAKE_WAITING)
      return 'those that were added are not spread yet: is a gateway running?';
    const all = await Promise.all(apps.map((app) => lanes.read({ tenant, app })));
    const behind = all.filter(({ waiting }) => waiting > APP_WAITING);
    for (const { app, state } of behind) {
      if (state === 'moving' || passedBy.has(app)) continue;
      passedBy.add(app);
      say(`${app} is ${state}: its calls wait, and the others go on.`);
    }
    const names = behind.filter(({ state }) => state === 'moving').map(({ app }) => app);
    return names.length > 0 ? `more than ${APP_WAITING} calls wait for ${names.join(', ')}.` : undefined;
  }

  return async function room(signal: AbortSignal): Promise<void> {
    const since = Date.now();
    for (let told = false; !signal.aborted; ) {
      const why = await full();
      if (why === undefined) return;
      if (!told && Date.now() - since > TELL_AFTER_MS) {
        told = true;
        say(`Waiting: ${why}`);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  };
}
