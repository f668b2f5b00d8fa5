/** Each app: whether its connector gets in, for whom it is, and what waits for it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CheckCall } from '../../connectors/connector.js';
import { registry } from '../../connectors/registry.js';
import { isAssigned } from '../../directory/assignment.js';
import type { Directory } from '../../directory/directory.js';
import { identifierOf, type User } from '../../directory/user.js';
import { appQueue } from '../../fanout/job.js';
import type { Lanes } from '../../fanout/lanes.js';
import { type Outbound, OutboundError } from '../../outbound/outbound.js';
import type { RedisClient } from '../../redis.js';
import type { AppSettings } from '../../settings.js';
import type { People } from './directory.js';
import { counted, type Finding, notChecked, ok, problem, warning } from './finding.js';
import { failuresIn } from './queues.js';

const CHECK_WITHIN_MS = 10_000;
/** What it takes to say so. */
const GRACE_MS = 500;
const LOOKED_AT = 100;

export type AppCheckContext = Omit<CheckCall, 'signal'> & Pick<Outbound, 'reach'>;

/** Ends in time, whatever the connector does. */
export async function checkConnector(tenant: string, app: AppSettings, context: AppCheckContext): Promise<Finding> {
  const check = `app ${tenant}/${app.id}`;
  const connector = registry.find(({ name }) => name === app.connector);
  if (!connector) throw new TypeError(`no connector is called ${app.connector}`);
  const withinMs = Math.min(CHECK_WITHIN_MS, app.delivery.timeoutMs);
  const over = new AbortController();
  const late = delay(withinMs + GRACE_MS, undefined, { signal: over.signal }).catch(() => {});
  const asked = connector.check(app.options, { ...context, signal: AbortSignal.timeout(withinMs) });
  const answer = await Promise.race([asked, late]).finally(() => over.abort());
  if (answer === undefined) return problem(check, `did not answer within ${withinMs} ms`, 'is the app up?');
  if (answer.ok && answer.unasked) return await checkAddress(check, app, answer.detail, context);
  if (answer.ok) return ok(check, `${app.connector}: ${answer.detail}`);
  return problem(
    check,
    answer.problem,
    `\`universal-logout connectors try ${app.id} --tenant ${tenant}\` shows each call`,
  );
}

/** All that can be said of an app that cannot be asked anything. */
async function checkAddress(
  check: string,
  { connector, options }: AppSettings,
  detail: string,
  { reach }: AppCheckContext,
): Promise<Finding> {
  const { url } = options as { url?: unknown };
  if (typeof url !== 'string') return notChecked(check, `${connector}: ${detail}`);
  try {
    await reach(url);
    return notChecked(check, `${connector}: ${detail}; somebody listens at its address`);
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    return problem(check, `${connector}: ${error.message}`, 'is the app up? look at url in its options');
  }
}

