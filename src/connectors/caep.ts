/** Pushes a session-revoked event to a receiver of Shared Signals (OpenID CAEP 1.0 and SSF 1.0; RFC 8417, RFC 8935). */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { OutboundResponse } from '../outbound/outbound.js';
import {
  pushOfSet,
  type SecurityEvent,
  type Subject,
  sessionRevoked,
  verification,
} from '../outbound/security-event.js';
import { anyName, email } from './account.js';
import { appUrl, type CheckCall, ConnectorError, defineConnector, type Reason, secret } from './connector.js';
import { request } from './request.js';

const options = z
  .strictObject({
    url: appUrl.describe("The receiver's endpoint for push delivery."),
    audience: z.string().min(1).describe('The `aud` that the receiver expects.'),
    bearer: secret().optional().describe('Goes in the `Authorization` header, where the receiver wants one.'),
    issuer: z
      .string()
      .min(1)
      .optional()
      .describe('The `iss` of the stream; `publicUrl` where it is not given. Its keys must include ours.'),
    subject: z
      .enum(['email', 'iss_sub', 'opaque'])
      .default('email')
      .describe('How the account is named to the receiver (RFC 9493).'),
    subjectIssuer: z.string().min(1).optional().describe('The issuer that `iss_sub` names the account under.'),
    reasonAdmin: z
      .string()
      .min(1)
      .default('A universal logout was requested.')
      .describe("The `reason_admin`, in English, for the receiver's log; the interoperability profile asks for one."),
    streamId: z
      .string()
      .min(1)
      .optional()
      .describe('The id of the stream, where there is one: with it a check sends a verification event.'),
  })
  .refine(({ subject, subjectIssuer }) => (subject === 'iss_sub') === (subjectIssuer !== undefined), {
    message: 'is needed where subject is iss_sub, and nowhere else',
    path: ['subjectIssuer'],
  });
type Options = z.output<typeof options>;

export const caep = defineConnector({
  name: 'caep',
  options,
  account: anyName,
  modes: ['full'],
  docs: {
    app: 'A receiver of Shared Signals (OpenID CAEP)',
    coverage: 'partial',
    does: 'Pushes a Security Event Token with the one event `session-revoked`, signed with the gateway’s own key. 202 means that the receiver has it, so the outcome is `accepted`. It is sent under the same `jti` each time, so that the receiver can tell a repeat. A 400 is read by its error code: one that is about keys, issuer, audience or permission is tried again, since it is mended in the settings of either side; any other is final.',
    ends: ['sessions'],
    livesOn: 'Whatever the receiver does not end: it is free to do nothing about an event.',
    lingers: 'As long as the receiver lets it: it answers before it acts, and nothing tells when it has.',
    permission: "None, or the receiver's bearer token; the event itself is signed with the gateway's own key.",
    credential: [
      'Have the receiver trust `publicUrl` (or `issuer`) as a transmitter, with the keys at `/.well-known/jwks.json`.',
      'Ask it for the audience that it expects, and for a bearer token where it wants one.',
    ],
    rateLimit: 'Whatever the receiver answers 429 to.',
    unknown: ['Whether a receiver knows the account: the standard has no word for a subject that it does not know.'],
    sources: [
      'https://openid.net/specs/openid-caep-1_0-final.html',
      'https://openid.net/specs/openid-sharedsignals-framework-1_0-final.html',
      'https://www.rfc-editor.org/rfc/rfc8417',
      'https://www.rfc-editor.org/rfc/rfc8935',
    ],
  },

  async revoke(account, options, call) {
    const { reasonAdmin } = options;
    const event = sessionRevoked({ at: call.acceptedAt, reason: reasonAdmin });
    const about = { event, subject: subjectOf(account, options), jti: call.idempotencyKey, txn: call.revocationId };
    await push('caep: POST of the event', about, options, call);
    return { state: 'accepted', what: ['sessions'] };
  },

  async check(options, call) {
    const { streamId } = options;
    if (streamId === undefined) {
      return {
        ok: true,
        unasked: true,
        detail: 'nothing asked: without streamId there is no call that changes nothing',
      };
    }
    const subject = { format: 'opaque' as const, id: streamId };
    await push(
      'caep: POST of a verification event',
      { event: verification(), subject, jti: randomUUID() },
      options,
      call,
    );
    return { ok: true, detail: 'the receiver took a verification event; what it does about others is up to it' };
  },
});

function subjectOf(account: string, { subject, subjectIssuer }: Options): Subject {
  if (subject === 'opaque') return { format: subject, id: account };
  if (subject === 'iss_sub') return { format: subject, iss: subjectIssuer as string, sub: account };
  if (!email.test(account)) {
    throw new ConnectorError('refused', `caep: not called, since the account is not ${email.noun}`);
  }
  return { format: subject, email: account };
}

async function push(
  operation: string,
  about: { event: SecurityEvent; subject: Subject; jti: string; txn?: string },
  { url, audience, bearer, issuer }: Options,
  call: CheckCall,
): Promise<void> {
  const set = { ...about, audience, issuer: issuer ?? call.publicUrl, now: call.now(), bearer: bearer?.() };
  const message = await pushOfSet(set, call.signingKeys);
  // 404 and 410 are about the endpoint: the standard has no word for an unknown subject.
  await request(operation, url, message, call, { 400: refusalOf, 404: 'refused', 410: 'refused' });
}

/** RFC 8935 §2.4. A receiver that keeps our keys may have to fetch them anew. */
const REFUSALS: Readonly<Record<string, Reason>> = {
  invalid_key: 'server',
  invalid_issuer: 'auth',
  invalid_audience: 'auth',
  authentication_failed: 'auth',
  access_denied: 'auth',
  invalid_request: 'refused',
};

function refusalOf({ body }: OutboundResponse): Reason {
  const code = /"err"\s*:\s*"(\w+)"/.exec(body)?.[1] ?? '';
  return (Object.hasOwn(REFUSALS, code) && REFUSALS[code]) || 'refused';
}
