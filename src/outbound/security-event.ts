/** A Security Event Token (RFC 8417) of OpenID SSF 1.0, as it is pushed to a receiver (RFC 8935). */
import type { OutboundRequest } from './outbound.js';
import type { SigningKeys } from './signing-keys.js';

const EVENT_TYPES = 'https://schemas.openid.net/secevent';

/** How a receiver knows what an event is about (RFC 9493). */
export type Subject =
  | { format: 'email'; email: string }
  | { format: 'iss_sub'; iss: string; sub: string }
  | { format: 'opaque'; id: string };

export type SecurityEvent = { type: string; payload: object };

/** The session-revoked event of CAEP 1.0 §3.1. `at`: milliseconds since the epoch. */
export function sessionRevoked(more: {
  at: number;
  initiatedBy?: 'admin' | undefined;
  reason?: string;
}): SecurityEvent {
  return {
    type: `${EVENT_TYPES}/caep/event-type/session-revoked`,
    payload: {
      event_timestamp: Math.floor(more.at / 1_000),
      ...(more.initiatedBy && { initiating_entity: more.initiatedBy }),
      ...(more.reason !== undefined && { reason_admin: { en: more.reason } }),
    },
  };
}

/** The verification event of SSF 1.0 §8.1.4, about the stream itself: nothing comes of it at the receiver. */
export function verification(): SecurityEvent {
  return { type: `${EVENT_TYPES}/ssf/event-type/verification`, payload: {} };
}

/** Without `sub` and `exp` (SSF 1.0 §4), lest it be taken for a login. A repeat has the same `jti`. */
export async function pushOfSet(
  set: {
    event: SecurityEvent;
    issuer: string;
    audience: string;
    subject: Subject;
    jti: string;
    txn?: string;
    now: Date;
    bearer?: string | undefined;
  },
  signingKeys: SigningKeys,
): Promise<OutboundRequest> {
  const { event, issuer, audience, subject, jti, txn, now, bearer } = set;
  const body = await signingKeys.sign('secevent+jwt', {
    iss: issuer,
    aud: audience,
    iat: Math.floor(now.getTime() / 1_000),
    jti,
    ...(txn !== undefined && { txn }),
    sub_id: subject,
    events: { [event.type]: event.payload },
  });
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/secevent+jwt',
      accept: 'application/json',
      ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
    },
    body,
  };
}
