/** Ends a managed user's sessions at Notion. */
import { z } from 'zod';
import { email } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, NONE, secret, unlessNotFound } from './connector.js';
import { saying } from './request.js';

const options = z.strictObject({
  token: secret().describe('An organization bot token.'),
  url: apiUrl.default('https://api.notion.com').describe('Where the API is.'),
});
type Options = z.output<typeof options>;

const revoked = z.object({ status: z.literal('revoked') });

export const notion = defineConnector({
  name: 'notion',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Notion',
    coverage: 'partial',
    does: 'Revokes the sessions of the managed user with the e-mail address (`POST /admin/v1/managed_users/revoke_session`). It acts as the organization, so there is no user of its own.',
    ends: ['sessions'],
    livesOn:
      'Personal access tokens, connected AI clients and other connections of the user, which have calls of their own; and the sessions of users who are not managed by the organization.',
    lingers: 'No page says how long a client takes to notice.',
    permission: 'The scope `managed-user-session:write` of an organization bot token; an Enterprise plan.',
    credential: [
      'As an owner of the organization open Manage organization, General, Manage organization-level admin API tokens.',
      'Create a connection with the scope `managed-user-session:write` and no other.',
      'Create a token for it, and copy it.',
    ],
    rateLimit:
      'The public API has a limit for each connection, in windows of 60 seconds, and one for the workspace, both by plan; 429 with `Retry-After` beyond. Nothing is said of the Admin API.',
    unknown: [
      'What is answered for a user who is not managed by the organization: 404 with a code of “not found” is taken for nobody, but the help speaks of a call that does nothing, which may be answered with “revoked” as well; and no call of the Admin API tells who is managed.',
    ],
    sources: [
      'https://developers.notion.com/reference/admin/revoke-user-session',
      'https://developers.notion.com/reference/admin/intro',
      'https://developers.notion.com/reference/admin/scopes',
      'https://developers.notion.com/reference/admin/list-users',
      'https://developers.notion.com/openapi-adminApi.json',
      'https://www.notion.com/help/admin-apis-for-enterprise-organizations',
      'https://developers.notion.com/reference/request-limits',
    ],
  },

  async revoke(account, options, call) {
    const json = { user: { type: 'email', email: account } };
    const asked = apiOf(options, call)('POST', path`/admin/v1/managed_users/revoke_session`, { json, answer: revoked });
    if (!(await unlessNotFound(asked))) return NONE;
    return {
      state: 'revoked',
      what: ['sessions'],
      // The help says that the call then does nothing, no page that the answer tells, and no call who is managed.
      partial:
        'personal access tokens and connections live on, and the sessions too if the organization does not manage the user',
    };
  },

  async check(options, call) {
    // A read that needs another scope: whoever has a good token is at most told that this one is missing.
    await unlessNotFound(
      apiOf(options, call)('GET', path`/admin/v1/legal_holds`, {
        exceptions: { 403: saying(/"type":\s*"error"/, 'not_found', 'auth'), 404: 'refused' },
      }),
    );
    return { ok: true, detail: 'the token is good; whether its scope suffices shows at the first revocation' };
  },
});

function apiOf(options: Options, call: CheckCall) {
  return createApi(
    'notion',
    {
      url: options.url,
      authorize: bearer(options.token),
      headers: { 'notion-version': '2026-06-01' },
      exceptions: { 404: saying(/"code":\s*"(object_)?not_found"/, 'not_found', 'refused') },
    },
    call,
  );
}
