/** Signs a person out of Discourse, in every browser. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { notForThisUser, saying } from './request.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of the forum, such as https://forum.example.com.'),
  apiKey: secret().describe('An API key of an administrator, limited to the scopes that this connector needs.'),
  apiUser: z.string().min(1).describe('The user name of the administrator for whom the key was made.'),
});
type Options = z.output<typeof options>;

const users = z.array(
  z.object({
    id: z.int().positive(),
    username: z.string(),
    email: z.string().optional(),
  }),
);
const done = z.object({ success: z.literal('OK') });

const LIST = path`/admin/users/list/active.json`;

export const discourse = defineConnector({
  name: 'discourse',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Discourse',
    coverage: 'partial',
    does: 'Finds the user by primary e-mail address, exactly, in the list for administrators, which notes each such look-up in the staff log; `POST /admin/users/{id}/log_out.json` ends the sessions of all browsers and of the app.',
    ends: ['sessions'],
    livesOn: 'User API keys, by which mobile and other clients act for a user, and API keys of administrators.',
    lingers: 'Open pages are told at once; where that fails, until the next request.',
    permission: 'An API key of an administrator with the granular scopes `users: list` and `users: log out`.',
    credential: [
      'Make an administrator for the gateway, with an address that is no person’s.',
      'In Admin, Advanced, API keys add a key with the user level Single User, this user, and the scope Granular.',
      'Tick `list` and `log out` under users, save, and set the key and the user name as `apiKey` and `apiUser`.',
    ],
    rateLimit: '60 calls a minute for keys of administrators by default; 429 with `Retry-After` beyond.',
    sources: [
      'https://docs.discourse.org/#tag/Admin/operation/logOutUser',
      'https://docs.discourse.org/#tag/Admin/operation/adminListUsers',
      'https://docs.discourse.org/#section/Authentication',
      'https://github.com/discourse/discourse/blob/main/app/controllers/admin/users_controller.rb',
      'https://github.com/discourse/discourse/blob/main/lib/admin_user_index_query.rb',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const query = { email: account, show_emails: 'true' };
      const { data } = await api('GET', LIST, { query, answer: users });
      const found = data.filter(({ email }) => isSame(email, account));
      // Found by its address, but not shown with one: that is not somebody else.
      if (found.length === 0 && data.some(({ email }) => !email)) {
        throw new ConnectorError('auth', 'discourse: the e-mail addresses of users cannot be read');
      }
      if (found.some(({ username }) => isSame(username, options.apiUser))) {
        throw new ConnectorError('refused', 'discourse: not called, since the account is the gateway’s own');
      }
      return found.map(({ id }) => String(id));
    }

    return withUserId({ connector: 'discourse', options, account }, find, async (id) => {
      await api('POST', path`/admin/users/${id}/log_out.json`, {
        answer: done,
        exceptions: { 403: notForThisUser, 404: UNKNOWN },
      });
      return { state: 'revoked', what: ['sessions'], partial: 'user API keys live on' };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', LIST, { query: { email: 'nobody@universal-logout.invalid' }, answer: users });
    return { ok: true, detail: 'users can be listed; whether they can be logged out shows at the first revocation' };
  },
});

// A key without the right gets a 404 as well, but then the list was one already.
const UNKNOWN = saying(/"error_type":\s*"not_found"|^\s*\{\s*"error":/, 'not_found', 'refused');

function apiOf({ url, apiKey, apiUser }: Options, call: CheckCall) {
  const authorize = async () => ({ headers: { 'api-key': apiKey(), 'api-username': apiUser } });
  return createApi('discourse', { url, authorize, exceptions: { 404: 'refused' } }, call);
}
