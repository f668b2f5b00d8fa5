/** Ends many things one by one: list, end each, and list again until none is left. */
import { type Call, ConnectorError, unlessNotFound } from './connector.js';

const ROUNDS = 3;

/**
 * Answers how many were ended; afterwards the app's own list was empty. What is gone already is ended. One that fails
 * keeps nobody from ending the others, but is no success: the first error is thrown after the round. A retry goes on
 * where this one stopped, since it lists again.
 */
export async function endAll<Item>(
  operation: string,
  list: () => Promise<readonly Item[]>,
  end: (item: Item) => Promise<unknown>,
): Promise<number> {
  let ended = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const items = await list();
    if (items.length === 0) return ended;
    await endEach(items, end);
    ended += items.length;
  }
  if ((await list()).length === 0) return ended;
  throw new ConnectorError('server', `${operation}: some are still there after ${ROUNDS} rounds`);
}

/** One round of it: for lists that are too long to be read again in the same attempt. */
export async function endEach<Item>(items: readonly Item[], end: (item: Item) => Promise<unknown>): Promise<void> {
  let failed: unknown;
  for (const item of items) {
    try {
      await unlessNotFound(end(item));
    } catch (error) {
      failed ??= error;
      if (isOfAll(error)) break;
    }
  }
  if (failed) throw failed;
}

/** An attempt that failed may have ended before that what this one finds no more: then it is no account that had nothing. */
export function hasEnded(ended: number, { attempt }: Pick<Call, 'attempt'>): boolean {
  return ended > 0 || attempt > 1;
}

/** Where going on with the others would be in vain, or would hurt. */
function isOfAll(error: unknown): boolean {
  if (!(error instanceof ConnectorError)) return true;
  return error.reason !== 'refused' && error.reason !== 'server';
}

/** For lists that must be empty now: the app has been told to end all of it. Throws where something is left. */
export function expectNone(operation: string, left: readonly unknown[]): void {
  if (left.length === 0) return;
  throw new ConnectorError('server', `${operation}: ${left.length} are still there`);
}
