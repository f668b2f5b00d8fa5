/** Voids a person's refresh tokens and browser sessions at Microsoft Entra ID, and with them at Microsoft 365. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { createApi, path } from './api.js';
import {
  apiUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  secret,
  unlessNotFound,
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { type Exceptions, notForThisUser, saying } from './request.js';

const options = z.strictObject({
  tenantId: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'is not a tenant id or a domain')
    .describe('The id of the tenant (directory), or one of its verified domains.'),
  clientId: z.string().min(1).describe('The application (client) id of the app registration.'),
  clientSecret: secret().describe('Its client secret: the value, not the id.'),
  findBy: z
    .enum(['userPrincipalName', 'mail'])
    .default('userPrincipalName')
    .describe('What the account is: the user principal name or object id, or the `mail` address that is looked up.'),
  url: apiUrl.default('https://graph.microsoft.com').describe('Microsoft Graph, where it is that of a national cloud.'),
  loginUrl: apiUrl
    .default('https://login.microsoftonline.com')
    .describe('Where its tokens come from, where it is a national cloud.'),
});
type Options = z.output<typeof options>;

const users = z.object({
  value: z.array(z.object({ id: z.string(), mail: z.string().nullish(), userPrincipalName: z.string() })),
  '@odata.nextLink': z.string().optional(),
});

export const microsoftEntra = defineConnector({
  name: 'microsoft-entra',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'Microsoft Entra ID (Microsoft 365, Azure)',
    coverage: 'partial',
    does: 'Resets the time from which sign-ins of the user count (`POST /v1.0/users/{id}/revokeSignInSessions`), which voids the refresh tokens of all apps and the session cookies of browsers. The account is the user principal name or the object id; with `findBy: mail` the one user whose `mail` is exactly the account is looked up first.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn:
      'Access tokens, and sessions that an app keeps by itself. Guests sign in at their home tenant, which nothing here ends: their names, and by mail they themselves, are refused; the object id of one is not told from another.',
    lingers:
      'A few minutes until it takes effect; then as long as access tokens live, about an hour, but minutes where the app takes part in Continuous Access Evaluation.',
    permission:
      'The application permission `User.RevokeSessions.All` of Microsoft Graph; for `findBy: mail` also `User.Read.All`.',
    credential: [
      'In the Entra admin center register an app (App registrations, New registration) without a redirect URI.',
      'Under API permissions add the application permission `User.RevokeSessions.All` of Microsoft Graph, for `findBy: mail` also `User.Read.All`, remove all others and grant admin consent.',
      'Under Certificates & secrets make a client secret, and copy its value.',
      'Copy the application (client) id and the directory (tenant) id from the overview.',
    ],
    rateLimit: 'Per app and tenant; 429 with `Retry-After`, also with decimals.',
    unknown: [
      'Whether an app registration may revoke for administrators of every role with this permission alone.',
      'Whether `User.ReadBasic.All` suffices for `findBy: mail`: the page of the list does not name it for apps, and of those who tried some were refused.',
    ],
    sources: [
      'https://learn.microsoft.com/en-us/graph/api/user-revokesigninsessions',
      'https://learn.microsoft.com/en-us/entra/identity/users/users-revoke-access',
      'https://learn.microsoft.com/en-us/graph/api/user-list',
      'https://learn.microsoft.com/en-us/graph/throttling',
      'https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function revokeOf(user: string, forbidden: Exceptions[number] = notForThisUser): Promise<Outcome> {
      // A leading `$` is part of the URL's grammar there: https://learn.microsoft.com/en-us/graph/api/user-get
      const endpoint = user.startsWith('$')
        ? path`/v1.0/users('${quoted(user)}')/revokeSignInSessions`
        : path`/v1.0/users/${user}/revokeSignInSessions`;
      // The `value` of the answer is always true and tells nothing, so it is not read.
      await api('POST', endpoint, { exceptions: { 403: forbidden } });
      return {
        state: 'revoked',
        what: ['sessions', 'refresh_tokens'],
        partial: 'access tokens live on until they expire',
      };
    }

    if (options.findBy === 'userPrincipalName') return (await unlessNotFound(revokeOf(account, UNSEEN))) ?? NONE;

    async function find(): Promise<string[]> {
      const { data } = await api('GET', path`/v1.0/users`, {
        query: { $filter: `mail eq '${quoted(account)}'`, $select: 'id,mail,userPrincipalName', $top: '100' },
        answer: users,
      });
      if (data['@odata.nextLink'] !== undefined) {
        throw new ConnectorError('refused', 'microsoft-entra: more than a page of users has this mail address');
      }
      const found = data.value.filter(({ mail }) => isSame(mail, account));
      if (found.some(({ userPrincipalName }) => /#EXT#/i.test(userPrincipalName))) {
        throw new ConnectorError('refused', 'microsoft-entra: not called for a guest, who signs in at another tenant');
      }
      return found.map(({ id }) => id);
    }

    return withUserId({ connector: 'microsoft-entra', options, account }, find, (id) => revokeOf(id));
  },

  async check(options, call) {
    if (options.findBy === 'userPrincipalName') {
      await authorize(options)(call);
      return { ok: true, detail: 'Entra gave a token; whether it may revoke shows at the first revocation' };
    }
    await apiOf(options, call)('GET', path`/v1.0/users`, {
      query: { $select: 'id,mail,userPrincipalName', $top: '1' },
      answer: users,
    });
    return { ok: true, detail: 'users can be read; whether it may revoke shows at the first revocation' };
  },
});

// Where nobody has been looked up, the text alone tells: https://learn.microsoft.com/en-us/entra/identity/role-based-access-control/admin-units-restricted-management
const UNSEEN = saying(/restricted management administrative unit/i, 'refused', 'auth');

/** As OData wants an apostrophe in a string. */
const quoted = (text: string) => text.replaceAll("'", "''");

function apiOf(options: Options, call: CheckCall) {
  const exceptions = { 404: saying(/"code":\s*"Request_ResourceNotFound"/, 'not_found', 'refused') };
  return createApi('microsoft-entra', { url: options.url, authorize: authorize(options), exceptions }, call);
}

function authorize(options: Options) {
  const { tenantId, clientId, clientSecret, loginUrl, url } = options;
  const tokenUrl = `${loginUrl.replace(/\/+$/, '')}/${tenantId}/oauth2/v2.0/token`;
  const parameters = { scope: `${new URL(url).origin}/.default` };
  return oauth('microsoft-entra', options, () =>
    clientSecretGrant({ tokenUrl, clientId, clientSecret, secretIn: 'form', parameters }),
  );
}
