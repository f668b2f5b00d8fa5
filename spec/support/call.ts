/** One attempt as the worker makes it: real signing keys, real outbound calls to loopback. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Call } from '../../src/connectors/connector.js';
import { createOutbound } from '../../src/outbound/outbound.js';
import { loadSigningKeys } from '../../src/outbound/signing-keys.js';
import { PUBLIC_URL } from './gateway.js';

/** Answers a function that makes calls; `over` is what one of them has otherwise. */
export async function createCalls({ allowNetworks = ['127.0.0.0/8'] }: { allowNetworks?: string[] } = {}) {
  const signingKeys = await loadSigningKeys(join(mkdtempSync(join(tmpdir(), 'universal-logout-')), 'keys.json'));
  const { send, close } = createOutbound({ allowNetworks });
  const call = (over: Partial<Call> = {}): Call => ({
    revocationId: 'rev_0123456789abcdef',
    tenant: 'default',
    app: 'intranet',
    mode: 'full',
    idempotencyKey: 'rev_0123456789abcdef_intranet',
    via: [PUBLIC_URL],
    acceptedAt: Date.now(),
    attempt: 1,
    signal: AbortSignal.timeout(5_000),
    now: () => new Date(),
    publicUrl: PUBLIC_URL,
    signingKeys,
    send,
    evidence: async () => [],
    ...over,
  });
  return { call, signingKeys, close };
}
