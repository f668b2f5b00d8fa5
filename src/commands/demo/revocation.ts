/** One revocation as Okta asks for it, and what the gateway says became of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { CommandError } from '../command-error.js';
import type { Narrator } from './narrator.js';
import type { OktaPerson } from './okta-login.js';
import type { Parties } from './parties.js';

const ASK_EVERY_MS = 20;

const GLOSSES: Record<string, string> = {
  typ: 'good for nothing else',
  kid: "a key of Okta's",
  jti: 'good for one body',
  iss: 'Okta',
  sub: 'the app at Okta, never a person',
  aud: 'this endpoint',
  exp: 'in five minutes',
  nbf: 'five minutes ago',
  iat: 'now',
};

/** Sends what Okta sends, and shows it. Answers when it was sent; throws a CommandError where the answer is not 204. */
export async function requestRevocation({ say, colours }: Narrator, parties: Parties, person: OktaPerson) {
  const { okta, gateway, client } = parties;
  const endpoint = `${gateway.url}/global-token-revocation`;
  const jwt = await okta.signRevocation({ audience: endpoint, client });
  const body = JSON.stringify({ sub_id: { format: 'iss_sub', iss: okta.issuer, sub: person.id } });
  say(`  POST ${endpoint}`);
  say('  Content-Type: application/json');
  say('  Authorization: Bearer <JWT>');
  for (const [name, value] of Object.entries({ ...decodeProtectedHeader(jwt), ...decodeJwt(jwt) })) {
    const gloss = GLOSSES[name];
    say(`    ${name.padEnd(4)} ${gloss ? `${String(value).padEnd(48)} ${colours.dim(gloss)}` : value}`);
  }
  say(`\n  ${body}\n`);

  const startedAt = performance.now();
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body,
  });
  const tookMs = Math.round(performance.now() - startedAt);
  if (response.status !== 204) {
    throw new CommandError(`The gateway answered ${response.status}: ${await response.text()}`);
  }
  say(`  ${colours.bold('204')} after ${tookMs} ms: accepted, and on disk; the apps are being told.`);
  return { startedAt };
}

type RevocationView = {
  revocationId: string;
  status: 'pending' | 'completed' | 'failed';
  tookMs?: number;
  apps: { app: string; state: string; attempts: number; reason?: string; what?: string[]; partial?: string }[];
};

/** The newest record of the gateway, as soon as it is no longer pending, or as it is after `withinMs`. */
export async function readRecord(
  { gateway: { url, adminToken } }: Parties,
  { withinMs, signal }: { withinMs: number; signal: AbortSignal },
): Promise<RevocationView | undefined> {
  for (const end = Date.now() + withinMs; ; await delay(ASK_EVERY_MS, undefined, { signal })) {
    const response = await fetch(`${url}/api/revocations`, { headers: { authorization: `Bearer ${adminToken}` } });
    const [newest] = ((await response.json()) as { revocations: RevocationView[] }).revocations;
    if ((newest && newest.status !== 'pending') || Date.now() > end) return newest;
  }
}

export function sayRecord({ say }: Narrator, { revocationId, status, tookMs, apps }: RevocationView): void {
  say(`  ${revocationId}  ${status}${tookMs === undefined ? '' : ` in ${tookMs} ms`}`);
  for (const { app, state, attempts, reason, what = [], partial } of apps) {
    const times = attempts === 1 ? '1 attempt' : `${attempts} attempts`;
    const details = [times, reason, what.join(' and ').replaceAll('_', ' '), partial].filter(Boolean).join('; ');
    say(`  ${app.padEnd(6)} ${state.padEnd(10)} ${details}`);
  }
}
