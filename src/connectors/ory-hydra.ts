/** Ends a subject's sessions at Ory Hydra, tells the apps, and voids the subject's tokens. */
import { z } from 'zod';
import { identifier } from './account.js';
import { type Api, bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret, type What } from './connector.js';
import { expectNone } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The admin API: https://{slug}.projects.oryapis.com, or where your own Hydra serves it.'),
  token: secret()
    .optional()
    .describe('An API key of the project, or whatever bearer token stands before the admin API.'),
});
type Options = z.output<typeof options>;

const consents = z.array(
  z.object({ consent_request: z.object({ login_session_id: z.string().optional() }).nullish() }),
);

const MAX_PAGES = 20;
const LOGIN = path`/admin/oauth2/auth/sessions/login`;
const CONSENT = path`/admin/oauth2/auth/sessions/consent`;

export const oryHydra = defineConnector({
  name: 'ory-hydra',
  options,
  account: identifier,
  modes: ['full', 'refresh-only'],
  identityProvider: true,
  docs: {
    app: 'Ory Hydra (Ory OAuth2)',
    coverage: 'full',
    does: 'Reads the consent sessions of the subject; `DELETE /admin/oauth2/auth/sessions/login?sid=` ends each login session that they name, which has Hydra call the apps’ back-channel logout; the same with `subject=` ends those that no consent names; `DELETE …/sessions/consent?subject=&all=true` deletes the consents with their access and refresh tokens, of which none may be left in the list that is read then. `refresh-only` does the last part alone. The account is the subject that your login app accepts for the user, whatever that is.',
    ends: ['sessions', 'refresh_tokens', 'access_tokens'],
    livesOn:
      'Access tokens that are JWTs and are checked without asking Hydra; the sessions of apps without a back-channel logout URL, and those of the login app itself, for which `ory-kratos` may be.',
    lingers: 'As long as an access token lives, an hour by default, where it is a JWT.',
    permission: 'An API key of the project has every right in it; the admin API of a Hydra of your own asks for none.',
    credential: [
      'Ory Network: in the console of the project, Project settings, API keys, make one and set it as `token`.',
      'Hydra of your own: let the gateway reach the admin port; set `token` only if a proxy before it wants one.',
    ],
    rateLimit:
      'Ory Network: by plan and by group of calls, 429 with `x-ratelimit-reset` beyond; Hydra itself has none.',
    unknown: ['Whether the subject exists: Hydra has no list of subjects, and answers 204 for any.'],
    sources: [
      'https://www.ory.com/docs/reference/api#tag/oAuth2/operation/revokeOAuth2LoginSessions',
      'https://www.ory.com/docs/reference/api#tag/oAuth2/operation/revokeOAuth2ConsentSessions',
      'https://www.ory.com/docs/reference/api#tag/oAuth2/operation/listOAuth2ConsentSessions',
      'https://github.com/ory/hydra/blob/master/consent/handler.go',
    ],
  },

  async revoke(subject, options, call) {
    const api = apiOf(options, call);
    const what: What[] = ['refresh_tokens', 'access_tokens'];
    let untold = false;
    if (call.mode === 'full') {
      for (const sid of await loginSessionsOf(api, subject)) {
        try {
          await api('DELETE', LOGIN, { query: { sid } });
        } catch (error) {
          // An app that cannot be told must not keep the tokens of all others alive: the subject's are ended below.
          if (!(error instanceof ConnectorError) || error.reason !== 'server') throw error;
          untold = true;
        }
      }
      await api('DELETE', LOGIN, { query: { subject } });
      what.unshift('sessions');
    }
    await api('DELETE', CONSENT, { query: { subject, all: 'true' } });
    const left = await api('GET', CONSENT, { query: { subject, page_size: '1' }, answer: consents });
    expectNone('ory-hydra: GET of the consents after their end', left.data);
    return {
      state: 'revoked',
      what,
      ...(untold && { partial: 'apps may not have been told: Hydra’s back-channel logout failed' }),
      verified: true,
    };
  },

  async check(options, call) {
    // Hydra wants a subject; this one is nobody's.
    const query = { subject: 'universal-logout-check', page_size: '1' };
    await apiOf(options, call)('GET', CONSENT, { query, answer: consents });
    return { ok: true, detail: 'consents can be read, by which right they can be deleted too' };
  },
});

/** The login sessions that the subject's consents name; those of no consent have no app to tell. */
async function loginSessionsOf(api: Api, subject: string): Promise<Set<string>> {
  const sids = new Set<string>();
  let pageToken: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { subject, page_size: '250', page_token: pageToken };
    const { data, headers } = await api('GET', CONSENT, { query, answer: consents });
    for (const { consent_request } of data) {
      if (consent_request?.login_session_id) sids.add(consent_request.login_session_id);
    }
    pageToken = nextPage(headers.link);
    if (pageToken === undefined) return sids;
  }
  throw new ConnectorError('refused', `ory-hydra: the consents of one subject fill more than ${MAX_PAGES} pages`);
}

function nextPage(link = ''): string | undefined {
  const next = link.split(',').find((one) => /;\s*rel="?next"?/.test(one));
  const url = next?.match(/<([^>]*)>/)?.[1];
  return url === undefined ? undefined : (new URL(url, 'https://hydra').searchParams.get('page_token') ?? undefined);
}

function apiOf({ url, token }: Options, call: CheckCall) {
  const authorize = token ? bearer(token) : async () => ({ headers: {} });
  // None of these calls has an answer for what does not exist.
  return createApi('ory-hydra', { url, authorize, exceptions: { 404: 'refused', 410: 'refused' } }, call);
}
