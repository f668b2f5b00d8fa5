/** Ends a person's single sign-on session at Zoom. */
import { z } from 'zod';
import { identifier } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, appUrl, type Call, defineConnector, NONE, secret, unlessNotFound } from './connector.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';

const options = z.strictObject({
  accountId: z.string().min(1).describe('The account id of the Server-to-Server OAuth app.'),
  clientId: z.string().min(1).describe('Its client id.'),
  clientSecret: secret().describe('Its client secret.'),
  url: apiUrl.default('https://api.zoom.us').describe('The API, where it is not that of the world at large.'),
  tokenUrl: appUrl.default('https://zoom.us/oauth/token').describe('Where its tokens come from.'),
});
type Options = z.output<typeof options>;

export const zoom = defineConnector({
  name: 'zoom',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Zoom',
    coverage: 'partial',
    does: 'Revokes the SSO token of the user (`DELETE /v2/users/{userId}/token`), which logs the user out of the current Zoom session. The account is the e-mail address or the Zoom user id.',
    ends: ['sessions'],
    livesOn:
      'Tokens of OAuth apps, and sessions that did not begin by SSO: the page speaks of the session of an SSO user alone.',
    lingers: 'No page says how long the clients take to notice.',
    permission: 'The scope `user:delete:token:admin` (classic: `user:write:admin`) of a Server-to-Server OAuth app.',
    credential: [
      'In the Zoom App Marketplace choose Develop, Build App, Server-to-Server OAuth App.',
      'Add the scope `user:delete:token:admin` and no other, and activate the app.',
      'Copy its account id, client id and client secret.',
    ],
    rateLimit: 'Label Light, counted for the whole account over all of its apps; 429 beyond.',
    unknown: ['What is answered for a user who did not sign in by SSO.'],
    sources: [
      'https://developers.zoom.us/docs/api/users/#tag/users/DELETE/users/{userId}/token',
      'https://developers.zoom.us/docs/internal-apps/s2s-oauth/',
      'https://developers.zoom.us/docs/api/errors/',
      'https://developers.zoom.us/docs/api/rate-limits/',
    ],
  },

  async revoke(account, options, call) {
    const answer = await unlessNotFound(api(options, call)('DELETE', path`/v2/users/${account}/token`));
    if (!answer) return NONE;
    return {
      state: 'revoked',
      what: ['sessions'],
      partial: 'sessions without SSO and tokens of OAuth apps live on',
    };
  },

  async check(options, call) {
    await authorize(options)(call);
    return { ok: true, detail: 'Zoom gave a token; whether its scope suffices shows at the first revocation' };
  },
});

function api(options: Options, call: Call) {
  const exceptions = {
    // 4700 and 4711: the token is not good, or lacks a scope.
    400: saying(/"code":\s*47\d\d\b/, 'auth', 'refused'),
    404: saying(/"code":\s*1001\b/, 'not_found', 'refused'),
  };
  return createApi('zoom', { url: options.url, authorize: authorize(options), exceptions }, call);
}

const authorize = (options: Options) =>
  oauth('zoom', options, () =>
    clientSecretGrant({
      ...options,
      grantType: 'account_credentials',
      parameters: { account_id: options.accountId },
    }),
  );
