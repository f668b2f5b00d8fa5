/** Names to addresses, in turns: the system's resolver has two threads for all, and a name that nobody answers for holds one for ten seconds. */
import { type LookupAddress, lookup } from 'node:dns';

// What libuv lends to getaddrinfo, of its four threads. More would wait there, and nobody could say which name was slow.
const AT_ONCE = 2;
const SLOW_MS = 1_000;
const NEVER = 0;
const SLOW = -1;

export type Looked = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;
export type Resolve = (hostname: string, options: { all: true }, looked: Looked) => void;

/**
 * Asks for one name once, however many connections wait for it. Of names that were slow the last time one is asked at a
 * time, so that the other thread is free for all others however many of them are dead.
 */
export function createLookup(resolve: Resolve = lookup) {
  const asked = new Map<string, Looked[]>();
  const waiting: string[] = [];
  const running = new Map<string, number>();
  /** When a name was last answered without delay; SLOW where it was slow the last time. */
  const answeredAt = new Map<string, number>();
  const isKnownSlow = (name: string) => answeredAt.get(name) === SLOW;

  function lookUp(hostname: string, looked: Looked): void {
    const others = asked.get(hostname);
    if (others) {
      others.push(looked);
      return;
    }
    asked.set(hostname, [looked]);
    waiting.push(hostname);
    startNext();
  }

  function startNext(): void {
    while (running.size < AT_ONCE) {
      const isHeld = [...running].some(([name, since]) => isKnownSlow(name) || isSlow(since));
      // The name that was answered last is the least likely to be dead.
      const [name] = waiting
        .filter((one) => !(isHeld && isKnownSlow(one)))
        .sort((a, b) => (answeredAt.get(b) ?? NEVER) - (answeredAt.get(a) ?? NEVER));
      if (name === undefined) return;
      waiting.splice(waiting.indexOf(name), 1);
      running.set(name, performance.now());
      resolve(name, { all: true }, (error, addresses) => ended(name, error, addresses));
    }
  }

  function ended(name: string, ...answer: Parameters<Looked>): void {
    answeredAt.set(name, isSlow(running.get(name) ?? 0) ? SLOW : performance.now());
    running.delete(name);
    const all = asked.get(name) ?? [];
    asked.delete(name);
    startNext();
    for (const looked of all) looked(...answer);
  }

  return lookUp;
}

function isSlow(since: number): boolean {
  return performance.now() - since > SLOW_MS;
}
