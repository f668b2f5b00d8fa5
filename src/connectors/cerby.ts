/** Removes a person's seats and grants at Cerby, by jobs that are asked about, and looks whether passwords were rotated. */
import { z } from 'zod';
import { email, isSame } from './account.js';
import { parseKey, readEvent } from './cerby/events.js';
import { isUnderWay, later, type Progress } from './cerby/progress.js';
import { doubt, findGrants, followUp, lookAtHidden, lookAtStuck, NO_ACCOUNTS, remove } from './cerby/removal.js';
import { lookForSigns } from './cerby/signs.js';
import { openWorkspace } from './cerby/workspace.js';
import { apiUrl, type Call, ConnectorError, defineConnector, type Outcome, type Pending, secret } from './connector.js';
import { withUserId } from './look-up.js';

const options = z.strictObject({
  url: apiUrl.describe('The workspace: `https://<workspace>.cerby.com`.'),
  apiKey: secret().describe('An API key.'),
  keyOwner: z
    .string()
    .refine(email.test, 'is not an e-mail address')
    .describe('The e-mail address of the user who made the key, as whom it acts, and who is never revoked with it.'),
  protectedUsers: z
    .array(z.string().refine(email.test, 'is not an e-mail address'))
    .default([])
    .describe('E-mail addresses of others who are never revoked here, such as those for emergencies.'),
  does: z
    .enum(['observe', 'deprovision-seats', 'revoke-grants'])
    .default('observe')
    .describe(
      'What is done: `observe` removes nothing. `deprovision-seats` removes the user from integrations, and so from the apps behind them. `revoke-grants`, which is experimental, also removes what accounts are shared with the user directly. Cerby gives none of that back by itself.',
    ),
  integrations: z
    .array(z.string().min(1))
    .optional()
    .describe('Ids of the only integrations that a user may be removed from; without it, all.'),
  webhookKeys: z
    .array(secret(z.string().refine(isKey, 'is neither `ed25519=` and a public key nor `hmac-sha256=` and a secret')))
    .max(4)
    .default([])
    .describe(
      'What the events of a webhook are verified with: `ed25519=` and the public key, or `hmac-sha256=` and the secret. Two while a key is changed.',
    ),
  watchSeconds: z
    .int()
    .min(0)
    .max(3_000)
    .default(600)
    .describe(
      "How long after the revocation was accepted to look for signs of Cerby's own Universal Logout. Keep it below `delivery.pendingFor`.",
    ),
});
type Options = z.output<typeof options>;

function isKey(text: string): boolean {
  try {
    return parseKey(text) !== undefined;
  } catch {
    return false;
  }
}

export const cerby = defineConnector({
  name: 'cerby',
  options,
  account: email,
  modes: ['full'],
  docs: {
    app: 'Cerby',
    coverage: 'observe',
    does: "No public call of Cerby ends a session, rotates a password or starts its Universal Logout: Okta itself has to be set up to call Cerby's. So `observe`, the default, finds the user by e-mail address, exactly, and looks for signs that this has happened: events that Cerby sent, and accounts that are read again until a password is newer than the revocation. `deprovision-seats` first removes the user from integrations (`DELETE …/integrations/{id}/users/{userId}`), each of which is a job that is asked about until it has ended and the membership is gone. `revoke-grants` also removes what accounts are shared with the user directly (`DELETE …/accounts/{id}/users/{userId}`); where the key sees none of the user's accounts, it is refused as a bad key is. What was removed stands in the record, so that it can be put back by hand: ids, applications, roles and entitlements.",
    ends: ['access'],
    livesOn:
      'Sessions in Cerby and in the apps behind it, and passwords that are known, unless the Universal Logout of Cerby ends them; access through teams and collections, and secrets.',
    lingers: 'Until the jobs of Cerby have run, which takes minutes, and for as long as an app lets a session live.',
    permission:
      'Scopes: Read users, Read accounts; with `deprovision-seats` also Read integrations, Write integrations, Read automated jobs and Write automated jobs; with `revoke-grants` also Write accounts. Its user has to be a workspace Admin, and an Owner of every integration and account in question: others are not visible to the key.',
    credential: [
      'Make a user of its own for the gateway, a workspace Admin, and make it an Owner of the integrations and accounts in question.',
      'As that user create an API key in the web app, with the scopes above and a long time to live.',
      'Give its address as `keyOwner`, and run `check`.',
      'For signs at once: in the web app make a webhook that sends `account.credentials.rotated`, `account.credentials.rotation_failed`, `automation.password.rotated` and `automation.universal_logout.completed` to `<publicUrl>/tenants/<tenant>/apps/<app>/events`, and give its key as `webhookKeys`.',
      'Set `delivery.concurrency` to 1 or 2, and leave the Universal Logout of the Cerby app in Okta switched on.',
    ],
    rateLimit:
      'No figures are published; after a 429 without `Retry-After` everything for this workspace waits five minutes, as Cerby asks. At most five calls are made in one go, then a second is waited.',
    unknown: [
      'Whether the Universal Logout of Cerby rotates all passwords that it could: the pages no longer say so.',
      'The form of `GET /users/{id}/accounts` and `GET /accounts/{id}/users`: only an `id` in each resource is read.',
      'Whether the user to be removed from an account stands in the path, as with integrations; any other form is not tried, and afterwards the list of users decides.',
      'How a webhook hands over its key: an HMAC secret is taken as the text that it is, and keys are not fetched.',
      'What the test of a webhook endpoint sends; `automation.universal_logout.completed` is said to be provisional.',
      'What becomes of an API key when its user is logged out or disabled.',
    ],
    sources: [
      'https://developer.cerby.com/',
      'https://help.cerby.com/setup-and-admin/security-governance/universal-logout/enable-okta-universal-logout-for-cerby',
      'https://help.cerby.com/setup-and-admin/security-governance/universal-logout/trigger-cerby-universal-logout',
      'https://help.cerby.com/developer-tools/cerby-webhooks/implement-a-webhook-receiver',
      'https://help.cerby.com/updates-and-releases/cerby-api/2026',
    ],
  },

  async revoke(address, options, call) {
    if ([options.keyOwner, ...options.protectedUsers].some((one) => isSame(one, address))) {
      throw new ConnectorError('refused', 'cerby: not called, since the settings protect this user');
    }
    const workspace = openWorkspace(options, call);
    let found: Awaited<ReturnType<typeof workspace.usersWith>> = [];
    // Looked up each time: an address may have been given to somebody else, and what is removed stays removed.
    return withUserId(
      { connector: 'cerby', options: {}, account: address },
      async () => {
        found = await workspace.usersWith(address);
        return found.map(({ id }) => id);
      },
      async (user) => {
        const guest = found.some(({ attributes }) => attributes.isGuest);
        const progress: Progress = { user, ...(guest && { guest }), attempt: call.attempt, todo: [], grants: [] };
        if (options.does === 'observe') return goOn(progress, options, call);
        for (const { id, attributes } of await workspace.integrations()) {
          if (options.integrations && !options.integrations.includes(id)) continue;
          progress.todo.push({ kind: 'seat', id, application: attributes?.application ?? undefined });
        }
        return later(progress, call, 0);
      },
    );
  },

  async poll(poll, options, call) {
    return goOn(poll as Progress, options, call);
  },

  receive(message, { webhookKeys }, now) {
    return readEvent(
      message,
      webhookKeys.map((key) => key()),
      now,
    );
  },

  async check(options, call) {
    const workspace = openWorkspace(options, call);
    const [owner] = await workspace.usersWith(options.keyOwner);
    if (!owner) return { ok: false, problem: 'cerby: nobody in the workspace has the address of keyOwner' };
    if (owner.attributes.status !== 'live') return { ok: false, problem: 'cerby: the user of keyOwner is not live' };
    if (options.does === 'observe') {
      return {
        ok: true,
        detail: 'users can be read; which accounts are visible to the key shows at the first revocation',
      };
    }
    await workspace.integrations();
    const later = 'whether the key may remove shows at the first revocation';
    if (options.does !== 'revoke-grants') return { ok: true, detail: `users and integrations can be read; ${later}` };
    const accounts = await workspace.accountsOf(owner.id);
    if (!(await workspace.seesOneOf(accounts.map(({ id }) => id)))) {
      return { ok: false, problem: `cerby: the key sees none of the accounts of its own user: ${NO_ACCOUNTS}` };
    }
    return { ok: true, detail: `users, integrations and an account can be read; ${later}` };
  },
});

