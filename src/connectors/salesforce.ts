/** Ends a person's sessions at Salesforce, and revokes the OAuth tokens that would begin new ones. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { type Api, createApi, path } from './api.js';
import {
  apiUrl,
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Reason,
  secret,
  type What,
} from './connector.js';
import { withUserId } from './look-up.js';
import { clientSecretGrant, jwtBearerGrant, oauth, privateKey } from './oauth.js';
import { type Exceptions, saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z
  .strictObject({
    url: apiUrl.describe('My Domain of the organization, such as https://acme.my.salesforce.com.'),
    clientId: z.string().min(1).describe('The consumer key of the connected app, or external client app.'),
    clientSecret: secret().optional().describe('Its consumer secret, for the client credentials flow.'),
    privateKey: privateKey()
      .optional()
      .describe('Instead, the key of its certificate in PEM, for the JWT bearer flow.'),
    username: z.string().min(1).describe('The user name that the connector acts as, which it never logs out.'),
    audience: appUrl
      .default('https://login.salesforce.com')
      .describe('Whom the JWT is for: https://test.salesforce.com where it is a sandbox.'),
    match: z
      .enum(['Username', 'FederationIdentifier', 'Email'])
      .default('Username')
      .describe('The field of the user that holds the account; two users may have one Email, and then none is called.'),
    oauthTokens: z
      .boolean()
      .default(true)
      .describe('Revokes OAuth tokens too, for which the connector needs Customize Application.'),
  })
  .refine(({ clientSecret, privateKey }) => (clientSecret === undefined) !== (privateKey === undefined), {
    error: 'has to be there, or privateKey, and not both',
    path: ['clientSecret'],
  });
type Options = z.output<typeof options>;

const VERSION = 'v64.0';

const id = z.string().regex(/^[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?$/);
const text = z.string().nullish();
const users = z.array(z.object({ Id: id, Username: z.string(), FederationIdentifier: text, Email: text }));
const sessions = z.array(z.object({ Id: id, UsersId: text }));
const tokens = z.array(z.object({ DeleteToken: text, UserId: text }));
const permissions = z.array(
  z.object({ PermissionsManageUsers: z.boolean(), PermissionsCustomizeApplication: z.boolean() }),
);

export const salesforce = defineConnector({
  name: 'salesforce',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'Salesforce',
    coverage: 'full',
    does: 'Finds the user by SOQL, exactly, in the field that `match` names; lists the sessions of the user (`AuthSession`) and deletes each (`DELETE /services/data/v64.0/sobjects/AuthSession/{id}`) until none is left; then lists the OAuth tokens (`OauthToken`) and revokes each (`POST /services/oauth2/revoke`) until none is left, and looks for sessions once more. `refresh-only` does the tokens alone. Before that it asks for its own permissions, since lists that it may not see would look empty. It never touches the user that it acts as, nor the session that it has.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn: 'OAuth tokens, where `oauthTokens` is off.',
    lingers: 'As long as an access token lives that is a JWT, where an app checks it by itself; else nothing.',
    permission:
      'API Enabled, View All Users and Manage Users; Customize Application for the tokens of others, unless `oauthTokens` is off.',
    credential: [
      'Make a user for the gateway alone, and give it a permission set with API Enabled, View All Users, Manage Users and Customize Application.',
      'In Setup make an external client app with OAuth and the scope `api`. A connected app serves as well, but since Spring ’26 a new one takes a request to Salesforce Support.',
      'Either enable the client credentials flow and have it run as that user, or enable the JWT bearer flow, upload a certificate and admit that user beforehand.',
      'Copy the consumer key, and the consumer secret or the key of the certificate.',
    ],
    rateLimit:
      'By edition, for the whole organization within 24 hours; beyond, 403 with `REQUEST_LIMIT_EXCEEDED`, without a time.',
    unknown: [
      'Whether deleting a session deletes its child sessions: one that is gone when its turn comes counts as deleted.',
      'What the revocation endpoint answers for a token that is gone already; the list that is read again decides.',
    ],
    sources: [
      'https://developer.salesforce.com/docs/platform/object-reference/references/standard-objects/object-authsession.html',
      'https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_oauthtoken.htm',
      'https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_userpermissionaccess.htm',
      'https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm',
      'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm&type=5',
      'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm&type=5',
      'https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm',
      'https://help.salesforce.com/s/articleView?id=005228017&type=1',
    ],
  },

  async revoke(account, options, call) {
    const isFull = call.mode === 'full';
    const { match, oauthTokens } = options;
    if (!isFull && !oauthTokens) {
      throw new ConnectorError(
        'refused',
        'salesforce: not called, since oauthTokens is off, and sessions are to be left',
      );
    }
    const api = apiOf(options, call);
    await expectPermissions(options, api);

    async function find(): Promise<string[]> {
      const found = await query(
        api,
        `SELECT Id, Username, FederationIdentifier, Email FROM User WHERE ${match} = ${quote(account)}`,
        users,
      );
      const same = found.filter((user) => isSame(user[match], account));
      if (same.some(({ Username }) => isSame(Username, options.username))) {
        throw new ConnectorError(
          'refused',
          'salesforce: not called, since it is the account that the connector acts as',
        );
      }
      return same.map(({ Id }) => Id);
    }

    return withUserId({ connector: 'salesforce', options, account }, find, async (user) => {
      const what: What[] = [];
      let ended = 0;
      if (isFull) {
        ended += await endSessions(user, api);
        what.push('sessions');
      }
      if (oauthTokens) {
        ended += await revokeTokens(user, options, api, call);
        what.push('refresh_tokens', 'access_tokens');
        // In the meantime one of them may have begun another session.
        if (isFull) ended += await endSessions(user, api);
      }
      if (!hasEnded(ended, call)) return NONE;
      return { state: 'revoked', what, ...(!oauthTokens && { partial: 'OAuth tokens live on' }), verified: true };
    });
  },

  async check(options, call) {
    const api = apiOf(options, call);
    await expectPermissions(options, api);
    const [own] = await query(api, `SELECT Id, Username FROM User WHERE Username = ${quote(options.username)}`, users);
    if (!own) return { ok: false, problem: 'salesforce: there is no user of the name that `username` has' };
    const current = await query(api, 'SELECT Id, UsersId FROM AuthSession WHERE IsCurrent = true', sessions);
    if (current.length > 0 && !current.some(({ UsersId }) => isSameId(UsersId, own.Id))) {
      return { ok: false, problem: 'salesforce: the credential acts as another user than `username` says' };
    }
    return { ok: true, detail: 'users and sessions can be read, and the permissions are there' };
  },
});

/** A string of SOQL. The backslash is its escape character, so that it has to be escaped too. */
const quote = (value: string) => `'${value.replace(/[\\']/g, '\\$&')}'`;

