/** Signs a person out of Staffbase, on all devices. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, secret } from './connector.js';
import { withUserId } from './look-up.js';
import type { Exceptions } from './request.js';

const options = z.strictObject({
  url: apiUrl.describe('The base URL that the page of the API token names, such as https://acme.staffbase.com.'),
  token: secret().describe('The API token, as it is shown: it is sent after the word Basic.'),
});
type Options = z.output<typeof options>;

// 24 hexadecimal digits: `me` and `search` are none, which stand in the paths of other calls.
const id = z.string().regex(/^[0-9a-f]{24}$/i);
const users = z.object({
  total: z.int().optional(),
  data: z.array(z.object({ id, externalID: z.string().optional() })),
});

const GONE: Exceptions = { 404: 'refused', 410: 'refused' };

export const staffbase = defineConnector({
  name: 'staffbase',
  options,
  account: identifier,
  modes: ['full'],
  docs: {
    app: 'Staffbase',
    coverage: 'full',
    does: 'Finds the user by the identifier (`externalID`) that the single sign-on or the import gave, exactly; `DELETE /api/users/{id}/sessions` ends all active sessions on all devices. Addresses and user names cannot be looked up, so the app’s `account` has to be what Staffbase has as the identifier; the id of the user at Staffbase will do as well, where nobody has it as the identifier.',
    ends: ['sessions'],
    livesOn: 'API tokens, which are no person’s.',
    lingers: 'No page says how soon the apps notice.',
    permission: 'An API token with administrative access: Staffbase has no lesser one for this.',
    credential: [
      'In the Studio, Settings, API access tokens add a token with administrative access.',
      'Set the token, and the base URL that the same page shows, as `token` and `url`.',
    ],
    rateLimit: 'There is one, whose figures are on the page that the sources name; 429 beyond.',
    unknown: [
      'Which statuses `DELETE …/sessions` has: any 2xx is taken for success, and a 404 for a refusal where the user was found a moment ago.',
      'Until when the older form of `GET /api/users`, with its filter for `externalId`, is answered.',
    ],
    sources: [
      'https://developers.staffbase.com/use-cases/manage-userlogout-via-userapi/',
      'https://developers.staffbase.com/user/',
      'https://developers.staffbase.com/references/user-api-filters/',
      'https://developers.staffbase.com/concepts/user-management-api-overview',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      // In SCIM's notation, whose strings are those of JSON.
      const query = { filter: `externalId eq ${JSON.stringify(account)}`, limit: '100' };
      const { data } = await api('GET', path`/api/users`, { query, answer: users, exceptions: { 404: 'refused' } });
      // An identifier from elsewhere may look like an id of Staffbase.
      if (data.data.length === 0 && id.safeParse(account).success) return [account];
      const found = data.data.filter(({ externalID }) => isSame(externalID, account)).map(({ id }) => id);
      // A filter that is not understood must not look like an account that does not exist.
      if (found.length === 0 && data.data.length > 0) {
        throw new ConnectorError('refused', 'staffbase: GET /api/users answered others than was asked for');
      }
      return found;
    }

    return withUserId({ connector: 'staffbase', options, account }, find, async (id, isNew) => {
      // What is found is found by the same token, which may not be allowed more.
      const isThere = isNew && id !== account;
      await api('DELETE', path`/api/users/${id}/sessions`, isThere ? { exceptions: GONE } : {});
      return { state: 'revoked', what: ['sessions'] };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/api/users`, { query: { limit: '1' }, answer: users });
    return { ok: true, detail: 'users can be read; whether they can be signed out shows at the first revocation' };
  },
});

function apiOf({ url, token }: Options, call: CheckCall) {
  return createApi('staffbase', { url, authorize: bearer(token, 'Basic') }, call);
}
