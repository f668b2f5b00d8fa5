/** Ends a person's sessions in a Slack Enterprise organization. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import {
  apiUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  type Reason,
  secret,
  unlessNotFound,
} from './connector.js';
import { withUserId } from './look-up.js';

const options = z.strictObject({
  token: secret().describe('The user token (xoxp-…) of an owner or admin of the organization.'),
  url: apiUrl.default('https://slack.com').describe('Where the Web API is; https://slack-gov.com for GovSlack.'),
});
type Options = z.output<typeof options>;

const identity = z.object({
  user_id: z.string(),
  enterprise_id: z.string().nullish(),
  is_enterprise_install: z.boolean().nullish(),
});
const found = z.object({ user: z.object({ id: z.string(), profile: z.object({ email: z.string().nullish() }) }) });

const NEEDED = ['admin.users:write', 'users:read.email'];

export const slack = defineConnector({
  name: 'slack',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Slack',
    coverage: 'partial',
    does: 'Asks whose token it holds (`auth.test`), finds the user by e-mail address (`users.lookupByEmail`), compares the address itself, and wipes all sessions on all devices (`admin.users.session.reset`); the clients then clear their local cache. The user who owns the token is never signed out.',
    ends: ['sessions'],
    livesOn: 'Tokens of the apps that the user has authorized: no page says that they end.',
    lingers: 'No page says how long a client that is offline takes to notice.',
    permission:
      'The user scopes `admin.users:write`, `users:read` and `users:read.email`, given at the level of the organization by an owner or admin; an Enterprise plan.',
    credential: [
      'Make a Slack app with the user token scopes `admin.users:write`, `users:read` and `users:read.email`, and no bot.',
      'Opt it in to deployment across the organization.',
      'Have an owner or admin of the organization, best one made for this alone, install it on the organization itself and not on a workspace.',
      'Copy the user token that begins with xoxp-.',
    ],
    rateLimit:
      'Tier 2 for the reset, at least 20 a minute; tier 3 for the look-up, at least 50; 429 with `Retry-After` beyond.',
    unknown: [
      'Whether tokens of apps that the user has authorized end too.',
      'Whether the look-up by an organization-wide token finds the members of every workspace.',
    ],
    sources: [
      'https://docs.slack.dev/reference/methods/admin.users.session.reset',
      'https://docs.slack.dev/reference/methods/users.lookupByEmail',
      'https://docs.slack.dev/reference/methods/auth.test',
      'https://docs.slack.dev/apis/web-api/rate-limits',
      'https://docs.slack.dev/enterprise/organization-ready-apps',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const { data: own } = await api('POST', path`/api/auth.test`, { answer: identity });
      const query = { email: account };
      const answer = await unlessNotFound(api('GET', path`/api/users.lookupByEmail`, { query, answer: found }));
      const user = answer?.data.user;
      if (!user || !isSame(user.profile.email, account)) return [];
      if (user.id === own.user_id) {
        throw new ConnectorError(
          'refused',
          'slack: not called, since the account is the one that the token belongs to',
        );
      }
      return [user.id];
    }

    return withUserId({ connector: 'slack', options, account }, find, async (id) => {
      await api('POST', path`/api/admin.users.session.reset`, { json: { user_id: id } });
      return {
        state: 'revoked',
        what: ['sessions'],
        partial: 'tokens of apps that the user has authorized may live on',
      };
    });
  },

  async check(options, call) {
    const { data, headers } = await apiOf(options, call)('POST', path`/api/auth.test`, { answer: identity });
    if (!data.enterprise_id || data.is_enterprise_install === false) {
      return { ok: false, problem: 'slack: the token is not one of an Enterprise organization' };
    }
    // Each answer names the scopes of the token.
    const scopes = headers['x-oauth-scopes']?.split(/\s*,\s*/);
    const missing = scopes && NEEDED.filter((scope) => !scopes.includes(scope));
    if (missing && missing.length > 0) {
      return { ok: false, problem: `slack: the token lacks the scope ${missing.join(' and ')}` };
    }
    return { ok: true, detail: 'the token is good; whether its user is an admin shows at the first revocation' };
  },
});

/** With status 200 and `ok: false`: https://docs.slack.dev/reference/methods/admin.users.session.reset#errors */
const FAILURES: readonly (readonly [Reason, readonly string[]])[] = [
  ['not_found', ['user_not_found', 'users_not_found']],
  [
    'auth',
    [
      ...['not_authed', 'invalid_auth', 'account_inactive', 'token_expired', 'token_revoked', 'not_allowed_token_type'],
      ...['missing_scope', 'no_permission', 'not_an_admin', 'restricted_action', 'accesslimited'],
      ...['ekm_access_denied', 'org_login_required', 'team_access_not_granted', 'two_factor_setup_required'],
    ],
  ],
  ['rate_limited', ['ratelimited', 'rate_limited']],
  [
    'refused',
    [
      ...['cannot_reset_bot', 'cannot_reset_primary_owner', 'session_reset_not_allowed', 'enterprise_is_restricted'],
      // To what the request names, which is the user.
      'access_denied',
      ...['feature_not_enabled', 'invalid_arguments', 'unknown_method', 'deprecated_endpoint', 'method_deprecated'],
    ],
  ],
  ['server', ['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'user_session_reset_failed']],
];

function apiOf(options: Options, call: CheckCall) {
  return createApi(
    'slack',
    {
      url: options.url,
      authorize: bearer(options.token),
      // Who is unknown is said with 200, so a 404 is a wrong URL.
      exceptions: { 404: 'refused', 410: 'refused' },
      refusal: (body) => {
        const { ok, error = '' } = verdict.catch({}).parse(body);
        if (ok === true) return undefined;
        const reason = FAILURES.find(([, errors]) => errors.includes(error))?.[0];
        // By its page an error that is not listed means that Slack is in trouble.
        return reason ? { reason, word: error } : { reason: 'server', word: 'not with ok' };
      },
    },
    call,
  );
}

const verdict = z.object({ ok: z.boolean().optional(), error: z.string().optional() });
