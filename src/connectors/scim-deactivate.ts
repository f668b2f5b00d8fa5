/** Deactivates a person's account by SCIM 2.0 (RFC 7644) and, where that is asked for, activates it again later. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import {
  type Account,
  apiUrl,
  type CheckCall,
  ConnectorError,
  defineConnector,
  type Outcome,
  type Pending,
  type Reason,
  secret,
  unlessNotFound,
  type What,
} from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';

const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
const PAGE_SIZE = 100;
const MAX_PAGES = 20;

const options = z
  .strictObject({
    url: apiUrl.describe('The base URL of the app’s SCIM endpoint, such as https://app.example.com/scim/v2.'),
    token: secret().describe('The bearer token.'),
    lookUp: z
      .enum(['userName', 'emails', 'externalId'])
      .default('userName')
      .describe('The SCIM attribute that the account is looked for in.'),
    patchOp: z
      .enum(['path', 'no-path'])
      .default('path')
      .describe('Whether the operation names `active` by its path, or by its value alone: some apps read only one.'),
    ends: z
      .array(z.enum(['sessions', 'refresh_tokens', 'access_tokens']))
      .default([])
      .describe('What the app ends of an account that is deactivated, by its own documentation.'),
    reactivate: z
      .boolean()
      .default(false)
      .describe(
        'Activate the account again afterwards, so that it is only logged out. Dangerous where somebody else deactivates accounts of this app too: an app that gives no new version to an account that was inactive already cannot show that it is to stay so.',
      ),
    afterMs: z
      .int()
      .min(1_000)
      .max(600_000)
      .default(60_000)
      .describe('How long the account stays inactive then, in milliseconds.'),
  })
  .refine(({ reactivate, ends }) => !reactivate || ends.length > 0, {
    message: 'must say what a deactivation ends where reactivate is true, or nothing would come of it',
    path: ['ends'],
  });
type Options = z.output<typeof options>;

const user = z.object({
  id: z.string(),
  userName: z.string().nullish(),
  externalId: z.string().nullish(),
  emails: z.array(z.object({ value: z.string().nullish() })).nullish(),
  active: z.union([z.boolean(), z.string()]).nullish(),
  meta: z.object({ version: z.string().nullish(), lastModified: z.string().nullish() }).nullish(),
});
type User = z.output<typeof user>;

const list = z.object({ totalResults: z.number(), Resources: z.array(user).default([]) });

/** The account as it was when it had been deactivated. */
const kept = z.object({ id: z.string(), version: z.string().optional(), lastModified: z.string().optional() });

export const scimDeactivate = defineConnector({
  name: 'scim-deactivate',
  options,
  account: identifier,
  modes: ['full'],
  beginsOnce: true,
  docs: {
    app: 'An app with SCIM 2.0',
    coverage: 'partial',
    does: 'Finds the user by an exact match of `lookUp`, sets `active` to false (`PATCH /Users/{id}`), and reads the user again to see that it is so. With `reactivate` it sets `active` back to true after `afterMs`, but only a user who was active before, and of whom `meta.version` and `meta.lastModified` are still what they were after the deactivation; anybody else is left as found, also after an attempt that broke off half way. The record has what was deactivated as taken away from then on, and `partial` says what became of it: where the app is away for long, it is activated again when the app is back.',
    ends: ['access', 'sessions', 'refresh_tokens', 'access_tokens'],
    livesOn:
      'Sessions and tokens, where the app lets them outlive the account; SCIM does not say, so `ends` has to. Without `reactivate` the account stays inactive until somebody activates it, which the next run of a provisioning service may do.',
    lingers: 'As long as the app takes to look at `active`.',
    permission: 'Reading and changing users.',
    credential: [
      'Make a SCIM token in the app, one that is not the provisioning service’s own, so that it can be taken back alone.',
    ],
    rateLimit: 'Whatever the app answers 429 to.',
    unknown: [
      'Whether an app ends sessions of an inactive account.',
      'Whether an app gives an account a new version when it is deactivated once more.',
    ],
    sources: [
      'https://www.rfc-editor.org/rfc/rfc7644#section-3.4.2.2',
      'https://www.rfc-editor.org/rfc/rfc7644#section-3.5.2',
      'https://www.rfc-editor.org/rfc/rfc7644#section-3.14',
      'https://www.rfc-editor.org/rfc/rfc7643#section-4.1.1',
    ],
  },

  async revoke(account, options, call) {
    const { lookUp, reactivate, ends, afterMs } = options;
    const app = usersOf(options, call);
    const find = async () => (await app.find(lookUp, account)).map(({ id }) => id);
    return withUserId({ connector: 'scim-deactivate', options, account }, find, async (id) => {
      const before = reactivate ? await app.read(id) : undefined;
      await app.setActive(id, false, before);
      const after = await app.read(id);
      if (isActive(after) === true) {
        throw new ConnectorError('server', 'scim-deactivate: the user is still active after the PATCH');
      }
      const { version, lastModified } = changeOf(after);
      const removed = before ? takenAway(id, account, before, call.attempt) : undefined;
      // Who was inactive already was deactivated by somebody else, or by an attempt that broke off: which, nothing tells.
      if (before && removed && isActive(before) === true && isActive(after) === false && (version || lastModified)) {
        return { pending: { poll: { id, version, lastModified }, afterMs, removed } };
      }
      return inactive(ends, {
        ...(before && { partial: `it is not activated again: ${whyNot(before, call.attempt)}` }),
        ...(isActive(after) === false && { verified: true }),
        ...(removed && { removed }),
      });
    });
  },

  async poll(poll, options, call): Promise<Outcome | Pending> {
    const app = usersOf(options, call);
    const { ends } = options;
    const { id, ...before } = kept.parse(poll);
    const now = await unlessNotFound(app.read(id));
    if (!now) return inactive(ends, { partial: 'it was removed meanwhile' });
    const found = changeOf(now);
    const isUntouched = found.version === before.version && found.lastModified === before.lastModified;
    if (isActive(now) === true) return revoked(ends, { partial: 'it is active again' });
    if (!isUntouched || isActive(now) !== false || !(await unlessNotFound(app.setActive(id, true, now, 'not_found')))) {
      return inactive(ends, { partial: 'it was changed by somebody else meanwhile, and is left as it is' });
    }
    return revoked(ends, { partial: 'it is active again' });
  },

  async check(options, call) {
    const {
      Resources: [one],
    } = await usersOf(options, call).page({ count: '1' });
    const { version, lastModified } = changeOf(one);
    if (options.reactivate && one && !version && !lastModified) {
      const problem =
        'scim-deactivate: users have no meta.version and no meta.lastModified, so nobody would be activated again';
      return { ok: false, problem };
    }
    return { ok: true, detail: 'users can be read; whether they can be changed shows at the first revocation' };
  },
});

