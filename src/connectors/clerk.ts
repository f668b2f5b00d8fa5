/** Revokes a person's sessions in an application that signs people in by Clerk. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, NONE, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z.strictObject({
  secretKey: secret().describe('The secret key of the instance, such as sk_live_….'),
  url: apiUrl.default('https://api.clerk.com').describe('The Backend API.'),
});
type Options = z.output<typeof options>;

const users = z.array(
  z.object({
    id: z.string().startsWith('user_'),
    username: z.string().nullish(),
    email_addresses: z.array(z.object({ email_address: z.string() })).optional(),
  }),
);
const sessions = z.array(z.object({ id: z.string().min(1), user_id: z.string() }));

// A KSUID follows. E-mail addresses and user names may begin like that.
const ID = /^user_[0-9A-Za-z]{27}$/;

const PAGE = '500';

export const clerk = defineConnector({
  name: 'clerk',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'Clerk',
    coverage: 'partial',
    does: 'Finds the user by e-mail address or user name, exactly; lists the active sessions (`GET /v1/sessions?user_id=&status=active`) and revokes each (`POST /v1/sessions/{id}/revoke`), until the list is empty. The account may be the id of the user (`user_` and 27 letters and digits), too: then nothing is looked up.',
    ends: ['sessions'],
    livesOn:
      'Tokens that OAuth applications of the instance hold, API keys of the user, and sessions in which the user acts as somebody else.',
    lingers: 'As long as a session token lives, 60 seconds by default, where an application checks it by itself.',
    permission: 'The secret key of the instance, which has every right in it: Clerk has no lesser one.',
    credential: [
      'In the dashboard choose the application and the instance (Production), and open API keys.',
      'Add a secret key of the gateway’s own, so that it can be rolled alone, and set it as `secretKey`.',
    ],
    rateLimit:
      '1,000 calls in 10 seconds for a production instance, 100 for one of development; 429 with `Retry-After`.',
    unknown: ['Whether a session with the status `pending`, whose user still has a task to do, can be listed.'],
    sources: [
      'https://clerk.com/docs/reference/backend-api/tag/sessions/get/sessions',
      'https://clerk.com/docs/reference/backend-api/tag/sessions/post/sessions/{session_id}/revoke',
      'https://clerk.com/docs/reference/backend-api/tag/users/get/users',
      'https://clerk.com/docs/guides/how-clerk-works/system-limits',
      'https://github.com/clerk/openapi-specs/blob/main/bapi/2026-05-12.yml',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      if (ID.test(account)) return [account];
      const isEmail = account.includes('@');
      const { data } = await api('GET', path`/v1/users`, {
        query: { [isEmail ? 'email_address' : 'username']: account, limit: PAGE },
        answer: users,
      });
      const namesOf = ({ username, email_addresses = [] }: (typeof data)[number]) =>
        isEmail ? email_addresses.map(({ email_address }) => email_address) : [username];
      return data.filter((user) => namesOf(user).some((name) => isSame(name, account))).map(({ id }) => id);
    }

    return withUserId({ connector: 'clerk', options, account }, find, async (userId) => {
      const ended = await endAll(
        'clerk: POST of the sessions to revoke',
        async () => {
          const query = { user_id: userId, status: 'active', limit: PAGE };
          const { data } = await api('GET', path`/v1/sessions`, { query, answer: sessions });
          // Without its filter the list would be that of all users.
          return data.filter(({ user_id }) => user_id === userId);
        },
        ({ id }) => api('POST', path`/v1/sessions/${id}/revoke`, { exceptions: { 400: 'not_found', 404: UNKNOWN } }),
      );
      if (!hasEnded(ended, call)) return NONE;
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'tokens of OAuth applications and API keys live on',
        verified: true,
      };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/v1/users`, { query: { limit: '1' }, answer: users });
    return { ok: true, detail: 'users can be read, by which right their sessions can be revoked too' };
  },
});

// As 400, what may be a session that has ended by itself in the meantime: the list that is read then tells.
const UNKNOWN = saying(/"code":\s*"resource_not_found"/, 'not_found', 'refused');

function apiOf({ url, secretKey }: Options, call: CheckCall) {
  return createApi('clerk', { url, authorize: bearer(secretKey), exceptions: { 404: 'refused' } }, call);
}
