/** Signs a person out of Grafana, on every device. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { basic, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret, unlessNotFound } from './connector.js';
import { withUserId } from './look-up.js';
import { notForThisUser, saying } from './request.js';
import { expectNone } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of Grafana, such as https://grafana.example.com.'),
  user: z.string().min(1).describe('The login of the server administrator whom the gateway is.'),
  password: secret().describe('The password of that administrator.'),
});
type Options = z.output<typeof options>;

const found = z.object({ id: z.int().positive(), login: z.string().optional(), email: z.string().optional() });
const tokens = z.array(z.unknown());

export const grafana = defineConnector({
  name: 'grafana',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Grafana (self-managed)',
    coverage: 'full',
    does: 'Finds the user by e-mail address or login, exactly; `POST /api/admin/users/{id}/logout` revokes the auth tokens of all devices, of which none may be left in the list that is read then.',
    ends: ['sessions'],
    livesOn:
      'Tokens of service accounts, which are nobody in particular, and whatever a proxy before Grafana lets in by header or JWT.',
    lingers: 'Until the next request of the browser.',
    permission:
      'A server administrator (Grafana Admin), since these calls take no token; in Grafana Enterprise and Cloud the actions `users:read`, `users.authtoken:read` and `users.logout` with the scope `global.users:*`.',
    credential: [
      'Make a user for the gateway in Administration, Users, with a long password and no e-mail address of a person.',
      'Give it the permission Grafana Admin, and leave basic authentication on (`[auth.basic] enabled`).',
      'Set its login and password as `user` and `password`.',
    ],
    rateLimit: 'None of its own; after several wrong passwords Grafana refuses the login for some minutes.',
    unknown: ['Whether Grafana Cloud takes these calls, since they want basic authentication.'],
    sources: [
      'https://grafana.com/docs/grafana/latest/developers/http_api/admin/#logout-user',
      'https://grafana.com/docs/grafana/latest/developers/http_api/admin/#auth-tokens-for-user',
      'https://grafana.com/docs/grafana/latest/developers/http_api/user/#get-single-user-by-usernamelogin-or-email',
      'https://github.com/grafana/grafana/blob/main/pkg/api/user_token.go',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const user = await lookUp(options, call, account);
      if (!user || (!isSame(user.email, account) && !isSame(user.login, account))) return [];
      // Grafana refuses that too, with a 400.
      if (isSame(user.login, options.user)) throw itself();
      return [String(user.id)];
    }

    if (isSame(account, options.user)) throw itself();
    return withUserId({ connector: 'grafana', options, account }, find, async (id) => {
      await api('POST', path`/api/admin/users/${id}/logout`, THEIRS);
      const left = await api('GET', path`/api/admin/users/${id}/auth-tokens`, { ...THEIRS, answer: tokens });
      expectNone('grafana: GET of the auth tokens after the logout', left.data);
      return { state: 'revoked', what: ['sessions'], verified: true };
    });
  },

  async check(options, call) {
    const self = await lookUp(options, call, options.user);
    if (!self) return { ok: false, problem: 'grafana: the administrator in `user` is not found' };
    await apiOf(options, call)('GET', path`/api/admin/users/${String(self.id)}/auth-tokens`, { answer: tokens });
    return {
      ok: true,
      detail: 'users and their sessions can be read; whether they can be ended shows at the first revocation',
    };
  },
});

// A permission can be given for some users alone.
const THEIRS = { exceptions: { 403: notForThisUser } };

const itself = () => new ConnectorError('refused', 'grafana: not called, since the account is the gateway’s own');

/** The one user whom Grafana takes for this e-mail address or login. */
async function lookUp(options: Options, call: CheckCall, loginOrEmail: string) {
  const query = { loginOrEmail };
  const answer = await unlessNotFound(apiOf(options, call)('GET', path`/api/users/lookup`, { query, answer: found }));
  return answer?.data;
}

function apiOf({ url, user, password }: Options, call: CheckCall) {
  const exceptions = { 404: saying(/"message":\s*"user not found"/i, 'not_found', 'refused') };
  return createApi('grafana', { url, authorize: basic(user, password), exceptions }, call);
}
