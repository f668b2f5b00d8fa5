/** Every call of Cerby's public API that is made. Two of them have no published form, and say so. */
import { z } from 'zod';
import { isSame } from '../account.js';
import { createApi, type Path, path } from '../api.js';
import { type CheckCall, ConnectorError, type Secret, unlessNotFound } from '../connector.js';
import { type Exceptions, saying } from '../request.js';

const PAGES = 20;
const SAMPLE = 5;
// A 429 comes without `Retry-After`; the pages say to retry in five minutes.
const PAUSE_MS = 5 * 60_000;

const text = z.string().nullish().catch(undefined);
const yes = z.boolean().nullish().catch(undefined);
const user = z.object({ id: z.string(), attributes: z.object({ email: text, status: text, isGuest: yes }) });
const listed = z.object({ id: z.string(), attributes: z.object({ application: text }).nullish() });
const account = z.object({ attributes: z.object({ application: text, rotatedAt: text, lastPasswordChange: text }) });
const entitlement = z.object({ attributes: z.object({ group: text, key: text, value: text }) });
const member = z.object({
  id: z.string(),
  attributes: z.object({ role: text, entitlements: z.array(entitlement).nullish().catch(undefined) }).nullish(),
});
const job = z.object({
  id: z.string().min(1),
  attributes: z.object({
    status: text,
    canRetry: yes,
    errorDetails: z.object({ errorType: text, userRequired: yes }).nullish().catch(undefined),
  }),
});
const one = <T extends z.ZodType>(of: T) => z.object({ data: of });
const page = <T extends z.ZodType>(of: T) =>
  z.object({ data: z.array(of), links: z.object({ next: z.string().nullish() }).nullish() });

// What is not there is not there only where Cerby says so; elsewhere the address is wrong.
const UNKNOWN = saying(/"errors"\s*:/, 'not_found', 'refused');
// An account that the user of the key does not own is answered with 401, as a bad key is.
const HIDDEN: Exceptions = { 401: 'not_found', 403: 'not_found', 404: 'not_found', 410: 'not_found' };
// The user of the key is no Owner of this one, which says nothing of the others.
const NOT_OURS: Exceptions = { 403: 'refused', 404: UNKNOWN };

export type Workspace = ReturnType<typeof openWorkspace>;
export type Member = z.output<typeof member>;

export function openWorkspace({ url, apiKey }: { url: string; apiKey: Secret }, call: CheckCall) {
  const authorize = async () => ({ headers: { 'x-api-key': apiKey() } });
  const send = createApi('cerby', { url, authorize, exceptions: { 404: 'refused', 410: 'refused' } }, call);
  const api: typeof send = async (...asked) => {
    try {
      return await send(...asked);
    } catch (error) {
      if (!(error instanceof ConnectorError) || error.reason !== 'rate_limited') throw error;
      const { message, cause, retryAfterMs = PAUSE_MS } = error;
      throw new ConnectorError('rate_limited', message, { retryAfterMs, cause });
    }
  };

  /** All pages. What follows is what Cerby's own link asks for, at the same path. */
  async function all<T>(
    of: Path,
    item: z.ZodType<T>,
    first: Record<string, string> = {},
    exceptions: Exceptions = {},
  ): Promise<T[]> {
    const items: T[] = [];
    let query = first;
    for (let asked = 0; asked < PAGES; asked += 1) {
      const { data } = await api('GET', of, { query, answer: page(item), exceptions });
      items.push(...data.data);
      const next = data.links?.next;
      if (!next) return items;
      if (!URL.canParse(next, url)) break;
      query = Object.fromEntries(new URL(next, url).searchParams);
    }
    throw new ConnectorError('refused', `cerby: GET ${of.template} has more pages than are read`);
  }

  /** Assumed: that each resource has the `id` of a user. Undefined where the account is not visible to the key. */
  const usersOfAccount = (id: string) => unlessNotFound(all(path`/api/v1/accounts/${id}/users`, member, {}, HIDDEN));

  return {
    /** Those with exactly this address: the filter also finds what only holds it, in a name too. */
    async usersWith(address: string) {
      const found = await all(path`/api/v1/users`, user, { filter: address, 'page[size]': '100' });
      return found.filter(({ attributes }) => isSame(attributes.email, address));
    },

    integrations: () => all(path`/api/v1/integrations`, listed, { 'page[size]': '100' }),

    /** Undefined where the user is no member. */
    async memberOfIntegration(id: string, userId: string): Promise<Member | undefined> {
      const message = { answer: one(member), exceptions: NOT_OURS };
      return (await unlessNotFound(api('GET', path`/api/v1/integrations/${id}/users/${userId}`, message)))?.data.data;
    },

    /** Begins a job; `undefined` where the user is no member. `onConflict` is told of a 409. */
    async removeFromIntegration(id: string, userId: string, onConflict: () => void): Promise<string | undefined> {
      const message = { answer: one(job), exceptions: { ...NOT_OURS, 409: conflict(onConflict) } };
      const answer = await unlessNotFound(api('DELETE', path`/api/v1/integrations/${id}/users/${userId}`, message));
      return answer?.data.data.id;
    },

    /** Undefined where Cerby does not know the job. */
    async job(id: string) {
      const message = { answer: one(job), exceptions: { 404: UNKNOWN } };
      return (await unlessNotFound(api('GET', path`/api/v1/jobs/${id}`, message)))?.data.data.attributes;
    },

    /** Assumed: that each resource has the `id` of an account. Its form is not published. */
    accountsOf: (userId: string) => all(path`/api/v1/users/${userId}/accounts`, listed),

    /** Undefined where it is not visible to the key. */
    async account(id: string) {
      const message = { answer: one(account), exceptions: HIDDEN };
      return (await unlessNotFound(api('GET', path`/api/v1/accounts/${id}`, message)))?.data.data.attributes;
    },

    usersOfAccount,

    /** Looks at the first few. */
    async seesOneOf(accounts: readonly string[]): Promise<boolean> {
      for (const id of accounts.slice(0, SAMPLE)) if (await usersOfAccount(id)) return true;
      return false;
    },

    /**
     * Assumed: that the user stands in the path, as with integrations; only the method and the start of the path are
     * published. No other form is tried: one without the user could mean all of them.
     */
    async removeFromAccount(id: string, userId: string, onConflict: () => void): Promise<void> {
      const message = { exceptions: { ...NOT_OURS, 409: conflict(onConflict) } };
      await unlessNotFound(api('DELETE', path`/api/v1/accounts/${id}/users/${userId}`, message));
    },
  };
}

const conflict = (onConflict: () => void) => () => {
  onConflict();
  return 'server' as const;
};
