/** What the SDKs of apps are told to do, each beside the connector that does the same. */
import { Gitlab } from '@gitbeaker/rest';
import { admin, auth } from '@googleapis/admin';
import { LinearClient } from '@linear/sdk';
import { Client4 } from '@mattermost/client';
import { MiroLowlevelApi } from '@mirohq/miro-api';
import { WebClient } from '@slack/web-api';
import { UsersS2SAuthClient } from '@zoom/rivet/users';
import { Dropbox } from 'dropbox';
import { type OperationDefinitionNode, parse, valueFromASTUntyped } from 'graphql';
import { createClient as createZendesk } from 'node-zendesk';
import { dropbox } from '../../src/connectors/dropbox.js';
import { gitlab } from '../../src/connectors/gitlab.js';
import { googleWorkspace } from '../../src/connectors/google-workspace.js';
import { linear } from '../../src/connectors/linear.js';
import { mattermost } from '../../src/connectors/mattermost.js';
import { miro } from '../../src/connectors/miro.js';
import { slack } from '../../src/connectors/slack.js';
import { zendesk } from '../../src/connectors/zendesk.js';
import { zoom } from '../../src/connectors/zoom.js';
import { credentialsAnywhere, fetchFrom, type Row } from './sdk-comparison.js';
import { createServiceAccount } from './signing-client.js';

const ACCOUNT = 'ada@example.com';
const TOKEN = { access_token: 'token-1', token_type: 'Bearer', expires_in: 3600 };

/** A list that has something the first time, and afterwards nothing. */
const once = (first: unknown, later: unknown) => (_: unknown, before: number) => (before === 0 ? first : later);

const MATTERMOST_ID = 'a'.repeat(26);
const serviceAccount = createServiceAccount();

