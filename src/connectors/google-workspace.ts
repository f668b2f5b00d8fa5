/** Signs a person out of Google Workspace and Google Cloud, and takes back what third-party apps were granted. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { createApi, path } from './api.js';
import {
  apiUrl,
  appUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  type Reason,
  unlessNotFound,
  type What,
} from './connector.js';
import { jwtBearerGrant, oauth, privateKey } from './oauth.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const SCOPE = 'https://www.googleapis.com/auth/admin.directory.user.security';

const options = z.strictObject({
  serviceAccount: z.email().describe('The e-mail address of the service account: `client_email` of its key file.'),
  privateKey: privateKey().describe('Its private key: `private_key` of the key file.'),
  keyId: z.string().min(1).optional().describe('The id of that key: `private_key_id` of the key file.'),
  admin: z.email().describe('The administrator as whom the service account acts. It is never signed out itself.'),
  oauthGrants: z
    .boolean()
    .default(true)
    .describe('Whether third-party apps lose their OAuth grants: the person has to allow them again.'),
  appPasswords: z
    .boolean()
    .default(false)
    .describe('Whether app passwords are deleted. They cannot be given back: the person has to make new ones.'),
  url: apiUrl.default('https://admin.googleapis.com').describe('The Admin SDK API.'),
  tokenUrl: appUrl.default('https://oauth2.googleapis.com/token').describe('Where its tokens come from.'),
});
type Options = z.output<typeof options>;

const tokens = z.object({ items: z.array(z.object({ clientId: z.string() })).optional() });
const passwords = z.object({ items: z.array(z.object({ codeId: z.number() })).optional() });

export const googleWorkspace = defineConnector({
  name: 'google-workspace',
  options,
  account: email,
  modes: ['full', 'refresh-only'],
  docs: {
    app: 'Google Workspace',
    coverage: 'partial',
    does: 'Signs the user out of all web and device sessions (`POST …/users/{userKey}/signOut`), which Google Cloud shares; then lists the OAuth grants of third-party apps and deletes each until none is left, since no page says that signing out voids their refresh tokens. `refresh-only` does the second part alone. The account is the primary address or an alias.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens', 'credentials'],
    livesOn: 'App passwords, where `appPasswords` is not set; the OAuth grants, where `oauthGrants` is turned off.',
    lingers:
      'Up to an hour for open sessions of Gmail, and other times for other apps, as the help has it for the same step in the Admin console. Sessions that other apps keep by themselves live on.',
    permission:
      'Domain-wide delegation of the scope `https://www.googleapis.com/auth/admin.directory.user.security`, as an administrator whose role has the privilege User Security Management, which brings that of reading users and organizational units.',
    credential: [
      'In the Google Cloud console enable the Admin SDK API, make a service account without any role, and a JSON key for it.',
      'In the Admin console under Security, API controls, Domain-wide delegation add its client id with the scope `https://www.googleapis.com/auth/admin.directory.user.security` and no other.',
      'Make an administrator whom nobody signs in as, without aliases, with a custom role that has the privilege User Security Management alone, and name it in `admin`: it is protected under that address.',
      'Copy `client_email`, `private_key` and `private_key_id` from the key file.',
    ],
    rateLimit: '2,400 queries a minute per user and project by default; 403 with a reason of its own, or 429, beyond.',
    unknown: [
      'Whether signing out voids OAuth refresh tokens by itself.',
      'The exact status of a sign-out that succeeded: every 2xx is taken for it.',
      'Whether a custom role suffices for users who are administrators themselves: a 403 with the reason `forbidden` is taken for a no to this one user, though a missing privilege may well say the same.',
    ],
    sources: [
      'https://developers.google.com/workspace/admin/directory/reference/rest/v1/users/signOut',
      'https://developers.google.com/workspace/admin/directory/reference/rest/v1/tokens',
      'https://developers.google.com/workspace/admin/directory/reference/rest/v1/asps',
      'https://developers.google.com/workspace/admin/directory/v1/limits',
      'https://developers.google.com/workspace/admin/directory/v1/guides/manage-roles',
      'https://support.google.com/a/answer/178854',
      'https://developers.google.com/identity/protocols/oauth2/service-account',
    ],
  },

  async revoke(account, options, call) {
    const { admin, oauthGrants, appPasswords } = options;
    if (isSame(account, admin)) {
      throw new ConnectorError('refused', 'google-workspace: not called for the administrator as whom it acts');
    }
    const grantsOnly = call.mode === 'refresh-only';
    if (grantsOnly && !oauthGrants) {
      throw new ConnectorError('refused', 'google-workspace: not called, since `oauthGrants` is off and only they go');
    }
    const api = apiOf(options, call);

    const endGrants = () =>
      endAll(
        'google-workspace: DELETE of the OAuth grants',
        async () => (await api('GET', tokensOf(account), { answer: tokens })).data.items ?? [],
        ({ clientId }) => api('DELETE', path`/admin/directory/v1/users/${account}/tokens/${clientId}`),
      );
    const endPasswords = () =>
      endAll(
        'google-workspace: DELETE of the app passwords',
        async () =>
          (await api('GET', path`/admin/directory/v1/users/${account}/asps`, { answer: passwords })).data.items ?? [],
        ({ codeId }) => api('DELETE', path`/admin/directory/v1/users/${account}/asps/${String(codeId)}`),
      );

    async function act(): Promise<Outcome> {
      if (grantsOnly) {
        const ended = await endGrants();
        if (!hasEnded(ended, call)) return NONE;
        return { state: 'revoked', what: ['refresh_tokens', 'access_tokens'], verified: true };
      }
      const what: What[] = ['sessions'];
      const left: string[] = [];
      await api('POST', path`/admin/directory/v1/users/${account}/signOut`);
      if (oauthGrants) {
        await endGrants();
        what.push('refresh_tokens', 'access_tokens');
      } else left.push('OAuth grants of third-party apps');
      if (appPasswords) {
        await endPasswords();
        what.push('credentials');
      } else left.push('app passwords');
      return { state: 'revoked', what, ...(left.length > 0 && { partial: `${left.join(' and ')} live on` }) };
    }

    return (await unlessNotFound(act())) ?? NONE;
  },

  async check(options, call) {
    await apiOf(options, call)('GET', tokensOf(options.admin), { answer: tokens });
    return {
      ok: true,
      detail: 'OAuth grants can be read; whether users can be signed out shows at the first revocation',
    };
  },
});

const tokensOf = (user: string) => path`/admin/directory/v1/users/${user}/tokens`;

// https://developers.google.com/workspace/admin/directory/v1/limits: some of "too many" is a 403.
const TOO_MANY = /"reason":\s*"(userRateLimitExceeded|rateLimitExceeded|quotaExceeded|dailyLimitExceeded)"/;

// "Not Authorized to access this resource/api", as for an administrator of a higher role; a missing scope has
// `insufficientPermissions`, and an API that is not enabled `accessNotConfigured`.
const NOT_THIS_USER = /"reason":\s*"forbidden"/;

function apiOf(options: Options, call: CheckCall) {
  const { serviceAccount, admin, privateKey, keyId, tokenUrl, url } = options;
  const authorize = oauth('google-workspace', options, ({ now }) =>
    jwtBearerGrant(
      { tokenUrl, issuer: serviceAccount, subject: admin, claims: { scope: SCOPE }, privateKey, keyId },
      now(),
    ),
  );
  const exceptions = {
    403: ({ body }: { body: string }): Reason =>
      TOO_MANY.test(body) ? 'rate_limited' : NOT_THIS_USER.test(body) ? 'refused' : 'auth',
    404: saying(/"reason":\s*"notFound"/, 'not_found', 'refused'),
  };
  return createApi('google-workspace', { url, authorize, exceptions }, call);
}
