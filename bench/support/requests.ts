/** Revocation requests as Okta sends them, signed before the clock starts. */
import { type Okta, signRevocation } from '../../spec/support/okta.js';
import { AUDIENCE, emailOf } from './gateway.js';

const SIGNED_TOGETHER = 64; // jose signs on libuv's threads, so that all cores have a part in it.

export type RevocationRequest = { jwt: string; body: string };

/** One request for each user of these numbers. */
export async function signRequests(
  okta: Okta,
  { from, count }: { from: number; count: number },
): Promise<RevocationRequest[]> {
  const requests: RevocationRequest[] = [];
  while (requests.length < count) {
    const next = from + requests.length;
    const together = Math.min(SIGNED_TOGETHER, count - requests.length);
    const signed = Array.from({ length: together }, (_, index) => signRequest(okta, next + index));
    requests.push(...(await Promise.all(signed)));
  }
  return requests;
}

async function signRequest(okta: Okta, user: number): Promise<RevocationRequest> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: AUDIENCE });
  return { jwt, body: JSON.stringify({ sub_id: { format: 'email', email: emailOf(user) } }) };
}
