/** What the SDKs of identity providers are told to do, each beside the connector that does the same. */
import { FusionAuthClient } from '@fusionauth/typescript-client';
import KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import { createManagementApi } from '@logto/api/management';
import okta from '@okta/okta-sdk-nodejs';
import { Configuration as HydraConfiguration, OAuth2Api } from '@ory/hydra-client';
import { IdentityApi, Configuration as KratosConfiguration } from '@ory/kratos-client';
import { WorkOS } from '@workos-inc/node';
import { ManagementClient } from 'auth0';
import { auth0 } from '../../src/connectors/auth0.js';
import { fusionauth } from '../../src/connectors/fusionauth.js';
import { keycloak } from '../../src/connectors/keycloak.js';
import { logto } from '../../src/connectors/logto.js';
import { okta as oktaConnector } from '../../src/connectors/okta.js';
import { oryHydra } from '../../src/connectors/ory-hydra.js';
import { oryKratos } from '../../src/connectors/ory-kratos.js';
import { workos } from '../../src/connectors/workos.js';
import { credentialsAnywhere, fetchFrom, type Row } from './sdk-comparison.js';
import { createServiceAccount } from './signing-client.js';

const ACCOUNT = 'ada@example.com';
const ID = '3b241101-e2bb-4255-8caf-4136c566a962';
const TOKEN = { access_token: 'token-1', token_type: 'Bearer', expires_in: 3600, scope: 'all' };

/** A list that has something the first time, and afterwards nothing. */
const once = (first: unknown, later: unknown) => (_: unknown, before: number) => (before === 0 ? first : later);

const oktaUser = { id: '00u1', profile: { login: ACCOUNT } };
const oktaAnswers = {
  'POST /oauth2/v1/token': TOKEN,
  [`GET /api/v1/users/${ACCOUNT}`]: oktaUser,
  'GET /api/v1/users/me': { id: '00u9', profile: { login: 'gateway@example.com' } },
  'DELETE /api/v1/users/00u1/sessions': {},
};
const OLDER_THAN_FORGET_DEVICES = {
  'query.forgetDevices': 'The SDK is from before this parameter: version 8, which has it, weighs 45 MB.',
};
const serviceApp = createServiceAccount();

// Its types do not have this.
const WITHOUT_HTTPS: object = { testing: { disableHttpsCheck: true } };

async function oktaCalls(options: object, url: string) {
  const client = new okta.Client({ orgUrl: url, ...WITHOUT_HTTPS, ...options });
  if (!('authorizationMode' in options)) await client.getUser('me');
  const user = await client.getUser(ACCOUNT);
  await user.clearSessions({ oauthTokens: true });
}

const auth0Options = (url: string) => ({ url, clientId: 'client-1', clientSecret: 'secret-1' });
const auth0Answers = {
  'POST /oauth/token': TOKEN,
  'GET /api/v2/users-by-email': [{ user_id: 'auth0|1', email: ACCOUNT }],
  'POST /api/v2/users/auth0|1/revoke-access': {},
  'GET /api/v2/users/auth0|1/sessions': { sessions: [] },
  'GET /api/v2/users/auth0|1/refresh-tokens': { tokens: [] },
  'DELETE /api/v2/users/auth0|1/refresh-tokens': {},
};
const auth0Client = (url: string) =>
  new ManagementClient({
    ...{ domain: 'acme.auth0.com', clientId: 'client-1', clientSecret: 'secret-1', audience: `${url}/api/v2/` },
    ...{ fetch: fetchFrom(url), telemetry: false },
  });
const auth0Search = { email: ACCOUNT, fields: 'user_id,email,identities', include_fields: true };