/** Ids come with 15 characters, or with three more for those who do not tell upper from lower case. */
const isSameId = (one: string | null | undefined, other: string) => one?.slice(0, 15) === other.slice(0, 15);

// One batch, of 2,000 at most: those who list again get the next one.
async function query<Item>(api: Api, soql: string, records: z.ZodType<Item[]>): Promise<Item[]> {
  const { data } = await api('GET', path`/services/data/${VERSION}/query`, {
    query: { q: soql },
    answer: z.object({ records }),
    exceptions: { 404: 'refused' },
  });
  return data.records;
}

async function expectPermissions({ oauthTokens }: Options, api: Api): Promise<void> {
  const soql = 'SELECT PermissionsManageUsers, PermissionsCustomizeApplication FROM UserPermissionAccess LIMIT 1';
  const [may] = await query(api, soql, permissions);
  if (!may?.PermissionsManageUsers) {
    throw new ConnectorError('auth', 'salesforce: the permission Manage Users is missing');
  }
  if (oauthTokens && !may.PermissionsCustomizeApplication) {
    throw new ConnectorError(
      'auth',
      'salesforce: the permission Customize Application is missing, which oauthTokens needs',
    );
  }
}

function endSessions(user: string, api: Api): Promise<number> {
  const soql = `SELECT Id, UsersId FROM AuthSession WHERE UsersId = ${quote(user)} AND IsCurrent = false`;
  return endAll(
    'salesforce: DELETE of the sessions',
    async () => (await query(api, soql, sessions)).filter(({ UsersId }) => isSameId(UsersId, user)),
    ({ Id }) =>
      api('DELETE', path`/services/data/${VERSION}/sobjects/AuthSession/${Id}`, {
        // The permissions have been looked at before, so it is about this user.
        exceptions: { 403: ({ body }) => forbidden(body, 'refused') },
      }),
  );
}

function revokeTokens(user: string, options: Options, api: Api, call: CheckCall): Promise<number> {
  const soql = `SELECT DeleteToken, UserId FROM OauthToken WHERE UserId = ${quote(user)}`;
  // The token alone is what this endpoint asks for. It is sent in the body, since URLs end in logs.
  const revoke = createApi('salesforce', { url: options.url, authorize: async () => ({ headers: {} }) }, call);
  return endAll(
    'salesforce: POST to revoke the tokens',
    async () => (await query(api, soql, tokens)).filter(({ UserId }) => isSameId(UserId, user)),
    async ({ DeleteToken: token }) => {
      if (!token) throw new ConnectorError('refused', 'salesforce: an OAuth token has no DeleteToken to revoke it by');
      const exceptions = { 400: saying(/invalid[ _]token/i, 'not_found', 'refused'), 403: 'refused' } as const;
      await revoke('POST', path`/services/oauth2/revoke`, { form: { token }, exceptions });
    },
  );
}

const EXCEPTIONS: Exceptions = {
  // Objects and fields that a user may not see are not there.
  400: saying(/"INVALID_(TYPE|FIELD)"/, 'auth', 'refused'),
  403: ({ body }) => forbidden(body, 'auth'),
};

function forbidden(body: string, otherwise: Reason): Reason {
  if (/"REQUEST_LIMIT_EXCEEDED"/.test(body)) return 'rate_limited';
  return /"API_(CURRENTLY_DISABLED|DISABLED_FOR_ORG)"/.test(body) ? 'refused' : otherwise;
}

function apiOf(options: Options, call: CheckCall): Api {
  const { url, clientId, clientSecret, privateKey, username, audience } = options;
  const tokenUrl = `${url.replace(/\/+$/, '')}/services/oauth2/token`;
  const authorize = oauth('salesforce', options, ({ now }) =>
    privateKey
      ? jwtBearerGrant({ tokenUrl, issuer: clientId, subject: username, audience, privateKey }, now())
      : clientSecretGrant({ tokenUrl, clientId, clientSecret: clientSecret as NonNullable<typeof clientSecret> }),
  );
  return createApi('salesforce', { url, authorize, exceptions: EXCEPTIONS }, call);
}
