/** Revokes a person's sessions in an application that signs people in by WorkOS (AuthKit). */
import { type ZodType, z } from 'zod';
import { identifier, isSame } from './account.js';
import { type Api, bearer, createApi, type Path, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, NONE, secret } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { endAll, hasEnded } from './rounds.js';

const options = z.strictObject({
  apiKey: secret().describe('An API key of the environment, such as sk_….'),
  url: apiUrl.default('https://api.workos.com').describe('The API.'),
});
type Options = z.output<typeof options>;

const user = z.object({ id: z.string().startsWith('user_'), email: z.string() });
const session = z.object({ id: z.string().min(1), status: z.string() });

// A ULID follows. An e-mail address may begin like that.
const ID = /^user_[0-9A-HJKMNP-TV-Z]{26}$/;

const USERS = path`/user_management/users`;
const MAX_PAGES = 20;

export const workos = defineConnector({
  name: 'workos',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'WorkOS (AuthKit)',
    coverage: 'partial',
    does: 'Finds the user by e-mail address, exactly; lists the sessions (`GET /user_management/users/{id}/sessions`) and revokes each that is active (`POST /user_management/sessions/revoke`), until none is. The account may be the id of the user (`user_` and a ULID), too: then nothing is looked up.',
    ends: ['sessions', 'refresh_tokens'],
    livesOn:
      'Tokens of Connect applications that the user has authorized, API keys of the user, and connected accounts.',
    lingers: 'As long as an access token lives, five minutes by default.',
    permission: 'An API key of the environment, which has every right in it unless you limit it.',
    credential: [
      'In the dashboard choose the environment (Production), and open API Keys.',
      'Create a key of the gateway’s own, and set it as `apiKey`.',
    ],
    rateLimit: '1,000 reads and 500 writes in 10 seconds for each environment; 429 beyond.',
    unknown: ['By which word WorkOS answers that a session has already ended: the documented 400 has a text alone.'],
    sources: [
      'https://workos.com/docs/reference/authkit/session/list',
      'https://workos.com/docs/reference/authkit/session/revoke',
      'https://workos.com/docs/reference/authkit/user/list',
      'https://workos.com/docs/reference/rate-limits',
      'https://github.com/workos/openapi-spec/blob/main/spec/open-api-spec.yaml',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      if (ID.test(account)) return [account];
      const found = await listOf(api, USERS, { email: account }, user);
      return found.filter(({ email }) => isSame(email, account)).map(({ id }) => id);
    }

    return withUserId({ connector: 'workos', options, account }, find, async (id) => {
      const ended = await endAll(
        'workos: POST of the sessions to revoke',
        async () => {
          const all = await listOf(api, path`/user_management/users/${id}/sessions`, {}, session);
          return all.filter(({ status }) => status === 'active');
        },
        ({ id }) =>
          api('POST', path`/user_management/sessions/revoke`, {
            json: { session_id: id },
            // Maybe it has ended by itself in the meantime: the list that is read then tells.
            exceptions: { 400: 'not_found', 404: 'refused' },
          }),
      );
      if (!hasEnded(ended, call)) return NONE;
      return {
        state: 'revoked',
        what: ['sessions', 'refresh_tokens'],
        partial: 'tokens of Connect applications and API keys live on',
        verified: true,
      };
    });
  },

  async check(options, call) {
    const answer = z.object({ data: z.array(user) });
    await apiOf(options, call)('GET', USERS, { query: { limit: '1' }, answer });
    return {
      ok: true,
      detail: 'users can be read; whether their sessions can be revoked shows at the first revocation',
    };
  },
});

async function listOf<T>(api: Api, of: Path, query: Record<string, string>, item: ZodType<T>): Promise<T[]> {
  const answer = z.object({
    data: z.array(item),
    list_metadata: z.object({ after: z.string().nullish() }).optional(),
  });
  const items: T[] = [];
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { data } = await api('GET', of, { query: { ...query, limit: '100', after }, answer });
    items.push(...data.data);
    after = data.list_metadata?.after ?? undefined;
    if (after === undefined) return items;
  }
  throw new ConnectorError('refused', `workos: GET ${of.template} fills more than ${MAX_PAGES} pages`);
}

function apiOf({ url, apiKey }: Options, call: CheckCall) {
  const exceptions = { 404: saying(/"message":\s*"User not found/i, 'not_found', 'refused') };
  return createApi('workos', { url, authorize: bearer(apiKey), exceptions }, call);
}
