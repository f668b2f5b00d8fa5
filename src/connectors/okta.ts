/** Ends a person's sessions at an Okta org, and revokes the OAuth tokens that it has issued to them. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { type Authorize, bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret, unlessNotFound } from './connector.js';
import { withUserId } from './look-up.js';
import { oauth, privateKey, privateKeyJwtGrant } from './oauth.js';
import { notForThisUser, saying } from './request.js';

// Okta asks for `read` where it is a GET: https://developer.okta.com/docs/guides/implement-oauth-for-okta/main/
const SCOPE = 'okta.users.read okta.users.manage';

const options = z
  .strictObject({
    url: apiUrl.describe('The org, such as https://acme.okta.com: not the one that sends the revocations.'),
    clientId: z.string().min(1).optional().describe('The client id of the API Services app, with `privateKey`.'),
    privateKey: privateKey().optional().describe('Its private RSA key in PEM: `private_key_jwt`.'),
    keyId: z.string().min(1).optional().describe('The id (`kid`) of that key, where the app has several.'),
    apiToken: secret().optional().describe('An API token (SSWS), instead of the app; it is as mighty as its owner.'),
    forgetDevices: z
      .boolean()
      .default(false)
      .describe(
        'Whether remembered devices are forgotten too: the person has to pass every factor again on all of them.',
      ),
  })
  .refine(({ clientId, privateKey, keyId, apiToken }) => {
    const isApp = clientId !== undefined && privateKey !== undefined;
    const isToken = clientId === undefined && privateKey === undefined && keyId === undefined;
    return apiToken === undefined ? isApp : isToken;
  }, 'needs either `clientId` and `privateKey`, or `apiToken`, and not both');
type Options = z.output<typeof options>;

const user = z.object({ id: z.string(), profile: z.object({ login: z.string() }).optional() });

export const okta = defineConnector({
  name: 'okta',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'Okta (another org)',
    coverage: 'partial',
    does: 'Finds the user by login or id, exactly, and revokes all sessions at Okta together with the OpenID Connect and OAuth tokens that it has issued (`DELETE /api/v1/users/{userId}/sessions?oauthTokens=true`). Remembered devices are kept unless `forgetDevices` is set. The user who owns the API token is never signed out.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn: 'Sessions that web and native apps keep by themselves: Okta says that this call does not clear them.',
    lingers:
      'Access tokens that an app checks by itself live until they expire: an hour from the org authorization server, five minutes to a day from a custom one.',
    permission:
      'The scopes `okta.users.read` and `okta.users.manage`, and an admin role with the permissions View users (`okta.users.read`) and Clear user sessions (`okta.users.lifecycle.clearSessions`).',
    credential: [
      'In the Admin Console choose Applications, Create App Integration, API Services.',
      'Set Client authentication to Public key / Private key, make an RSA key and keep its private half as PEM; turn off Require Demonstrating Proof of Possession (DPoP).',
      'Under Okta API Scopes grant `okta.users.read` and `okta.users.manage`.',
      'Under Security, Administrators make a custom role with View users and Clear user sessions, and assign it to the app under Admin roles.',
      'An API token instead is made under Security, API, Tokens by an administrator with that role, whom nobody else signs in as.',
    ],
    rateLimit: 'Per endpoint and org; 429 with `X-Rate-Limit-Reset` in seconds since the epoch.',
    unknown: ['What is answered for a user who is deactivated.'],
    sources: [
      'https://developer.okta.com/docs/api/openapi/okta-management/management/tag/UserSessions/',
      'https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/',
      'https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/main/',
      'https://developer.okta.com/docs/reference/rl2-monitor/',
      'https://developer.okta.com/docs/reference/error-codes/',
      'https://support.okta.com/help/s/article/What-is-the-lifetime-of-the-JWT-tokens',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const found = await unlessNotFound(api('GET', path`/api/v1/users/${account}`, { answer: user }));
      // Okta also takes a login without its domain for it.
      const { id, profile } = found?.data ?? { id: undefined };
      if (id === undefined || (id !== account && !isSame(profile?.login, account))) return [];
      if (options.apiToken) {
        const owner = await api('GET', path`/api/v1/users/me`, { answer: user });
        if (owner.data.id === id) {
          throw new ConnectorError('refused', 'okta: not called for the user who owns the API token');
        }
      }
      return [id];
    }

    return withUserId({ connector: 'okta', options, account }, find, async (id) => {
      await api('DELETE', path`/api/v1/users/${id}/sessions`, {
        // Said even where it is `false`: without it, Identity Engine forgets the devices.
        query: { oauthTokens: 'true', forgetDevices: String(options.forgetDevices) },
        // E0000006 says nothing of why: the custom role may not touch an admin.
        exceptions: { 403: notForThisUser },
      });
      return {
        state: 'revoked',
        what: ['sessions', 'refresh_tokens', 'access_tokens'],
        partial: 'sessions that apps keep by themselves live on',
      };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/api/v1/users`, { query: { limit: '1' }, answer: z.array(user) });
    return { ok: true, detail: 'users can be read; whether sessions can be cleared shows at the first revocation' };
  },
});

function apiOf(options: Options, call: CheckCall) {
  const exceptions = { 404: saying(/"errorCode":\s*"E0000007"/, 'not_found', 'refused') };
  return createApi('okta', { url: options.url, authorize: authorize(options), exceptions }, call);
}

function authorize(options: Options): Authorize {
  const { url, clientId, privateKey, keyId, apiToken } = options;
  if (apiToken) return bearer(apiToken, 'SSWS');
  if (clientId === undefined || privateKey === undefined) throw new Error('the schema lets no such options through');
  const tokenUrl = `${url.replace(/\/+$/, '')}/oauth2/v1/token`;
  const parameters = { scope: SCOPE };
  return oauth('okta', options, () => privateKeyJwtGrant({ tokenUrl, clientId, privateKey, keyId, parameters }));
}