export const IDENTITY_PROVIDERS: readonly Row[] = [
  {
    sdk: '@okta/okta-sdk-nodejs',
    way: 'API token',
    connector: oktaConnector,
    account: ACCOUNT,
    options: (url) => ({ url, apiToken: 'token-1' }),
    answers: oktaAnswers,
    calls: (url) => oktaCalls({ token: 'token-1' }, url),
    differs: OLDER_THAN_FORGET_DEVICES,
  },
  {
    sdk: '@okta/okta-sdk-nodejs',
    way: 'private key',
    connector: oktaConnector,
    account: ACCOUNT,
    options: (url) => ({ url, clientId: '0oa1', privateKey: serviceApp.pem, keyId: 'key-1' }),
    answers: oktaAnswers,
    calls: (url) =>
      oktaCalls(
        {
          ...{ authorizationMode: 'PrivateKey', clientId: '0oa1', privateKey: serviceApp.pem, keyId: 'key-1' },
          scopes: ['okta.users.read', 'okta.users.manage'],
        },
        url,
      ),
    differs: {
      ...OLDER_THAN_FORGET_DEVICES,
      'body.client_assertion': 'It is signed anew each time.',
      'body.client_id': 'RFC 7521, section 4.2: it may stand beside the assertion, which names the client too.',
    },
  },
  {
    sdk: 'auth0',
    connector: auth0,
    account: ACCOUNT,
    options: auth0Options,
    answers: auth0Answers,
    calls: async (url) => {
      const client = auth0Client(url);
      await client.usersByEmail.getByEmail(auth0Search);
      await client.users.getSessions({ user_id: 'auth0|1', take: 50 });
      await client.users.getRefreshTokens({ user_id: 'auth0|1', take: 50 });
    },
    unknownToSdk: {
      'POST /api/v2/users/auth0|1/revoke-access': 'This call came with version 5, which weighs 29 MB and more.',
    },
  },
  {
    sdk: 'auth0',
    connector: auth0,
    account: ACCOUNT,
    mode: 'refresh-only',
    options: auth0Options,
    answers: auth0Answers,
    calls: async (url) => {
      const client = auth0Client(url);
      await client.usersByEmail.getByEmail(auth0Search);
      await client.users.deleteRefreshTokens({ user_id: 'auth0|1' });
      await client.users.getRefreshTokens({ user_id: 'auth0|1', take: 50 });
    },
  },
  {
    sdk: '@keycloak/keycloak-admin-client',
    connector: keycloak,
    account: ACCOUNT,
    options: (url) => ({ url, realm: 'acme', clientId: 'client-1', clientSecret: 'secret-1' }),
    answers: {
      'POST /realms/acme/protocol/openid-connect/token': TOKEN,
      'GET /admin/realms/acme/users': [{ id: ID, email: ACCOUNT }],
      [`POST /admin/realms/acme/users/${ID}/logout`]: {},
      [`GET /admin/realms/acme/users/${ID}/sessions`]: [],
      [`GET /admin/realms/acme/users/${ID}/consents`]: once([{ clientId: 'wiki' }], []),
      [`DELETE /admin/realms/acme/users/${ID}/consents/wiki`]: {},
    },
    calls: async (url) => {
      const client = new KeycloakAdminClient({ baseUrl: url, realmName: 'acme' });
      await client.auth({ grantType: 'client_credentials', clientId: 'client-1', clientSecret: 'secret-1' });
      await client.users.find({ email: ACCOUNT, exact: true });
      await client.users.logout({ id: ID });
      await client.users.listSessions({ id: ID });
      await client.users.listConsents({ id: ID });
      await client.users.revokeConsent({ id: ID, clientId: 'wiki' });
    },
    // Keycloak takes a slash at the end of a path, or none.
    read: (sent) => credentialsAnywhere({ ...sent, call: sent.call.replace(/\/$/, '') }),
  },
  {
    sdk: '@ory/kratos-client',
    connector: oryKratos,
    account: ACCOUNT,
    options: (url) => ({ url, token: 'token-1' }),
    answers: {
      'GET /admin/identities': [{ id: ID, traits: { email: ACCOUNT } }],
      [`DELETE /admin/identities/${ID}/sessions`]: {},
      [`GET /admin/identities/${ID}/sessions`]: [],
    },
    calls: async (basePath) => {
      const api = new IdentityApi(new KratosConfiguration({ basePath, apiKey: 'Bearer token-1' }));
      await api.listIdentities({ credentialsIdentifier: ACCOUNT });
      await api.deleteIdentitySessions({ id: ID });
      await api.listIdentitySessions({ id: ID, active: true });
    },
  },
  {
    sdk: '@ory/hydra-client',
    connector: oryHydra,
    account: ACCOUNT,
    // The SDK has no credential for these calls: whoever runs Hydra keeps its admin API from others.
    options: (url) => ({ url }),
    answers: {
      'GET /admin/oauth2/auth/sessions/consent': once([{ consent_request: { login_session_id: 'sid-1' } }], []),
      'DELETE /admin/oauth2/auth/sessions/login': {},
      'DELETE /admin/oauth2/auth/sessions/consent': {},
    },
    calls: async (basePath) => {
      const api = new OAuth2Api(new HydraConfiguration({ basePath }));
      await api.listOAuth2ConsentSessions({ subject: ACCOUNT, pageSize: 250 });
      await api.revokeOAuth2LoginSessions({ sid: 'sid-1' });
      await api.revokeOAuth2LoginSessions({ subject: ACCOUNT });
      await api.revokeOAuth2ConsentSessions({ subject: ACCOUNT, all: true });
      await api.listOAuth2ConsentSessions({ subject: ACCOUNT, pageSize: 1 });
    },
  },
  {
    sdk: '@fusionauth/typescript-client',
    connector: fusionauth,
    account: ACCOUNT,
    options: (url) => ({ url, apiKey: 'key-1', tenantId: ID }),
    answers: {
      'GET /api/user': { user: { id: ID, email: ACCOUNT } },
      'DELETE /api/jwt/refresh': {},
      'GET /api/jwt/refresh': { refreshTokens: [] },
    },
    calls: async (url) => {
      const client = new FusionAuthClient('key-1', url, ID);
      await client.retrieveUserByLoginId(ACCOUNT);
      await client.revokeRefreshTokensByUserId(ID);
      await client.retrieveRefreshTokens(ID);
    },
  },
  {
    // It has the paths and members in its types, generated from Logto's OpenAPI description: `tsc` holds these calls to it.
    sdk: '@logto/api',
    connector: logto,
    account: ACCOUNT,
    options: (url) => ({
      ...{ url, resource: 'https://default.logto.app/api', clientId: 'client-1', clientSecret: 'secret-1' },
    }),
    answers: {
      'POST /oidc/token': TOKEN,
      'GET /api/users': [{ id: 'user-1', primaryEmail: ACCOUNT }],
      'GET /api/users/user-1/sessions': once({ sessions: [{ payload: { uid: 'uid-1' } }] }, { sessions: [] }),
      'DELETE /api/users/user-1/sessions/uid-1': {},
      'GET /api/users/user-1/grants': once({ grants: [{ id: 'grant-1' }] }, { grants: [] }),
      'DELETE /api/users/user-1/grants/grant-1': {},
    },
    calls: async (baseUrl) => {
      const { apiClient } = createManagementApi('default', { baseUrl, clientId: 'client-1', clientSecret: 'secret-1' });
      const of = { userId: 'user-1' };
      const search = { 'search.primaryEmail': ACCOUNT, 'mode.primaryEmail': 'exact' };
      await apiClient.GET('/api/users', {
        params: { query: { search_params: search } },
        // Of an object, its members are the parameters: https://docs.logto.io/user-management/advanced-user-search
        querySerializer: { object: { style: 'form', explode: true } },
      });
      await apiClient.GET('/api/users/{userId}/sessions', { params: { path: of } });
      await apiClient.DELETE('/api/users/{userId}/sessions/{sessionId}', {
        params: { path: { ...of, sessionId: 'uid-1' }, query: { revokeGrantsTarget: 'all' } },
      });
      await apiClient.GET('/api/users/{userId}/grants', { params: { path: of } });
      await apiClient.DELETE('/api/users/{userId}/grants/{grantId}', {
        params: { path: { ...of, grantId: 'grant-1' } },
      });
    },
    read: credentialsAnywhere,
  },
  {
    sdk: '@workos-inc/node',
    connector: workos,
    account: ACCOUNT,
    options: (url) => ({ url, apiKey: 'sk_1' }),
    answers: {
      'GET /user_management/users': { data: [{ id: 'user_1', email: ACCOUNT }], list_metadata: {} },
      'GET /user_management/users/user_1/sessions': once(
        { data: [{ id: 'session_1', status: 'active' }], list_metadata: {} },
        { data: [], list_metadata: {} },
      ),
      'POST /user_management/sessions/revoke': {},
    },
    calls: async (url) => {
      const { hostname, port } = new URL(url);
      const { userManagement } = new WorkOS('sk_1', { apiHostname: hostname, port: Number(port), https: false });
      await userManagement.listUsers({ email: ACCOUNT, limit: 100 });
      await userManagement.listSessions('user_1', { limit: 100 });
      await userManagement.revokeSession({ sessionId: 'session_1' });
    },
    differs: { 'query.order': 'The SDK says what is so without it too, and all pages are read.' },
  },
];
