/** `universal-logout revoke`: logs out everyone, a group, or the people of a file, while single logouts overtake. */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Mode } from '../connectors/connector.js';
import { loadDataKeys } from '../data-key-file.js';
import { tellDataKeys } from '../data-key-use.js';
import { accountsOf } from '../directory/assignment.js';
import { createEnqueue } from '../fanout/enqueue.js';
import { createLanes } from '../fanout/lanes.js';
import { isRedisFailure } from '../redis.js';
import { createValidAfter } from '../valid-after.js';
import { CommandError } from './command-error.js';
import { createProgress, duration, grouped } from './progress.js';
import { reasonOf } from './redis-failure.js';
import { createPace } from './revoke/pace.js';
import { createRuns, type Run, revocationIdOf } from './revoke/runs.js';
import { type Asked, askedFile, askedGroup, openWhom, type Page } from './revoke/whom.js';
import { type Opened, withDirectory } from './users/with-directory.js';

export type RevokeOptions = {
  all?: boolean;
  group?: string;
  file?: string;
  resume?: string;
  tenant: string;
  mode?: string;
  dryRun?: boolean;
  yes?: boolean;
};

/** Adds a revocation for each person. Throws where it was stopped, and where a line of the file names nobody or several. */
export async function revoke(options: RevokeOptions): Promise<void> {
  const mode = checked(options);
  await withDirectory(options.tenant, async (opened) => {
    const { redis, prefix, tenant, config } = opened;
    if (tenant.apps.length === 0) throw new CommandError(`Tenant ${tenant.id} has no apps to log anybody out of.`);
    const retentionMs = config.settings.retention.revocations;
    const runs = createRuns(redis, { prefix, tenant: tenant.id, retentionMs });
    if (options.resume === undefined) {
      const asked = await askedFor(options, opened);
      if (await goesAhead(options, asked, opened)) await carryOut(await runs.begin(asked, mode), runs, opened);
      return;
    }
    const run = await runs.resume(options.resume);
    if (!run) throw new CommandError(`Tenant ${tenant.id} has no bulk revocation ${options.resume}.`);
    if (run.completed) throw new CommandError(`The bulk revocation ${run.id} is complete: nothing is left to do.`);
    await carryOut(run, runs, opened);
  });
}

function checked({ all, group, file, resume, mode = 'full', ...more }: RevokeOptions): Mode {
  if ([all, group, file, resume].filter((one) => one !== undefined).length !== 1) {
    throw new CommandError('Say whom to log out with one of --all, --group, --file or --resume.');
  }
  if (mode !== 'full' && mode !== 'refresh-only')
    throw new CommandError(`--mode is full or refresh-only, not ${mode}.`);
  if (resume !== undefined && (mode !== 'full' || more.dryRun)) {
    throw new CommandError('--resume does what was asked for at first: it takes neither --mode nor --dry-run.');
  }
  return mode;
}

async function askedFor({ group, file }: RevokeOptions, { directory, tenant }: Opened): Promise<Asked> {
  if (group !== undefined) return askedGroup(directory, tenant.id, group);
  return file === undefined ? { all: true } : askedFile(resolve(file));
}

async function goesAhead({ dryRun, yes }: RevokeOptions, asked: Asked, { directory, tenant }: Opened) {
  const { text, pages } = await openWhom(directory, tenant.id, asked);
  const apps = tenant.apps.length === 1 ? '1 app' : `${tenant.apps.length} apps`;
  const what = `${text}, out of ${apps} of tenant ${tenant.id}`;
  if (dryRun) {
    console.log(`Would log out ${what}. Nothing was done.`);
    if ('file' in asked) await tellNamed(asked.file, pages(''));
    return false;
  }
  if (yes) return true;
  if (!process.stdin.isTTY) throw new CommandError(`Nobody is there to ask: --yes logs out ${what}.`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    if (/^y(es)?$/i.test((await terminal.question(`Log out ${what}? (yes or no) `)).trim())) return true;
  } finally {
    terminal.close();
  }
  throw new CommandError('Nobody was logged out.');
}

