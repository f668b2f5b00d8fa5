/** Hands a revocation on to another Global Token Revocation receiver, with a JWT in Okta's own profile. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { OutboundResponse } from '../outbound/outbound.js';
import { anyName, email } from './account.js';
import { appUrl, ConnectorError, defineConnector, NONE, type Reason, unlessNotFound } from './connector.js';
import { request } from './request.js';

const LIFETIME_SECONDS = 300;
const NOT_BEFORE_SECONDS = 300;

const options = z.strictObject({
  url: appUrl.describe("The receiver's Global Token Revocation endpoint."),
  client: z.string().min(1).describe('The id under which the receiver knows this gateway: the `sub` of the JWT.'),
  issuer: z.string().min(1).optional().describe('The `iss` of the JWT; `publicUrl` where it is not given.'),
  subjectIssuer: z
    .string()
    .min(1)
    .optional()
    .describe('With it the subject goes as `iss_sub` under this issuer; without it as `email`.'),
});

export const globalTokenRevocation = defineConnector({
  name: 'global-token-revocation',
  options,
  account: anyName,
  modes: ['full'],
  docs: {
    app: 'A Global Token Revocation receiver, such as another gateway',
    coverage: 'full',
    does: 'Sends `sub_id` to a receiver that trusts this gateway as an issuer of its own; one that trusts only Okta answers 401. 204 means that the receiver has begun, so the outcome is `accepted`; an unknown user (404, without a body or with JSON) is `none`. The JWT carries a `via` claim with the ids of the gateways passed, and a gateway that finds itself there stops the ring.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn: 'Access tokens, which the draft leaves to the receiver.',
    lingers: 'As long as the receiver takes: it answers before it has done the work.',
    permission: "None: the JWT is signed with the gateway's own key.",
    credential: [
      'Have the receiver trust `publicUrl` as issuer, with the keys at `/.well-known/jwks.json`, and `client` as subject.',
    ],
    rateLimit: 'Whatever the receiver answers 429 to.',
    sources: ['https://datatracker.ietf.org/doc/draft-parecki-oauth-global-token-revocation/'],
  },

  async revoke(account, { url, client, issuer, subjectIssuer }, call) {
    if (!subjectIssuer && !email.test(account)) {
      throw new ConnectorError(
        'refused',
        `global-token-revocation: not called, since the account is not ${email.noun}, and no subjectIssuer is set`,
      );
    }
    const iat = Math.floor(call.now().getTime() / 1000);
    const jwt = await call.signingKeys.sign('global-token-revocation+jwt', {
      iss: issuer ?? call.publicUrl,
      sub: client,
      aud: url.replace(/[?#].*$/, ''),
      jti: randomUUID(),
      iat,
      nbf: iat - NOT_BEFORE_SECONDS,
      exp: iat + LIFETIME_SECONDS,
      via: [...call.via],
    });
    const sub_id = subjectIssuer
      ? { format: 'iss_sub', iss: subjectIssuer, sub: account }
      : { format: 'email', email: account };
    const answer = await unlessNotFound(
      request(
        'global-token-revocation: POST to the receiver',
        url,
        {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
          body: JSON.stringify({ sub_id }),
        },
        call,
        // 410 says that the endpoint itself has gone.
        { 404: unfound, 410: 'refused' },
      ),
    );
    if (!answer) return NONE;
    return { state: 'accepted', what: ['sessions', 'refresh_tokens'] };
  },

  async check() {
    return { ok: true, unasked: true, detail: 'nothing to ask: the draft has no call that changes nothing' };
  },
});

/** The draft's word for an unknown user (§3.4.2); a web page says that there is no such endpoint. */
function unfound({ headers, body }: OutboundResponse): Reason {
  return body.trim() === '' || /\bjson\b/i.test(headers['content-type'] ?? '') ? 'not_found' : 'refused';
}
