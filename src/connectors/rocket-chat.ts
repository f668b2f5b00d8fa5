/** Signs a person out of Rocket.Chat, on every device; the personal access tokens go with it. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret, unlessNotFound } from './connector.js';
import { withUserId } from './look-up.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of the workspace, such as https://chat.example.com.'),
  userId: z.string().min(1).describe('The id of the user whom the gateway is.'),
  token: secret().describe('A personal access token of that user.'),
  endPersonalTokens: z
    .literal(true)
    .describe(
      'Has to be true: the one call there is for another user’s logout also deletes that user’s personal access tokens, for good.',
    ),
});
type Options = z.output<typeof options>;

const found = z.object({
  user: z.object({
    _id: z.string().min(1),
    username: z.string().optional(),
    emails: z.array(z.object({ address: z.string() })).optional(),
  }),
});
const me = z.object({ _id: z.string() });

export const rocketChat = defineConnector({
  name: 'rocket-chat',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Rocket.Chat',
    coverage: 'full',
    does: 'Finds the user by e-mail address (from server 8.4 on) or user name, exactly; `POST /api/v1/users.logout` with that user’s id empties the list of login tokens, in which the personal access tokens are kept too, so these are deleted as well.',
    ends: ['sessions', 'credentials'],
    livesOn: 'Access tokens of apps that sign people in by the workspace’s own OAuth server.',
    lingers: 'No page says how soon an open connection notices.',
    permission:
      'The permissions `logout-other-user`, `view-full-other-user-info` (without it addresses cannot be compared) and, to make the token, `create-personal-access-tokens`; `api-bypass-rate-limit` where many are to be logged out at once.',
    credential: [
      'In Workspace, Permissions make a role with these permissions, and a user for the gateway with this role.',
      'Sign in as this user, and in its profile under Personal Access Tokens add one with Ignore Two Factor Authentication.',
      'Set the token and the user id that are shown once as `token` and `userId`.',
    ],
    rateLimit:
      '10 calls a minute for each endpoint by default; beyond, 429 (older servers: 400), and `X-RateLimit-Reset` in milliseconds since the epoch.',
    unknown: ['Whether a later server will keep personal access tokens when it logs a user out.'],
    sources: [
      'https://developer.rocket.chat/apidocs/logout-user',
      'https://developer.rocket.chat/apidocs/get-users-info',
      'https://github.com/RocketChat/Rocket.Chat-Open-API/blob/main/user-management.yaml',
      'https://github.com/RocketChat/Rocket.Chat/blob/develop/apps/meteor/app/api/server/v1/users.ts',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const kind = account.includes('@') ? 'email' : 'username';
      const answer = await unlessNotFound(
        api('GET', path`/api/v1/users.info`, { query: { [kind]: account }, answer: found }),
      );
      if (!answer) return [];
      const { _id: id, username, emails } = answer.data.user;
      // Absent where the caller may not see them: that is not somebody else's address.
      if (kind === 'email' && !emails) {
        throw new ConnectorError('auth', 'rocket-chat: the e-mail addresses of users cannot be read');
      }
      const names = kind === 'email' ? (emails ?? []).map(({ address }) => address) : [username];
      return names.some((name) => isSame(name, account)) ? [id] : [];
    }

    return withUserId({ connector: 'rocket-chat', options, account }, find, async (userId) => {
      // Without a userId, or with its own, the same call logs out whoever makes it.
      if (userId === options.userId) {
        throw new ConnectorError('refused', 'rocket-chat: not called, since the account is the gateway’s own');
      }
      await api('POST', path`/api/v1/users.logout`, { json: { userId } });
      return { state: 'revoked', what: ['sessions', 'credentials'] };
    });
  },

  async check(options, call) {
    const { data } = await apiOf(options, call)('GET', path`/api/v1/me`, { answer: me });
    if (data._id !== options.userId) return { ok: false, problem: 'rocket-chat: the token is not that of `userId`' };
    return { ok: true, detail: 'the token is good; whether it may log others out shows at the first revocation' };
  },
});

function apiOf({ url, userId, token }: Options, call: CheckCall) {
  return createApi(
    'rocket-chat',
    {
      url,
      authorize: async () => ({ headers: { 'x-auth-token': token(), 'x-user-id': userId } }),
      exceptions: {
        400: ({ body }) => {
          if (/\berror-too-many-requests\b/.test(body)) return 'rate_limited';
          return /"error":\s*"(User not found|[^"]*\[error-invalid-user(-id)?\])/.test(body) ? 'not_found' : 'refused';
        },
        404: 'refused',
      },
      refusal: (body) =>
        (body as { success?: unknown } | null)?.success === true
          ? undefined
          : { reason: 'refused', word: 'success is not true in it' },
    },
    call,
  );
}