/** Throws where a line names nobody or several. */
async function tellNamed(file: string, pages: AsyncIterable<Page>): Promise<void> {
  const named = new Set<string>();
  let useless = 0;
  for await (const { users, problems } of pages) {
    for (const { resource } of users) named.add(resource.id);
    useless += problems.size;
    for (const [line, problem] of [...problems].sort(([a], [b]) => a - b)) console.error(`${file}:${line} ${problem}`);
  }
  console.log(`They name ${grouped(named.size)} people.`);
  if (useless > 0) throw new CommandError(`Lines by which nobody would be logged out: ${grouped(useless)}.`);
}

type Runs = ReturnType<typeof createRuns>;

async function carryOut(begun: Run, runs: Runs, opened: Opened): Promise<void> {
  const { directory, tenant, config, redis, prefix } = opened;
  const goOn = `universal-logout revoke --resume ${begun.id}${tenant.id === 'default' ? '' : ` --tenant ${tenant.id}`}`;
  const { total, pages } = await openWhom(directory, tenant.id, begun.asked);
  const progress = createProgress(process.stderr, 'people');
  const dataKeys = await loadDataKeys(config);
  // A rotation of the key has to know of us as of any gateway: this may take hours.
  const keyUse = tellDataKeys(redis, prefix, dataKeys);
  const enqueue = createEnqueue(redis, prefix, dataKeys);
  const validAfter = createValidAfter(redis, { prefix, retentionMs: config.settings.retention.revocations });
  const lanes = createLanes(redis, { prefix, now: Date.now, dataKeys });
  const apps = tenant.apps.map(({ id }) => id);
  const room = createPace({ enqueue, lanes, tenant: tenant.id, apps, say: progress.say });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  const startedAt = Date.now();
  let run = begun;

  console.log(`Bulk revocation ${run.id}; if it ends early: ${goOn}`);
  try {
    for await (const page of pages(run.place)) {
      if (page.users.length > 0) await room(stop.signal);
      if (stop.signal.aborted) break;
      const acceptedAt = Date.now();
      const revocations = page.users.map((user) => ({
        revocationId: revocationIdOf(run.id, user.resource.id),
        ...{ tenant: tenant.id, trust: 'operator', user: user.resource.id, mode: run.mode },
        ...{ via: [config.settings.publicUrl], acceptedAt, bulk: true as const },
        accounts: accountsOf(user, tenant.apps),
      }));
      if (run.mode === 'full') await Promise.all(revocations.map(validAfter.raise));
      await enqueue.addMany(revocations);
      run = await runs.advance(run, page);
      const left = total - begun.walked;
      progress.update(run.added - begun.added, left > 0 ? Math.min(1, (run.walked - begun.walked) / left) : 1);
    }
    if (!stop.signal.aborted) await runs.complete(run);
  } catch (error) {
    if (!isRedisFailure(error)) throw error;
    const sentence = `Stopped after ${grouped(run.added)} people: ${reasonOf(error as Error)}. To go on: ${goOn}`;
    throw new CommandError(sentence, { cause: error });
  } finally {
    progress.done();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
    await keyUse.close();
    await Promise.all([enqueue.close(), lanes.close()]);
  }

  if (stop.signal.aborted) throw new CommandError(`Stopped after ${grouped(run.added)} people. To go on: ${goOn}`);
  console.log(
    `${grouped(run.added)} people are accepted to be logged out, in ${duration((Date.now() - startedAt) / 1_000)}. What becomes of each: GET /api/revocations?tenant=${tenant.id}`,
  );
  const problems = await runs.problems(run.id);
  const file = 'file' in run.asked ? run.asked.file : '';
  for (const [line, problem] of problems) console.error(`${file}:${line} ${problem}`);
  if (problems.length > 0) throw new CommandError(`Lines by which nobody was logged out: ${grouped(problems.length)}.`);
}