/** Does the next of what is still to be done: a few looks, or one removal, of which the answer is kept before more. */
async function goOn(before: Progress, options: Options, call: Call): Promise<Outcome | Pending> {
  const { turnedAway, ...rest } = before;
  const progress: Progress = structuredClone(rest);
  const { grants, accounts } = progress;
  // Thrown and not only waited for: everything for this workspace waits then, or its operators hear of the key.
  if (turnedAway && call.attempt === progress.attempt + 1) {
    throw new ConnectorError(turnedAway.reason, turnedAway.message, { retryAfterMs: turnedAway.retryAfterMs });
  }
  const workspace = openWorkspace(options, call);
  const now = call.now().getTime();
  const next = grants.find(({ as }) => as === 'found');
  const lastKnown = progress.attempt + (turnedAway ? 1 : 0);

  if (next && progress.todo.length === 0 && call.attempt > lastKnown + 1) {
    // An attempt that left nothing behind may have got as far as to ask for this one.
    next.asked += 1;
    doubt(next, { reason: 'network', word: 'it is not known whether Cerby was asked' }, now);
  } else if (progress.todo.length > 0) await findGrants(progress, workspace);
  else if (next) await remove(progress, next, workspace, now);
  else if (grants.some(isUnderWay)) await followUp(progress, workspace, now);
  else if (!accounts) {
    const all = await workspace.accountsOf(progress.user);
    progress.accounts = all.map(({ id }) => ({ id }));
    if (options.does === 'revoke-grants') {
      progress.todo = all.map(({ id, attributes }) => ({
        ...{ kind: 'share', id, application: attributes?.application ?? undefined },
      }));
    }
  } else if (grants.some(({ as }) => as === 'stuck')) await lookAtStuck(progress, workspace);
  else if (options.does === 'revoke-grants' && seesNone(progress)) await lookAtHidden(progress, workspace);
  else {
    const until = call.acceptedAt + options.watchSeconds * 1_000;
    const isWhole = (hidden: number) => hidden === 0 || options.does !== 'revoke-grants';
    return lookForSigns({ ...progress, accounts }, { until, isWhole }, workspace, call);
  }

  const isFree = progress.todo.length > 0 || !grants.some(isUnderWay) || grants.some(({ as }) => as === 'found');
  const due = grants.filter(isUnderWay).map(({ at = now }) => at - now);
  return later(progress, call, isFree ? 0 : Math.min(...due));
}

/** Whether the key saw no account; what is to be removed it did see, whatever it sees by now. */
function seesNone({ accounts = [], grants }: Progress): boolean {
  const sawOne = grants.some(({ kind }) => kind === 'share');
  return !sawOne && accounts.length > 0 && accounts.every(({ seen }) => seen === 'hidden');
}
