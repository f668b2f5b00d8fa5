/** A load generator in a process of its own: keep-alive connections, one request at a time on each. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { keep } from './children.js';
import type { LoadOrder, LoadResult } from './load-process.js';
import type { RevocationRequest } from './requests.js';

export type { LoadResult } from './load-process.js';

/** Requests are handed over once; each run then names a slice of them. */
export async function startLoad(requests: readonly RevocationRequest[]) {
  const child = keep(fork(new URL('./load-process.ts', import.meta.url), { serialization: 'advanced' }));
  child.send(requests);
  await once(child, 'message');
  return {
    async run(order: LoadOrder): Promise<LoadResult> {
      child.send(order);
      const [result] = (await once(child, 'message')) as [LoadResult];
      return result;
    },
    close: () => child.disconnect(),
  };
}
