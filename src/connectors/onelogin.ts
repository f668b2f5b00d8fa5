/** Ends a person's session at OneLogin, so that no app is opened from it without a new login. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, type Reason, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';

const MOST_PAGES = 20;

const options = z.strictObject({
  url: apiUrl.describe('The OneLogin account, such as https://acme.onelogin.com.'),
  clientId: z.string().min(1).describe('The client id of the API credential.'),
  clientSecret: secret().describe('Its client secret.'),
});
type Options = z.output<typeof options>;

const FIELDS = 'id,email,username';
const users = z.array(z.object({ id: z.number(), email: z.string().nullish(), username: z.string().nullish() }));

export const onelogin = defineConnector({
  name: 'onelogin',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'OneLogin',
    coverage: 'partial',
    does: 'Finds the user by e-mail address or user name, exactly, and ends the session at OneLogin (`PUT /api/1/users/{id}/logout`): the portal is closed, and no SAML or OpenID Connect sign-in can begin without a new login.',
    ends: ['sessions'],
    livesOn: 'Sessions of the apps that were opened from OneLogin, and the tokens that it issued to them.',
    lingers: 'Nothing of OneLogin itself; the apps as long as their own sessions and tokens last.',
    permission: 'An API credential of the scope Manage users.',
    credential: [
      'As an administrator made for this alone choose Developers, API Credentials, New Credential: the credential stops working when its owner is deleted.',
      'Give it the scope Manage users, and copy its client id and client secret.',
    ],
    rateLimit:
      '5,000 calls an hour to version 1 for the whole account; an error beyond, until the hour is over. No page has a figure for version 2.',
    unknown: [
      'The status of a call beyond the rate limit, for which 429 is taken, and whether it tells when the limit is reset: `X-RateLimit-Reset`, the seconds that remain, is described for the answer of another call.',
      'The words of a 404 of the logout: one with its own code 404 is taken for an unknown user.',
    ],
    sources: [
      'https://developers.onelogin.com/api-docs/1/users/log-user-out',
      'https://developers.onelogin.com/api-docs/2/users/list-users',
      'https://developers.onelogin.com/api-docs/2/oauth20-tokens/get-rate-limit',
      'https://developers.onelogin.com/api-docs/2/getting-started/using-query-parameters',
      'https://developers.onelogin.com/api-docs/2/oauth20-tokens/generate-tokens-2',
      'https://github.com/onelogin/onelogin-python-sdk/blob/main/docs/UsersV1Api.md',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const kind = account.includes('@') ? 'email' : 'username';
      const found: string[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const { data, headers } = await api('GET', path`/api/2/users`, {
          query: { [kind]: account, fields: FIELDS, cursor },
          answer: users,
        });
        found.push(...data.filter((user) => isSame(user[kind], account)).map(({ id }) => String(id)));
        cursor = headers['after-cursor'];
        if (!cursor) return found;
      }
      throw new ConnectorError('refused', `onelogin: more than ${MOST_PAGES} pages of users were found`);
    }

    return withUserId({ connector: 'onelogin', options, account }, find, async (id) => {
      await api('PUT', path`/api/1/users/${id}/logout`, {
        answer: success,
        exceptions: {
          // Of this one user, whom the owner of the credential may not manage.
          403: saying(/not authorized to access this User/i, 'refused', 'auth'),
          404: saying(/"code":\s*404\b/, 'not_found', 'refused'),
        },
      });
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'sessions of the apps and their tokens live on',
      };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/api/2/users`, { query: { limit: '1', fields: FIELDS }, answer: users });
    return { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' };
  },
});

// The API of version 1 writes its status into the answer too.
const success = z.object({ status: z.object({ error: z.literal(false) }) });
const failure = z.object({ status: z.object({ error: z.literal(true), code: z.number().optional() }) });
const REASONS: Record<number, Reason> = { 401: 'auth', 403: 'auth', 404: 'not_found', 429: 'rate_limited' };

function refusal(body: unknown): { reason: Reason; word: string; forbidden: boolean } | undefined {
  const { data } = failure.safeParse(body);
  if (!data) return undefined;
  const { code = 0 } = data.status;
  return {
    reason: REASONS[code] ?? (code >= 400 && code < 500 ? 'refused' : 'server'),
    word: 'its status is an error',
    forbidden: code === 403,
  };
}

function apiOf(options: Options, call: CheckCall) {
  const { clientId, clientSecret } = options;
  const url = options.url.replace(/\/+$/, '');
  const tokenUrl = `${url}/auth/oauth2/v2/token`;
  const authorize = oauth('onelogin', options, () =>
    clientSecretGrant({ tokenUrl, clientId, clientSecret, secretIn: 'form' }),
  );
  return createApi('onelogin', { url, authorize, refusal, exceptions: { 404: 'refused', 410: 'refused' } }, call);
}
