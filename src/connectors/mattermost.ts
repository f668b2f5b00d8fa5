/** Ends a person's sessions at Mattermost and, if asked, the personal access tokens. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import {
  apiUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  secret,
  unlessNotFound,
  type What,
} from './connector.js';
import { withUserId } from './look-up.js';
import { notForThisUser, saying } from './request.js';
import { endAll, expectNone } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of Mattermost, such as https://chat.example.com.'),
  token: secret().describe('A personal access token of an administrator made for the gateway.'),
  revokePersonalTokens: z
    .boolean()
    .default(false)
    .describe('Also deletes the personal access tokens of the user, for good: what runs with them stops.'),
});
type Options = z.output<typeof options>;

// 26 letters and digits: `sessions` and `me` are none, which stand in the paths of calls for everybody and for oneself.
const id = z.string().regex(/^[a-z0-9]{26}$/);
const user = z.object({ id, username: z.string().optional(), email: z.string().optional() });
const sessions = z.array(z.object({ props: z.object({ type: z.string().optional() }).nullish() }));
const tokens = z.array(z.object({ id }));

export const mattermost = defineConnector({
  name: 'mattermost',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Mattermost',
    coverage: 'partial',
    does: 'Finds the user by e-mail address or user name, exactly; `POST /api/v4/users/{id}/sessions/revoke/all` ends the sessions of browsers, desktop and mobile apps and of OAuth apps, of which none may be left in the list that is read then. With `revokePersonalTokens` each personal access token is deleted too. Where Mobile Ephemeral Mode is switched on, Mattermost has mobile apps wipe their local data at the end of a session.',
    ends: ['sessions', 'access_tokens', 'credentials'],
    livesOn:
      'Personal access tokens, unless `revokePersonalTokens` is set; bots and webhooks that the user has made, which act for themselves.',
    lingers: 'Until the next request; other servers of a cluster are told to drop what they have cached.',
    permission:
      'The permission `edit_other_users`, and to read e-mail addresses; with `revokePersonalTokens` also `read_user_access_token` and `revoke_user_access_token`. The role System Admin has them all; to end the sessions of a System Admin it takes another one.',
    credential: [
      'In System Console, Integrations, Integration Management switch on personal access tokens.',
      'Make a user for the gateway and give it the role System Admin, or a lesser one that has the permissions above.',
      'Allow this user personal access tokens, sign in as it, and make one in Profile, Security.',
    ],
    rateLimit:
      'Off by default; where it is on, 10 requests a second by default, and 429 with `X-RateLimit-Reset` beyond.',
    sources: [
      'https://developers.mattermost.com/api-documentation/#/operations/RevokeAllSessions',
      'https://developers.mattermost.com/api-documentation/#/operations/GetSessions',
      'https://developers.mattermost.com/api-documentation/#/operations/GetUserByEmail',
      'https://developers.mattermost.com/api-documentation/#/operations/RevokeUserAccessToken',
      'https://github.com/mattermost/mattermost/blob/master/server/channels/app/session.go',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const kind = account.includes('@') ? 'email' : 'username';
      const one = kind === 'email' ? path`/api/v4/users/email/${account}` : path`/api/v4/users/username/${account}`;
      const answer = await unlessNotFound(api('GET', one, { answer: user, exceptions: { 404: UNKNOWN } }));
      if (!answer) return [];
      // Blank where the caller may not see it: that is not somebody else's address.
      if (!answer.data[kind]) throw new ConnectorError('auth', `mattermost: the ${kind} of users cannot be read`);
      if (!isSame(answer.data[kind], account)) return [];
      const self = await api('GET', path`/api/v4/users/me`, { answer: user });
      if (self.data.id === answer.data.id) {
        throw new ConnectorError('refused', 'mattermost: not called, since the account is the gateway’s own');
      }
      return [answer.data.id];
    }

    return withUserId({ connector: 'mattermost', options, account }, find, async (id) => {
      await api('POST', path`/api/v4/users/${id}/sessions/revoke/all`, THEIRS);
      const what: What[] = ['sessions', 'access_tokens'];
      if (options.revokePersonalTokens) {
        await endAll(
          'mattermost: POST of the personal access tokens to revoke',
          async () => (await api('GET', path`/api/v4/users/${id}/tokens`, { ...THEIRS, answer: tokens })).data,
          (token) => api('POST', path`/api/v4/users/tokens/revoke`, { ...THEIRS, json: { token_id: token.id } }),
        );
        what.push('credentials');
      }
      const listed = await api('GET', path`/api/v4/users/${id}/sessions`, { ...THEIRS, answer: sessions });
      // A personal access token that lives on has a new session as soon as it is used.
      const left = listed.data.filter(({ props }) => options.revokePersonalTokens || props?.type !== 'UserAccessToken');
      expectNone('mattermost: GET of the sessions after the logout', left);
      const partial = options.revokePersonalTokens ? {} : { partial: 'personal access tokens live on' };
      return { state: 'revoked', what, ...partial, verified: true };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/api/v4/users/me`, { answer: user });
    return {
      ok: true,
      detail: 'the token is good; whether it may end the sessions of others shows at the first revocation',
    };
  },
});

// What it takes a System Admin to do to a System Admin.
const THEIRS = { exceptions: { 403: notForThisUser } };

const UNKNOWN = saying(/"id":\s*"[^"]*\bmissing_account\b/, 'not_found', 'refused');

function apiOf({ url, token }: Options, call: CheckCall) {
  return createApi('mattermost', { url, authorize: bearer(token), exceptions: { 404: 'refused' } }, call);
}
