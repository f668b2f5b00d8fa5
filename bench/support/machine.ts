/** Where the numbers come from, in one line: a ratio can be compared with another machine's, a rate hardly. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { temporaryDirectory } from './children.js';
import { median } from './statistics.js';

const WRITES = 50;

export function describeMachine(redisVersion: string): string {
  const [cpu] = cpus();
  return [
    `${cpus().length} × ${cpu?.model.trim() ?? 'CPU'}`,
    `load ${loadavg()[0]?.toFixed(2)}`,
    `Node ${process.versions.node}`,
    redisVersion,
    `write and fsync ${fsyncMs().toFixed(2)} ms`,
  ].join(', ');
}

/** Milliseconds that the disk takes for what Redis asks of it on every write. */
function fsyncMs(): number {
  const file = openSync(join(temporaryDirectory(), 'fsync'), 'a');
  const times = Array.from({ length: WRITES }, () => {
    const startedAt = performance.now();
    writeSync(file, 'x'.repeat(512));
    fsyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  return median(times);
}
