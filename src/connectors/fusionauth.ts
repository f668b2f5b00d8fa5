/** Revokes a person's refresh tokens at FusionAuth; single sign-on sessions are such tokens too. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, secret, unlessNotFound } from './connector.js';
import { withUserId } from './look-up.js';
import { expectNone } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of FusionAuth, such as https://acme.fusionauth.io.'),
  apiKey: secret().describe('An API key that is limited to the calls that this connector makes.'),
  tenantId: z.uuid().optional().describe('The tenant of the users, where there are several and the key is of none.'),
});
type Options = z.output<typeof options>;

const found = z.object({
  user: z.object({ id: z.uuid(), email: z.string().optional(), username: z.string().optional() }),
});
const tokens = z.object({ refreshTokens: z.array(z.unknown()).optional() });

const TOKENS = path`/api/jwt/refresh`;
const NOBODY = '00000000-0000-0000-0000-000000000000';

export const fusionauth = defineConnector({
  name: 'fusionauth',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'FusionAuth',
    coverage: 'full',
    does: 'Finds the user by e-mail address or user name, exactly; `DELETE /api/jwt/refresh?userId=` revokes all refresh tokens of that user for all applications, those that stand for a single sign-on session of FusionAuth too, of which none may be left in the list that is read then. The account may be the id of the user, too, where nobody has it as a name. Applications that listen to the webhook `jwt.refresh-token.revoke` hear of it.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn: 'Access tokens, which are JWTs, and sessions that an application keeps by itself.',
    lingers: 'As long as an access token lives, an hour by default.',
    permission: 'An API key for `GET /api/user`, `GET /api/jwt/refresh` and `DELETE /api/jwt/refresh`, of one tenant.',
    credential: [
      'In Settings, API Keys make a key, and choose the tenant of the users.',
      'Allow GET for `/api/user`, and GET and DELETE for `/api/jwt/refresh`, and nothing else.',
      'Set it as `apiKey`; a key that is of no tenant needs `tenantId` where there are several.',
    ],
    rateLimit: 'No page names one for these calls; FusionAuth Cloud may answer 429.',
    unknown: [
      'Whether revoking answers 404 where a user has no token left: then the outcome is that there was nothing.',
    ],
    sources: [
      'https://fusionauth.io/docs/apis/jwt#revoke-refresh-tokens',
      'https://fusionauth.io/docs/apis/jwt#retrieve-refresh-tokens',
      'https://fusionauth.io/docs/lifecycle/authenticate-users/logout-session-management',
      'https://fusionauth.io/docs/apis/users#retrieve-a-user',
      'https://fusionauth.io/docs/apis/authentication#api-key-authentication',
      'https://github.com/FusionAuth/fusionauth-openapi/blob/main/openapi.yaml',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const answer = await unlessNotFound(api('GET', path`/api/user`, { query: { loginId: account }, answer: found }));
      // A user name may look like an id.
      if (!answer) return z.uuid().safeParse(account).success ? [account] : [];
      const { id, email, username } = answer.data.user;
      return isSame(email, account) || isSame(username, account) ? [id] : [];
    }

    return withUserId({ connector: 'fusionauth', options, account }, find, async (userId) => {
      // Never with an applicationId alone: that revokes the tokens of everybody in the application.
      await api('DELETE', TOKENS, { query: { userId } });
      const { data } = await api('GET', TOKENS, { query: { userId }, answer: tokens });
      expectNone('fusionauth: GET of the refresh tokens after their end', data.refreshTokens ?? []);
      return { state: 'revoked', what: ['sessions', 'refresh_tokens'], verified: true };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', TOKENS, { query: { userId: NOBODY }, answer: tokens });
    return {
      ok: true,
      detail: 'the key may read refresh tokens; whether it may revoke them shows at the first revocation',
    };
  },
});

function apiOf({ url, apiKey, tenantId }: Options, call: CheckCall) {
  return createApi(
    'fusionauth',
    {
      url,
      authorize: async () => ({
        headers: { authorization: apiKey(), ...(tenantId && { 'x-fusionauth-tenantid': tenantId }) },
      }),
      // FusionAuth says that there is no such user with nothing at all; a wrong URL says it with a page.
      exceptions: { 404: ({ body }) => (body === '' ? 'not_found' : 'refused'), 410: 'refused' },
    },
    call,
  );
}
