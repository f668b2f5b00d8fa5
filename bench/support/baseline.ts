/** What the gateway is measured against: Express that verifies the same JWT and answers 204, with or without one write to Redis. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { JWK } from 'jose';
import { keep } from './children.js';

export type BaselineOrder = { jwk: JWK; issuer: string; audience: string; redisUrl: string };

/** One process: `/verify` writes nothing, `/verify-and-set` does one SET, `/set` does one and verifies nothing. */
export async function startBaseline(order: BaselineOrder) {
  const child = keep(fork(new URL('./baseline-process.ts', import.meta.url)));
  child.send(order);
  const [port] = (await once(child, 'message')) as [number];
  return { url: `http://127.0.0.1:${port}`, pid: child.pid, close: () => child.disconnect() };
}
