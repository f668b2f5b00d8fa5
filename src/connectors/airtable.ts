/** Logs a person out of Airtable. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';

const options = z.strictObject({
  enterpriseAccountId: z.string().min(1).describe('The id of the enterprise account, which begins with ent.'),
  token: secret().describe('The personal access token of an enterprise admin.'),
  url: apiUrl.default('https://api.airtable.com').describe('Where the API is.'),
});
type Options = z.output<typeof options>;

const owner = z.object({ id: z.string(), scopes: z.array(z.string()).nullish() });
const users = z.object({ users: z.array(z.object({ id: z.string(), email: z.string().nullish() })) });

export const airtable = defineConnector({
  name: 'airtable',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Airtable',
    coverage: 'partial',
    does: 'Asks whose token it holds (`GET /v0/meta/whoami`), finds the user of the enterprise account by e-mail address, which it compares itself, and logs the user out (`POST /v0/meta/enterpriseAccounts/{id}/users/{id}/logout`). The admin who owns the token is never logged out.',
    ends: ['sessions'],
    livesOn:
      'Sessions of external users and of users whom the enterprise account does not manage, which Airtable refuses to end; and perhaps personal access tokens and OAuth integrations, of which the page says nothing.',
    lingers: 'No page says how long a client takes to notice.',
    permission:
      'The scopes `enterprise.user:read` and `enterprise.user:write` of an enterprise admin; an Enterprise Scale plan.',
    credential: [
      'As an enterprise admin, best one made for this alone, open the builder hub and make a personal access token.',
      'Give it the scopes `enterprise.user:read` and `enterprise.user:write`, and no other.',
      'Copy the token, and the id of the enterprise account from the address of the admin panel.',
    ],
    rateLimit: '50 requests a second for all tokens of one user; 429 beyond, and then 30 seconds without service.',
    unknown: [
      'Whether personal access tokens and OAuth integrations of the user end too.',
      'What is answered for a user id that is not known: a 404 may be a wrong path too, so it is taken for that.',
    ],
    sources: [
      'https://airtable.com/developers/web/api/logout-user',
      'https://airtable.com/developers/web/api/get-users-by-id-or-email',
      'https://airtable.com/developers/web/api/get-user-id-scopes',
      'https://airtable.com/developers/web/api/errors',
      'https://airtable.com/developers/web/api/rate-limits',
    ],
  },

  async revoke(account, options, call) {
    const { enterpriseAccountId } = options;
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const { data: own } = await api('GET', path`/v0/meta/whoami`, { answer: owner });
      const query = { 'email[]': account };
      const all = path`/v0/meta/enterpriseAccounts/${enterpriseAccountId}/users`;
      const { data } = await api('GET', all, { query, answer: users });
      const ids = data.users.filter((user) => isSame(user.email, account)).map(({ id }) => id);
      if (!ids.includes(own.id)) return ids;
      throw new ConnectorError(
        'refused',
        'airtable: not called, since the account is the one that the token belongs to',
      );
    }

    return withUserId({ connector: 'airtable', options, account }, find, async (id) => {
      await api('POST', path`/v0/meta/enterpriseAccounts/${enterpriseAccountId}/users/${id}/logout`);
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'personal access tokens and OAuth integrations may live on',
      };
    });
  },

  async check(options, call) {
    const api = apiOf(options, call);
    const { data: own } = await api('GET', path`/v0/meta/whoami`, { answer: owner });
    // Only OAuth tokens are told their scopes.
    if (own.scopes && !own.scopes.includes('enterprise.user:write')) {
      return { ok: false, problem: 'airtable: the token lacks the scope enterprise.user:write' };
    }
    const query = { 'id[]': own.id };
    await api('GET', path`/v0/meta/enterpriseAccounts/${options.enterpriseAccountId}/users`, { query, answer: users });
    return { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' };
  },
});

// https://airtable.com/developers/web/api/logout-user: what is about the user, and not about the token.
const NOT_THIS_USER =
  /Cannot perform action on self|does not belong to the enterprise email domain|is not managed by the enterprise account/i;

function apiOf({ url, token }: Options, call: CheckCall) {
  const exceptions = { 403: saying(NOT_THIS_USER, 'refused', 'auth'), 404: 'refused', 410: 'refused' } as const;
  return createApi('airtable', { url, authorize: bearer(token), exceptions }, call);
}
