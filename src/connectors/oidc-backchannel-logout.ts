/** Ends a person's sessions at an OpenID Connect relying party (OpenID Connect Back-Channel Logout 1.0). */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { anyName } from './account.js';
import { appUrl, defineConnector } from './connector.js';
import { request } from './request.js';

const LIFETIME_SECONDS = 120; // §4 recommends two minutes at most.

const options = z.strictObject({
  url: appUrl.describe("The relying party's back-channel logout URI."),
  clientId: z.string().min(1).describe('The client id under which the relying party knows itself: the `aud`.'),
  issuer: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The `iss` that the relying party expects; `publicUrl` where it is not given. Its keys must include ours.',
    ),
});

export const oidcBackchannelLogout = defineConnector({
  name: 'oidc-backchannel-logout',
  options,
  account: anyName,
  modes: ['full'],
  docs: {
    app: 'An OpenID Connect relying party',
    coverage: 'partial',
    does: "Sends a logout token without `sid`, which ends all sessions of that `iss` and `sub`. The relying party must find the gateway's public key (`/.well-known/jwks.json`) among the keys of that issuer.",
    ends: ['sessions'],
    livesOn: 'Refresh tokens with `offline_access`: the specification says that they should not be revoked (§2.7).',
    lingers: 'Access tokens live until they expire.',
    permission: "None: the logout token is signed with the gateway's own key.",
    credential: [
      'Give the relying party the gateway as an issuer of its own, or read [why that needs care](decisions.md#the-gateways-key-in-an-issuers-jwks).',
    ],
    rateLimit: 'Whatever the relying party answers 429 to.',
    sources: ['https://openid.net/specs/openid-connect-backchannel-1_0.html'],
  },

  async revoke(account, { url, clientId, issuer }, call) {
    const iat = Math.floor(call.now().getTime() / 1000);
    const logoutToken = await call.signingKeys.sign('logout+jwt', {
      iss: issuer ?? call.publicUrl,
      aud: clientId,
      sub: account,
      iat,
      exp: iat + LIFETIME_SECONDS,
      jti: randomUUID(),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    await request(
      'oidc-backchannel-logout: POST to the relying party',
      url,
      {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ logout_token: logoutToken }).toString(),
      },
      call,
      // A relying party that has not yet fetched our key answers 400 (§2.8), and fetches it some seconds later.
      { 400: 'server' },
    );
    return { state: 'revoked', what: ['sessions'], partial: 'refresh tokens with offline_access live on' };
  },

  async check() {
    return { ok: true, unasked: true, detail: 'nothing to ask: the specification has no call that changes nothing' };
  },
});
