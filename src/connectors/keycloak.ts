/** Ends a person's sessions at Keycloak, and takes back the consents that offline tokens live by. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { endAll, expectNone } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL of Keycloak, such as https://sso.example.com.'),
  realm: z.string().min(1).describe('The realm of the users, in which the client is too.'),
  clientId: z.string().min(1).describe('The client with a service account.'),
  clientSecret: secret().describe('Its secret.'),
});
type Options = z.output<typeof options>;

const users = z.array(z.object({ id: z.string(), username: z.string().optional(), email: z.string().optional() }));
const sessions = z.array(z.object({ id: z.string() }));
const consents = z.array(z.object({ clientId: z.string() }));

export const keycloak = defineConnector({
  name: 'keycloak',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'Keycloak',
    coverage: 'full',
    does: 'Finds the user by e-mail address or user name, exactly; `POST …/users/{id}/logout` ends the online sessions, of which none may be left then, tells their clients by back-channel logout and voids tokens from before; then each consent is deleted, and with it the offline tokens of its client. There is no `refresh-only`: any other refresh token of Keycloak is part of an online session and ends with it alone.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn: 'Access tokens that a client checks by itself.',
    lingers:
      'As long as an access token lives, five minutes by default, where a client does not take back-channel logout.',
    permission: 'The roles `manage-users`, `view-users` and `query-users` of `realm-management`.',
    credential: [
      'Make a client in the realm with client authentication and service account roles, and no other flow.',
      'Give its service account the roles `manage-users`, `view-users` and `query-users` of the client `realm-management`.',
      'Copy its id and secret.',
    ],
    rateLimit: 'None of its own; what stands before it may have one.',
    sources: [
      'https://www.keycloak.org/docs-api/latest/rest-api/index.html',
      'https://github.com/keycloak/keycloak/blob/main/services/src/main/java/org/keycloak/services/resources/admin/UserResource.java',
    ],
  },

  async revoke(account, options, call) {
    const { realm } = options;
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const kind = account.includes('@') ? 'email' : 'username';
      const { data } = await api('GET', path`/admin/realms/${realm}/users`, {
        query: { [kind]: account, exact: 'true' },
        answer: users,
      });
      return data.filter((user) => isSame(user[kind], account)).map(({ id }) => id);
    }

    return withUserId({ connector: 'keycloak', options, account }, find, async (id) => {
      await api('POST', path`/admin/realms/${realm}/users/${id}/logout`, { exceptions: { 404: UNKNOWN } });
      const left = await api('GET', path`/admin/realms/${realm}/users/${id}/sessions`, { answer: sessions });
      expectNone('keycloak: GET of the sessions after the logout', left.data);
      const given = path`/admin/realms/${realm}/users/${id}/consents`;
      await endAll(
        'keycloak: DELETE of the consents',
        async () => (await api('GET', given, { answer: consents, exceptions: { 404: UNKNOWN } })).data,
        ({ clientId }) => api('DELETE', path`/admin/realms/${realm}/users/${id}/consents/${clientId}`),
      );
      return { state: 'revoked', what: ['sessions', 'refresh_tokens'], verified: true };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/admin/realms/${options.realm}/users`, {
      query: { max: '1' },
      answer: users,
    });
    return { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' };
  },
});

const UNKNOWN = saying(/User not found/i, 'not_found', 'refused');

function apiOf(options: Options, call: CheckCall) {
  const { url, realm, clientId, clientSecret } = options;
  const tokenUrl = `${url.replace(/\/+$/, '')}/realms/${encodeURIComponent(realm)}/protocol/openid-connect/token`;
  const authorize = oauth('keycloak', options, () => clientSecretGrant({ tokenUrl, clientId, clientSecret }));
  return createApi('keycloak', { url, authorize }, call);
}
