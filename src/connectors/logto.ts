/** Ends a person's sessions at Logto, and takes back the grants that refresh tokens live by. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, secret, type What } from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The endpoint of the tenant: https://{tenant}.logto.app, or that of your own Logto.'),
  resource: z
    .string()
    .min(1)
    .describe(
      'The identifier of the Management API: https://{tenant}.logto.app/api, or https://default.logto.app/api.',
    ),
  clientId: z.string().min(1).describe('The app id of a machine-to-machine app.'),
  clientSecret: secret().describe('Its secret.'),
});
type Options = z.output<typeof options>;

const users = z.array(
  z.object({ id: z.string().min(1), primaryEmail: z.string().nullish(), username: z.string().nullish() }),
);
const sessions = z.object({ sessions: z.array(z.object({ payload: z.object({ uid: z.string().min(1) }) })) });
const grants = z.object({ grants: z.array(z.object({ id: z.string().min(1) })) });

export const logto = defineConnector({
  name: 'logto',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  identityProvider: true,
  docs: {
    app: 'Logto',
    coverage: 'full',
    does: 'Finds the user by primary e-mail address or user name, exactly; deletes each session with `DELETE /api/users/{id}/sessions/{uid}?revokeGrantsTarget=all`, and then each grant that is left with `DELETE /api/users/{id}/grants/{id}`, until both lists are empty. `refresh-only` does the second part alone.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn:
      'Access tokens for an API resource, which are JWTs; personal access tokens; sessions that an app keeps by itself.',
    lingers: 'As long as an access token lives, an hour by default.',
    permission: 'The permission `all` of the Management API: it has no lesser one.',
    credential: [
      'In the console make an application of the type Machine-to-machine.',
      'Assign it a role with the permission `all` of the Logto Management API, such as Logto Management API access.',
      'Copy its app id and app secret; the identifier of the Management API is under API resources.',
    ],
    rateLimit: 'No page names one; Logto Cloud answers 429 beyond.',
    unknown: [
      'Which version of a Logto of your own is the first with these calls: they came in the first months of 2026.',
    ],
    sources: [
      'https://openapi.logto.io/operation/operation-deleteusersession',
      'https://openapi.logto.io/operation/operation-deleteusergrant',
      'https://docs.logto.io/integrate-logto/interact-with-management-api',
      'https://docs.logto.io/user-management/advanced-user-search',
      'https://github.com/logto-io/logto/blob/master/packages/core/src/routes/admin-user/session.ts',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const kind = account.includes('@') ? 'primaryEmail' : 'username';
      // Without the mode it is a search with wildcards.
      const query = { [`search.${kind}`]: account, [`mode.${kind}`]: 'exact' };
      const { data } = await api('GET', path`/api/users`, { query, answer: users });
      return data.filter((user) => isSame(user[kind], account)).map(({ id }) => id);
    }

    return withUserId({ connector: 'logto', options, account }, find, async (id) => {
      const what: What[] = ['refresh_tokens', 'access_tokens'];
      let ended = 0;
      if (call.mode === 'full') {
        ended += await endAll(
          'logto: DELETE of the sessions',
          async () => (await api('GET', path`/api/users/${id}/sessions`, { answer: sessions })).data.sessions,
          // Without it the grants of apps with offline_access live on.
          ({ payload: { uid } }) =>
            api('DELETE', path`/api/users/${id}/sessions/${uid}`, {
              query: { revokeGrantsTarget: 'all' },
              exceptions: { 404: saying(/"code":\s*"oidc\.session_not_found"/, 'not_found', 'refused') },
            }),
        );
        what.unshift('sessions');
      }
      ended += await endAll(
        'logto: DELETE of the grants',
        async () => (await api('GET', path`/api/users/${id}/grants`, { answer: grants })).data.grants,
        (grant) =>
          api('DELETE', path`/api/users/${id}/grants/${grant.id}`, {
            exceptions: { 404: saying(/"code":\s*"oidc\.invalid_grant"/, 'not_found', 'refused') },
          }),
      );
      return hasEnded(ended, call)
        ? { state: 'revoked', what, verified: true }
        : { state: 'none', what: [], verified: true };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/api/users`, { query: { page_size: '1' }, answer: users });
    return { ok: true, detail: 'users can be read, by which right their sessions can be ended too' };
  },
});

function apiOf(options: Options, call: CheckCall) {
  const { url, resource, clientId, clientSecret } = options;
  const tokenUrl = `${url.replace(/\/+$/, '')}/oidc/token`;
  const authorize = oauth('logto', options, () =>
    clientSecretGrant({ tokenUrl, clientId, clientSecret, parameters: { resource, scope: 'all' } }),
  );
  return createApi('logto', { url, authorize, exceptions: { 404: 'refused' } }, call);
}
