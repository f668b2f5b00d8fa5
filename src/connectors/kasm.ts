/** Signs a person out of Kasm Workspaces, in every browser. */
import { type ZodType, z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, type Path, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { type Exceptions, notForThisUser } from './request.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of Kasm, such as https://kasm.example.com.'),
  apiKey: secret().describe('The id of an API key, which Kasm calls the API key.'),
  apiKeySecret: secret().describe('The secret of that API key.'),
});
type Options = z.output<typeof options>;

// 32 hexadecimal digits, with or without dashes.
const user = z.object({
  user_id: z.string().regex(/^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i),
  username: z.string(),
});
const one = z.object({ user: user.nullish() });
const all = z.object({ users: z.array(user) });
const done = z.object({ error_message: z.unknown().optional() });

const GET_USER = path`/api/public/get_user`;
const GET_USERS = path`/api/public/get_users`;
const LOGOUT_USER = path`/api/public/logout_user`;

export const kasm = defineConnector({
  name: 'kasm',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Kasm Workspaces',
    coverage: 'partial',
    does: 'Finds the user by user name, exactly (`get_user`, and where that answers no user, `get_users`); `POST /api/public/logout_user` ends all sign-ins of that user.',
    ends: ['sessions'],
    livesOn: 'Workspaces that are running: they go on, and are there again at the next sign-in. None is destroyed.',
    lingers: 'No page says whether the stream of an open workspace is cut.',
    permission: 'An API key with the permissions `Users View` and `Users Auth Session`.',
    credential: [
      'In Admin, Settings, Developers add an API key, and set a date at which it expires.',
      'Give it the permissions `Users View` and `Users Auth Session` in its tab Permissions, and leave Read Only off.',
      'Set the key and the secret, which are shown once, as `apiKey` and `apiKeySecret`.',
    ],
    rateLimit: 'No page names one.',
    unknown: [
      'By which words Kasm says that there is no such user: any `error_message` of `get_user` is followed by a look into the list of all users.',
      'With which status Kasm answers a wrong key.',
    ],
    sources: [
      'https://docs.kasm.com/docs/develop/developers/developer_api/index.html',
      'https://www.kasmweb.com/docs/latest/developers/developer_api.html',
    ],
  },

  async revoke(account, options, call) {
    const post = postOf(options, call);

    async function find(): Promise<string[]> {
      const { user } = await post(GET_USER, { target_user: { username: account } }, one);
      // What stands there instead of a user is an error message, of whatever kind.
      const found = user ? [user] : (await post(GET_USERS, {}, all)).users;
      return found.filter(({ username }) => isSame(username, account)).map(({ user_id }) => user_id);
    }

    return withUserId({ connector: 'kasm', options, account }, find, async (user_id) => {
      const { error_message } = await post(LOGOUT_USER, { target_user: { user_id } }, done, {
        // To touch an admin takes a permission of its own.
        403: notForThisUser,
      });
      if (error_message !== undefined) {
        throw new ConnectorError(
          'refused',
          'kasm: POST /api/public/logout_user answered 200, but with an error message',
        );
      }
      return { state: 'revoked', what: ['sessions'], partial: 'running workspaces go on' };
    });
  },

  async check(options, call) {
    await postOf(options, call)(GET_USERS, {}, all);
    return { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' };
  },
});

/** Every call is a POST with the key in its body. */
function postOf({ url, apiKey, apiKeySecret }: Options, call: CheckCall) {
  const authorize = async () => ({ headers: {} });
  const api = createApi('kasm', { url, authorize, exceptions: { 404: 'refused', 410: 'refused' } }, call);
  return async <T>(to: Path, input: object, answer: ZodType<T>, exceptions: Exceptions = {}): Promise<T> => {
    const json = { api_key: apiKey(), api_key_secret: apiKeySecret(), ...input };
    return (await api('POST', to, { json, answer, exceptions })).data;
  };
}