/** Whether anybody is assigned, and has an account by the identifier that the app knows people by. */
export async function checkAssigned(
  tenant: string,
  { id, assignedTo, account }: AppSettings,
  { users, sample }: People,
  directory: Directory,
): Promise<Finding> {
  const check = `assigned ${tenant}/${id}`;
  if (users === 0) return notChecked(check, 'nobody is in the directory');
  const named = assignedTo === 'everyone' ? [] : (assignedTo.groups ?? []);
  const counts = await Promise.all(
    named.map(async (name) => {
      const group = await directory.groups.named(tenant, name);
      if (!group) return { name };
      const some = await directory.groups.someMembers(tenant, group.id, LOOKED_AT);
      return { name, some, members: await directory.groups.memberCount(tenant, group.id) };
    }),
  );
  const missing = counts.filter(({ members }) => members === undefined).map(({ name }) => name);
  if (missing.length > 0) {
    const what = `the directory has no group ${missing.join(', ')}`;
    const todo = 'push it (Push Groups at Okta), or mend assignedTo';
    const others = missing.length < named.length || Object.keys(assignedTo).length > 1;
    return others ? warning(check, what, todo) : problem(check, `${what}: a revocation skips this app`, todo);
  }
  const empty = counts.filter(({ members }) => members === 0).map(({ name }) => name);
  if (empty.length > 0)
    return warning(check, `nobody is in ${empty.join(', ')}`, 'push its members, or mend assignedTo');
  const byName = assignedTo === 'everyone' ? [] : await usersNamed(tenant, assignedTo.users ?? [], directory);
  const ids = [...new Set(counts.flatMap(({ some = [] }) => some))];
  const lookups = ids.map((value) => ({ kind: 'id' as const, value }));
  const members = lookups.length > 0 ? (await directory.users.find(tenant, lookups)).flat() : [];
  const all = new Map([...sample, ...byName, ...members].map((user) => [user.resource.id, user]));
  const assigned = [...all.values()].filter((user) => isAssigned(user, assignedTo));
  const looked = `of ${counted(all.size, 'user')} looked at`;
  if (assigned.length === 0) {
    return warning(check, `none ${looked} is assigned`, 'mend assignedTo; see `users show NAME --explain`');
  }
  const accounts = assigned.filter(({ resource }) => identifierOf(resource, account) !== undefined).length;
  if (accounts === 0) {
    const what = `none of ${assigned.length} who are assigned has ${account}, by which it knows its users`;
    const todo = 'provision it, or mend account';
    const onlyGroups = assignedTo !== 'everyone' && !assignedTo.users && !assignedTo.attribute;
    const isAll = sample.length >= users || (onlyGroups && counts.every(({ members = 0 }) => members <= LOOKED_AT));
    if (!isAll) return warning(check, `${what}, of those looked at: a revocation skips this app for them`, todo);
    return problem(check, `${what}: a revocation skips this app`, todo);
  }
  return ok(check, `${assigned.length} ${looked} assigned, ${accounts} with ${account}`);
}

async function usersNamed(tenant: string, names: readonly string[], { users }: Directory): Promise<User[]> {
  const some = names.slice(0, LOOKED_AT);
  const lookups = (['userName', 'externalId'] as const).flatMap((kind) => some.map((value) => ({ kind, value })));
  return lookups.length > 0 ? (await users.find(tenant, lookups)).flat() : [];
}

/** Whether it is paused or held, and what failed or waits too long. */
export async function checkLane(
  { tenant, app, overdueAfterMs }: { tenant: string; app: string; overdueAfterMs: number },
  { lanes, redis, prefix }: { lanes: Lanes; redis: RedisClient; prefix: string },
): Promise<Finding> {
  const check = `queue ${tenant}/${app}`;
  const { state, why, waiting, retrying, failed, since, oldestAcceptedAt } = await lanes.read({ tenant, app });
  const reasons = await failuresIn({ redis, prefix, name: appQueue(tenant, app) });
  const path = `/api/apps/${tenant}/${app}`;
  const todo = `mend that, then POST ${path}/retry`;
  const jobs = `${counted(waiting + retrying, 'call')} waiting`;
  const from = since === undefined ? '' : ` since ${new Date(since).toISOString().slice(0, 16)}Z`;
  if (state === 'held') {
    const last = reasons.retrying ?? reasons.failed;
    const reason = why === 'auth' ? 'the app refuses our credentials' : 'most calls failed';
    return problem(check, `held${from}: ${reason}${last === undefined ? '' : ` (${last})`}; ${jobs}`, todo);
  }
  const paused = `paused by an operator${from}`;
  if (failed > 0) {
    const what = `${counted(failed, 'call')} failed for good, the last one so: ${reasons.failed}; ${jobs}`;
    return problem(check, state === 'paused' ? `${paused}; ${what}` : what, todo);
  }
  if (state === 'paused') return warning(check, `${paused}; ${jobs}`, `POST ${path}/resume`);
  if (oldestAcceptedAt !== undefined && Date.now() - oldestAcceptedAt > overdueAfterMs) {
    const minutes = Math.round((Date.now() - oldestAcceptedAt) / 60_000);
    return warning(
      check,
      `${jobs}, the first for ${minutes} min${reasons.retrying === undefined ? '' : ` (${reasons.retrying})`}`,
      'GET /api/revocations says why; is a worker running?',
    );
  }
  return ok(check, `moving; ${jobs}`);
}
