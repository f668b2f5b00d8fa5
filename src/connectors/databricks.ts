/** Revokes a person's personal access tokens in a Databricks workspace. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, NONE, secret, unlessNotFound } from './connector.js';
import { clientSecretGrant, oauth } from './oauth.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The workspace, such as https://dbc-a1b2c3d4-e5f6.cloud.databricks.com.'),
  clientId: z.string().min(1).describe('The application id of the service principal.'),
  clientSecret: secret().describe('Its OAuth secret.'),
  personalAccessTokens: z
    .literal(true, 'has to be true: that is all that this connector does')
    .describe(
      'Says that tokens are to be revoked: none comes back, and jobs that the person has let run with one stop.',
    ),
});
type Options = z.output<typeof options>;

const tokens = z.object({
  token_infos: z
    .array(
      z.object({
        token_id: z.string(),
        created_by_username: z.string().optional(),
        created_by_id: z.number().optional(),
        owner_id: z.number().optional(),
      }),
    )
    // Left out where there are none.
    .default([]),
});

export const databricks = defineConnector({
  name: 'databricks',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Databricks',
    coverage: 'partial',
    does: 'Lists the tokens that the user has created in one workspace (`GET /api/2.0/token-management/tokens?created_by_username=…`), compares the user name again, deletes each (`DELETE /api/2.0/token-management/tokens/{token_id}`), and lists again until none is left. The account is the user name, which is the e-mail address. One app for each workspace.',
    ends: ['credentials'],
    livesOn:
      'Sessions in the browser, OAuth tokens of the command line and of other tools, and tokens that the user has made for service principals.',
    lingers: 'No page says how soon a deleted token is refused.',
    permission: 'A service principal that is an admin of the workspace: nobody else may delete tokens of others.',
    credential: [
      'As a workspace admin add a service principal to the workspace, and to its group `admins`.',
      'On its page open Secrets, generate an OAuth secret, and copy the secret and the client id.',
    ],
    rateLimit: '40 requests a second for a workspace; 429 beyond. No page speaks of `Retry-After`.',
    unknown: [
      'Whether the filter of the list is exact, so that it is compared again.',
      'Whether the list answers for a user name that the workspace does not know with an empty list or with an error.',
    ],
    sources: [
      'https://docs.databricks.com/api/workspace/tokenmanagement/list',
      'https://docs.databricks.com/api/workspace/tokenmanagement/delete',
      'https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m',
      'https://docs.databricks.com/aws/en/admin/access-control/tokens',
      'https://docs.databricks.com/aws/en/resources/limits',
    ],
  },

  async revoke(account, options, call) {
    if (isSame(options.clientId, account)) {
      throw new ConnectorError('refused', 'databricks: not called, since it is the account that the connector acts as');
    }
    const api = apiOf(options, call);

    let isUnknown = false;

    async function list(): Promise<string[]> {
      // Without the filter the list has the tokens of everybody.
      const query = { created_by_username: account };
      const answer = await unlessNotFound(api('GET', TOKENS, { query, answer: tokens }));
      isUnknown ||= answer === undefined;
      return (answer?.data.token_infos ?? [])
        .filter(({ created_by_username }) => isSame(created_by_username, account))
        .filter(({ created_by_id, owner_id }) => owner_id === undefined || owner_id === created_by_id)
        .map(({ token_id }) => token_id);
    }

    const ended = await endAll('databricks: DELETE of the tokens', list, (id) =>
      api('DELETE', path`/api/2.0/token-management/tokens/${id}`),
    );
    if (!hasEnded(ended, call) || (ended === 0 && isUnknown)) return NONE;
    return {
      state: 'revoked',
      what: ['credentials'],
      partial: 'browser sessions and OAuth tokens live on',
      verified: true,
    };
  },

  async check(options, call) {
    const query = { created_by_username: options.clientId };
    await apiOf(options, call)('GET', TOKENS, { query, answer: tokens });
    return { ok: true, detail: 'tokens can be listed; whether they can be deleted shows at the first revocation' };
  },
});

const TOKENS = path`/api/2.0/token-management/tokens`;

function apiOf(options: Options, call: CheckCall) {
  const { url, clientId, clientSecret } = options;
  const tokenUrl = `${url.replace(/\/+$/, '')}/oidc/v1/token`;
  const authorize = oauth('databricks', options, () =>
    clientSecretGrant({ tokenUrl, clientId, clientSecret, parameters: { scope: 'all-apis' } }),
  );
  // FEATURE_DISABLED is a 404 too.
  const exceptions = { 404: saying(/"RESOURCE_DOES_NOT_EXIST"/, 'not_found', 'refused') };
  return createApi('databricks', { url, authorize, exceptions }, call);
}