/** What somebody may have to give back by hand, where this call or one before it has taken anything away. */
function takenAway(id: string, account: Account, before: User, attempt: number): Outcome['removed'] {
  // The ids of some apps are addresses or names, which are in no record.
  const deactivated = isSame(id, account) || id.includes('@') ? 'the account' : id;
  if (isActive(before) === true) return [{ deactivated }];
  return attempt === 1 ? undefined : [{ deactivated, by: 'an earlier attempt or somebody else' }];
}

function whyNot(before: User, attempt: number): string {
  if (isActive(before) === true) return 'it has no version to tell by';
  if (attempt > 1) return 'it was inactive already, by an earlier attempt or by somebody else';
  return isActive(before) === false ? 'it was inactive before' : 'nothing tells whether it was active';
}

const revoked = (what: readonly What[], more: Partial<Outcome>): Outcome => ({
  state: 'revoked',
  what: [...what],
  ...more,
});

const inactive = (ends: Options['ends'], more: Partial<Outcome>): Outcome =>
  revoked(['access', ...ends], {
    ...(!ends.includes('sessions') && { partial: 'whether its sessions end is up to the app' }),
    ...more,
  });

/** Some apps write it as a word. */
function isActive({ active }: User): boolean | undefined {
  if (typeof active !== 'string') return active ?? undefined;
  return { true: true, false: false }[active.toLowerCase()];
}

const changeOf = (one: User | undefined) => ({
  version: one?.meta?.version ?? undefined,
  lastModified: one?.meta?.lastModified ?? undefined,
});

function isCalled(one: User, lookUp: Options['lookUp'], account: string): boolean {
  if (lookUp === 'externalId') return one.externalId === account; // Its case matters (RFC 7643 §3.1).
  if (lookUp === 'userName') return isSame(one.userName, account);
  return (one.emails ?? []).some(({ value }) => isSame(value, account));
}

function usersOf(options: Options, call: CheckCall) {
  const { url, token, patchOp } = options;
  const exceptions = { 404: saying(/\bscim:api:messages:2\.0:Error\b/, 'not_found', 'refused') };
  const headers = { accept: 'application/scim+json' };
  const api = createApi('scim-deactivate', { url, authorize: bearer(token), headers, exceptions }, call);

  async function page(query: Record<string, string>) {
    return (await api('GET', path`/Users`, { query, answer: list, exceptions: { 404: 'refused' } })).data;
  }

  /** Also where the app makes little of the filter. */
  async function find(lookUp: Options['lookUp'], account: string): Promise<User[]> {
    const attribute = lookUp === 'emails' ? 'emails.value' : lookUp;
    const filter = `${attribute} eq ${JSON.stringify(account)}`;
    const found: User[] = [];
    let startIndex = 1;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const query = { filter, startIndex: String(startIndex), count: String(PAGE_SIZE) };
      const { totalResults, Resources } = await page(query);
      found.push(...Resources.filter((one) => isCalled(one, lookUp, account)));
      startIndex += Resources.length;
      if (Resources.length === 0 || startIndex > totalResults) return found;
    }
    throw new ConnectorError('refused', `scim-deactivate: more than ${MAX_PAGES} pages match the filter`);
  }

  async function read(id: string): Promise<User> {
    return (await api('GET', path`/Users/${id}`, { answer: user })).data;
  }

  /** Not if the user has changed since it was `seen`, where the app can tell (RFC 7644 §3.14): `changed` says so then. */
  async function setActive(id: string, active: boolean, seen?: User, changed: Reason = 'server'): Promise<true> {
    const operation = {
      op: 'replace',
      ...(patchOp === 'path' ? { path: 'active', value: active } : { value: { active } }),
    };
    const { version } = changeOf(seen);
    await api('PATCH', path`/Users/${id}`, {
      headers: { 'content-type': 'application/scim+json', ...(version !== undefined && { 'if-match': version }) },
      json: { schemas: [PATCH_OP], Operations: [operation] },
      exceptions: { 412: changed },
    });
    return true;
  }

  return { page, find, read, setActive };
}