export const APPS: readonly Row[] = [
  {
    sdk: '@slack/web-api',
    connector: slack,
    account: ACCOUNT,
    options: (url) => ({ url, token: 'xoxp-1' }),
    answers: {
      'GET or POST /api/auth.test': { ok: true, user_id: 'U9' },
      'GET or POST /api/users.lookupByEmail': { ok: true, user: { id: 'U1', profile: { email: ACCOUNT } } },
      'GET or POST /api/admin.users.session.reset': { ok: true },
    },
    calls: async (url) => {
      const client = new WebClient('xoxp-1', { slackApiUrl: `${url}/api/` });
      await client.auth.test();
      await client.users.lookupByEmail({ email: ACCOUNT });
      await client.admin.users.session.reset({ user_id: 'U1' });
    },
    // Slack takes arguments in the query, as a form or as JSON: https://docs.slack.dev/apis/web-api/
    read: ({ call, query, proof, body }) => ({
      ...{ call: call.replace(/^(GET|POST)/, 'GET or POST'), query: {}, proof, type: '', body: { ...query, ...body } },
    }),
  },
  {
    sdk: '@zoom/rivet',
    connector: zoom,
    account: ACCOUNT,
    options: (url) => ({
      ...{ url, tokenUrl: `${url}/oauth/token`, accountId: 'account-1', clientId: 'client-1', clientSecret: 'secret' },
    }),
    answers: { 'POST /oauth/token': TOKEN, [`DELETE /v2/users/${ACCOUNT}/token`]: {} },
    calls: async (url) => {
      const client = new UsersS2SAuthClient({
        ...{ accountId: 'account-1', clientId: 'client-1', clientSecret: 'secret', disableReceiver: true },
        baseUrl: `${url}/v2`,
        tokenStore: {
          getLatestToken: () => ({
            ...{ accessToken: 'token-1', scopes: [] },
            expirationTimeIso: new Date(Date.now() + 3_600_000).toISOString(),
          }),
          storeToken: () => {},
        },
      });
      await client.endpoints.users.revokeUsersSSOToken({ path: { userId: ACCOUNT } });
    },
    unknownToSdk: { 'POST /oauth/token': 'The SDK gets its tokens from https://zoom.us alone, so it is given one.' },
  },
  {
    sdk: 'dropbox',
    connector: dropbox,
    account: ACCOUNT,
    options: (url) => ({
      ...{ url, tokenUrl: `${url}/oauth2/token`, appKey: 'app-1', appSecret: 'secret-1', refreshToken: 'refresh-1' },
    }),
    answers: {
      'POST /oauth2/token': TOKEN,
      'POST /2/team/members/get_info_v2': {
        members_info: [{ profile: { team_member_id: 'dbmid:1', email: ACCOUNT } }],
      },
      'POST /2/team/devices/list_member_devices': once(
        {
          active_web_sessions: [{ session_id: 'web-1' }],
          desktop_client_sessions: [{ session_id: 'desktop-1' }],
          mobile_client_sessions: [{ session_id: 'mobile-1' }],
        },
        {},
      ),
      'POST /2/team/devices/revoke_device_session_batch': {
        revoke_devices_status: [{ success: true }, { success: true }, { success: true }],
      },
      'POST /2/team/linked_apps/list_member_linked_apps': once(
        { linked_api_apps: [{ app_id: 'app-2' }] },
        { linked_api_apps: [] },
      ),
      'POST /2/team/linked_apps/revoke_linked_app_batch': { revoke_linked_app_status: [{ success: true }] },
    },
    calls: async (url) => {
      const client = new Dropbox({
        ...{ clientId: 'app-1', clientSecret: 'secret-1', refreshToken: 'refresh-1', fetch: fetchFrom(url) },
      });
      const team_member_id = 'dbmid:1';
      await client.teamMembersGetInfoV2({ members: [{ '.tag': 'email', email: ACCOUNT }] });
      await client.teamDevicesListMemberDevices({ team_member_id });
      await client.teamDevicesRevokeDeviceSessionBatch({
        revoke_devices: [
          { '.tag': 'web_session', session_id: 'web-1', team_member_id },
          { '.tag': 'desktop_client', session_id: 'desktop-1', team_member_id, delete_on_unlink: false },
          { '.tag': 'mobile_client', session_id: 'mobile-1', team_member_id },
        ],
      });
      await client.teamLinkedAppsListMemberLinkedApps({ team_member_id });
      await client.teamLinkedAppsRevokeLinkedAppBatch({ revoke_linked_app: [{ app_id: 'app-2', team_member_id }] });
    },
    read: credentialsAnywhere,
    differs: { 'POST /oauth2/token type': 'The SDK has the parameters in the query, though Dropbox documents a form.' },
  },
  {
    sdk: '@mirohq/miro-api',
    connector: miro,
    account: ACCOUNT,
    options: (url) => ({ url, token: 'token-1' }),
    answers: {
      'GET /v1/oauth-token': { organization: { id: 'org-1' }, user: { id: '9' } },
      'GET /v2/orgs/org-1/members': [{ id: '1', email: ACCOUNT }],
      'POST /v2/sessions/reset_all': {},
    },
    calls: async (url) => {
      const client = new MiroLowlevelApi('token-1', url);
      await client.tokenInfo();
      await client.enterpriseGetOrganizationMembers('org-1', { emails: ACCOUNT });
      await client.enterprisePostUserSessionsReset(ACCOUNT);
    },
  },
  {
    sdk: '@linear/sdk',
    connector: linear,
    account: ACCOUNT,
    options: (url) => ({ url, apiKey: 'lin_api_1' }),
    answers: {
      'POST /graphql': {
        data: {
          viewer: { id: '9' },
          users: { nodes: [{ id: '1', email: ACCOUNT }], pageInfo: { hasNextPage: false } },
          userRevokeAllSessions: { success: true },
          userSessions: [],
        },
      },
    },
    calls: async (url) => {
      const client = new LinearClient({ apiKey: 'lin_api_1', apiUrl: `${url}/graphql` });
      await client.viewer;
      await client.users({ filter: { email: { eqIgnoreCase: ACCOUNT } }, includeDisabled: true });
      await client.userRevokeAllSessions('1');
      await client.userSessions('1');
    },
    // The connector asks for two fields at once.
    split: ({ body, ...sent }) => fieldsIn(body).map((field) => ({ ...sent, body: field })),
  },
  {
    sdk: '@mattermost/client',
    connector: mattermost,
    account: ACCOUNT,
    options: (url) => ({ url, token: 'token-1', revokePersonalTokens: true }),
    answers: {
      [`GET /api/v4/users/email/${ACCOUNT}`]: { id: MATTERMOST_ID, email: ACCOUNT },
      'GET /api/v4/users/me': { id: 'b'.repeat(26) },
      [`POST /api/v4/users/${MATTERMOST_ID}/sessions/revoke/all`]: { status: 'OK' },
      [`GET /api/v4/users/${MATTERMOST_ID}/tokens`]: once([{ id: 'c'.repeat(26) }], []),
      'POST /api/v4/users/tokens/revoke': { status: 'OK' },
      [`GET /api/v4/users/${MATTERMOST_ID}/sessions`]: [],
    },
    calls: async (url) => {
      const client = new Client4();
      client.setUrl(url);
      client.setToken('token-1');
      await client.getUserByEmail(ACCOUNT);
      await client.getMe();
      await client.revokeAllSessionsForUser(MATTERMOST_ID);
      await client.getUserAccessTokensForUser(MATTERMOST_ID);
      await client.revokeUserAccessToken('c'.repeat(26));
      await client.getSessions(MATTERMOST_ID);
    },
    differs: {
      'query.page': 'The SDK says what is so without it too.',
      'query.per_page': 'The SDK says what is so without it too.',
    },
  },
  {
    // Not of GitLab, which lists it: https://docs.gitlab.com/api/rest/third_party_clients/
    sdk: '@gitbeaker/rest',
    connector: gitlab,
    account: ACCOUNT,
    options: (url) => ({ url, token: 'token-1', personalAccessTokens: true, block: true }),
    answers: {
      'GET /api/v4/user': { id: 9, is_admin: true },
      'GET /api/v4/users': [{ id: 7, username: 'ada', email: ACCOUNT }],
      'GET /api/v4/users/7': { state: 'active' },
      'POST /api/v4/users/7/block': true,
      'GET /api/v4/personal_access_tokens': once([{ id: 3, user_id: 7 }], []),
      'DELETE /api/v4/personal_access_tokens/3': {},
    },
    calls: async (host) => {
      const { PersonalAccessTokens, Users } = new Gitlab({ host, token: 'token-1' });
      const page = { perPage: 100, page: 1 };
      await Users.showCurrentUser();
      await Users.all({ search: ACCOUNT, ...page });
      await Users.show(7);
      await Users.block(7);
      await PersonalAccessTokens.all({ userId: 7, state: 'active', ...page });
      await PersonalAccessTokens.remove({ tokenId: 3 });
    },
  },
  {
    sdk: '@googleapis/admin',
    connector: googleWorkspace,
    account: ACCOUNT,
    options: (url) => ({
      ...{ url, tokenUrl: `${url}/token`, serviceAccount: 'gateway@acme.iam.gserviceaccount.com' },
      ...{ privateKey: serviceAccount.pem, admin: 'admin@example.com', appPasswords: true },
    }),
    answers: {
      'POST /token': TOKEN,
      [`POST /admin/directory/v1/users/${ACCOUNT}/signOut`]: {},
      [`GET /admin/directory/v1/users/${ACCOUNT}/tokens`]: once({ items: [{ clientId: 'wiki.apps' }] }, {}),
      [`DELETE /admin/directory/v1/users/${ACCOUNT}/tokens/wiki.apps`]: {},
      [`GET /admin/directory/v1/users/${ACCOUNT}/asps`]: once({ items: [{ codeId: 7 }] }, {}),
      [`DELETE /admin/directory/v1/users/${ACCOUNT}/asps/7`]: {},
    },
    calls: async (rootUrl) => {
      const client = new auth.OAuth2();
      client.setCredentials({ access_token: 'token-1' });
      const { users, tokens, asps } = admin({ version: 'directory_v1', rootUrl, auth: client });
      await users.signOut({ userKey: ACCOUNT });
      await tokens.list({ userKey: ACCOUNT });
      await tokens.delete({ userKey: ACCOUNT, clientId: 'wiki.apps' });
      await asps.list({ userKey: ACCOUNT });
      await asps.delete({ userKey: ACCOUNT, codeId: 7 });
    },
    unknownToSdk: { 'POST /token': 'The SDK gets its tokens from Google alone, so it is given one.' },
  },
  {
    // Not of Zendesk, which lists it: https://developer.zendesk.com/documentation/ticketing/api-clients/nodejs/
    sdk: 'node-zendesk',
    connector: zendesk,
    account: ACCOUNT,
    options: (url) => ({ url, email: 'admin@example.com', apiToken: 'token-1' }),
    answers: {
      'GET /api/v2/users/me': { user: { id: 9, role: 'admin' } },
      'GET /api/v2/users/search': { users: [{ id: 1, email: ACCOUNT }] },
      'DELETE /api/v2/users/1/sessions': {},
      'GET /api/v2/users/1/sessions': { sessions: [] },
      'GET /api/v2/oauth/tokens': once(
        { tokens: [{ id: 5, user_id: 1 }], meta: { has_more: false } },
        { tokens: [], meta: { has_more: false } },
      ),
      'DELETE /api/v2/oauth/tokens/5': {},
    },
    calls: async (url) => {
      const client = createZendesk({ username: 'admin@example.com', token: 'token-1', endpointUri: `${url}/api/v2` });
      await client.users.me();
      await client.users.search({ query: `email:${ACCOUNT}`, per_page: 100, page: 1 });
      await client.sessions.bulkDeleteByUserId(1);
      await client.sessions.getByUserId(1);
      await client.oauthtokens.list();
      await client.oauthtokens.revoke(5);
    },
    // Zendesk takes the paths of its pages with `.json` at the end too.
    read: ({ call, ...sent }) => ({ ...sent, call: call.replace(/\.json$/, '') }),
    differs: { 'GET /api/v2/oauth/tokens query.all': 'The SDK takes no parameters here.' },
  },
];

/** Each field that is asked for, with its arguments: documents may be written differently, and ask for more or less of it. */
function fieldsIn({ query, variables }: { query?: string; variables?: Record<string, unknown> } = {}) {
  const [operation] = parse(query ?? '').definitions as OperationDefinitionNode[];
  return (operation?.selectionSet.selections ?? []).map((field) => ({
    field: 'name' in field ? field.name.value : '',
    args: Object.fromEntries(
      ('arguments' in field ? (field.arguments ?? []) : [])
        .map(({ name, value }) => [name.value, valueFromASTUntyped(value, variables)])
        .filter(([, value]) => value !== undefined && value !== null),
    ),
  }));
}
