/** `universal-logout connectors try`: checks an app's settings and, asked to, revokes one account, each call shown as it goes. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pc from 'picocolors';
import { createAudit } from '../../audit.js';
import { type Call, type Connector, ConnectorError, type Outcome } from '../../connectors/connector.js';
import { registry } from '../../connectors/registry.js';
import { isAssigned } from '../../directory/assignment.js';
import { matchOf, meant } from '../../directory/meant.js';
import { identifierKinds, identifierOf, type User } from '../../directory/user.js';
import type { Lookup } from '../../directory/users.js';
import { createEvidenceStore } from '../../fanout/evidence.js';
import { createOutbound } from '../../outbound/outbound.js';
import { loadSigningKeys } from '../../outbound/signing-keys.js';
import type { AppSettings, TenantSettings } from '../../settings.js';
import { CommandError } from '../command-error.js';
import { type Opened, withDirectory } from '../users/with-directory.js';

export type TryOptions = { tenant: string; user?: string; yes?: boolean };

export async function tryConnector(name: string, { tenant: tenantId, user: userName, yes }: TryOptions): Promise<void> {
  if (yes && userName === undefined) throw new CommandError('--yes revokes for real: say for whom with --user.');
  await withDirectory(tenantId, async (opened) => {
    const { config, tenant } = opened;
    const app = findApp(name, tenant);
    const user = userName === undefined ? undefined : await findUser(userName, opened);
    const outbound = createOutbound(config.settings.outbound);
    try {
      await tryApp(app, user, yes === true, {
        ...opened,
        call: {
          ...{ publicUrl: config.settings.publicUrl, now: () => new Date(), send: outbound.send },
          signingKeys: await loadSigningKeys(join(config.dataDir, 'signing-keys.json')),
          onRequest: ({ operation, answer, ms }) => {
            const good = typeof answer === 'number' && answer < 300;
            const what = operation.slice(operation.indexOf(': ') + 2);
            console.log(`  ${what.padEnd(60)} ${good ? pc.green(answer) : pc.red(answer)}  ${pc.dim(`${ms} ms`)}`);
          },
        },
      });
    } finally {
      await outbound.close();
    }
  });
}

type Context = Opened & { call: Pick<Call, 'publicUrl' | 'now' | 'send' | 'signingKeys'> & Pick<Call, 'onRequest'> };

async function tryApp(app: AppSettings, user: User | undefined, yes: boolean, context: Context) {
  const { call, tenant, redis, prefix } = context;
  const connector = registry.find(({ name }) => name === app.connector);
  if (!connector) throw new TypeError(`no connector is called ${app.connector}`);
  const { timeoutMs } = app.delivery;

  console.log(`Check of ${pc.bold(app.id)} (${connector.name}):`);
  const check = await connector.check(app.options, { ...call, signal: AbortSignal.timeout(timeoutMs) });
  if (!check.ok) throw new CommandError(`Not good: ${check.problem}`);
  console.log(`${pc.green('Good')}: ${check.detail}.`);
  if (!user) return;

  const account = identifierOf(user.resource, app.account);
  if (account === undefined) throw new CommandError(`The user has no ${app.account}, so a revocation skips ${app.id}.`);
  if (!isAssigned(user, app.assignedTo)) console.log(`A revocation skips ${app.id}: it is not assigned to this user.`);
  if (!yes) {
    console.log(`With --yes the account ${account} is now revoked for real.`);
    return;
  }

  console.log(`Revoking ${account}:`);
  const startedAt = performance.now();
  const acceptedAt = Date.now();
  const id = `try_${acceptedAt}`;
  const audit = createAudit(redis, { prefix, tenants: [tenant.id] });
  const entry = { tenant: tenant.id, trust: 'operator', user: user.resource.id, app: app.id, revocationId: id };
  const reported = createEvidenceStore(redis, prefix);
  let attempt = 0;
  const outcome = await revokeToTheEnd(connector, account, app, () => ({
    ...call,
    ...{ revocationId: id, idempotencyKey: `${id}_${app.id}`, tenant: tenant.id, app: app.id, mode: app.mode },
    ...{ via: [call.publicUrl], acceptedAt, attempt: ++attempt, signal: AbortSignal.timeout(timeoutMs) },
    evidence: (abouts) => reported.read({ tenant: tenant.id, app: app.id }, abouts),
  })).catch(async (error: unknown) => {
    if (!(error instanceof ConnectorError)) throw error;
    // Part of it may have been done.
    await audit.record({ event: 'attempt.failed', ...entry, reason: error.reason });
    const again = error.retryable ? 'a revocation would try it again' : 'a revocation would not try it again';
    throw new CommandError(`Failed (${error.reason}; ${again}): ${error.message}`);
  });
  await audit.record({ event: 'account.revoked', ...entry, state: outcome.state });
  console.log(`${pc.bold(outcome.state)} after ${Math.round(performance.now() - startedAt)} ms: ${sentence(outcome)}`);
}

async function revokeToTheEnd(
  { revoke, poll }: Connector<unknown>,
  account: string,
  { options, delivery }: AppSettings,
  call: () => Call,
): Promise<Outcome> {
  const until = performance.now() + delivery.pendingFor;
  let answer = await revoke(account, options, call());
  while ('pending' in answer) {
    if (!poll || performance.now() > until) {
      throw new ConnectorError('timeout', 'the app has begun, and has not finished in time');
    }
    console.log(pc.dim(`  the app has begun, and is asked again in ${answer.pending.afterMs / 1000} s`));
    await sleep(answer.pending.afterMs);
    answer = await poll(answer.pending.poll, options, call());
  }
  return answer;
}

function sentence({ state, what, partial, verified, removed }: Outcome): string {
  if (state === 'none') {
    return `the app had nothing to revoke, or does not know the account${partial ? `; ${partial}` : ''}.`;
  }
  const ended = what.length === 0 ? 'nothing' : what.join(', ').replaceAll('_', ' ');
  const parts = [state === 'accepted' ? `the app will end ${ended}` : `${ended} ended`];
  if (verified) parts.push('looked again, and none was left');
  if (partial) parts.push(partial);
  if (removed) parts.push(`taken away: ${JSON.stringify(removed)}`);
  return `${parts.join('; ')}.`;
}

/** By its id, or by its connector where the tenant has one such app. */
function findApp(name: string, { id, apps }: TenantSettings): AppSettings {
  const byConnector = apps.filter(({ connector }) => connector === name);
  const found = apps.find((app) => app.id === name) ?? (byConnector.length === 1 ? byConnector[0] : undefined);
  if (found) return found;
  const known = apps.map((app) => `${app.id} (${app.connector})`).join(', ') || 'none';
  throw new CommandError(`Tenant ${id} has no app ${name}. It has: ${known}.`);
}

async function findUser(name: string, { directory, tenant }: Opened): Promise<User> {
  const lookups = identifierKinds.map((kind) => ({ kind, value: name }));
  const found = await directory.users.findWithDeleted(tenant.id, lookups);
  const whom = meant(found.map((one, index) => [matchOf(lookups[index] as Lookup, one)]));
  if ('user' in whom) return whom.user;
  throw new CommandError(
    whom.refused === 'unknown_user'
      ? `No user of tenant ${tenant.id} is known by that name: \`users add\` adds one.`
      : 'Several users are known by that name: use the id.',
  );
}
