/** `universal-logout users import`: fills the directory from a file of any length. */
import { canonical } from '../../directory/user.js';
import { NotUnique } from '../../directory/users.js';
import { isRedisFailure } from '../../redis.js';
import { Unavailable } from '../../request-error.js';
import { isObject } from '../../scim/schemas.js';
import { CommandError } from '../command-error.js';
import { createProgress, duration, grouped } from '../progress.js';
import { reasonOf } from '../redis-failure.js';
import { openDeactivation } from './deactivation.js';
import type { Entry } from './okta-csv.js';
import { formats, openPeopleFile } from './people-file.js';
import { problemWith, putResource } from './put.js';
import { createTurns, type Earlier } from './turns.js';
import { withDirectory } from './with-directory.js';

const IN_FLIGHT = 200;

export type ImportOptions = { tenant: string; format?: string };

/** Every good line is imported; every bad one is reported with its number. Throws where there was a bad one. */
export async function importUsers(file: string, { tenant, format }: ImportOptions): Promise<void> {
  const wanted = formats.find((one) => one === format);
  if (format !== undefined && !wanted) throw new CommandError(`--format is ${formats.join(' or ')}, not ${format}.`);
  const people = await openPeopleFile(file, wanted);
  const progress = createProgress(process.stderr, 'lines');
  const startedAt = Date.now();
  const counts = { added: 0, replaced: 0, bad: 0 };

  await withDirectory(tenant, async (opened) => {
    const { directory } = opened;
    const deactivation = await openDeactivation(opened);
    const turns = createTurns(IN_FLIGHT);
    let reached = 0;

    function report(line: number, problem: string): void {
      counts.bad++;
      progress.say(`${file}:${line} ${problem}`);
    }

    async function importEntry(entry: Entry, earlier: Earlier): Promise<void> {
      if ('problem' in entry) return report(entry.line, entry.problem);
      const put = () => putResource(directory, tenant, entry.resource, deactivation.onDeactivate);
      try {
        const { created } = await put().catch(async (error: unknown) => {
          if (!(error instanceof NotUnique)) throw error;
          // An earlier line that is still under way may be about to give the identifier up.
          await earlier();
          return put();
        });
        counts[created ? 'added' : 'replaced']++;
      } catch (error) {
        const problem = problemWith(error);
        if (problem === undefined) throw error;
        report(entry.line, problem);
      }
    }

    try {
      for await (const entry of people.entries) {
        reached = entry.line;
        await turns.take('problem' in entry ? [] : namesOf(entry.resource), (earlier) => importEntry(entry, earlier));
        progress.update(entry.line, people.size && people.bytesRead() / people.size);
      }
      await turns.finish();
    } catch (error) {
      progress.done();
      if (!(error instanceof Unavailable) && !isRedisFailure(error)) throw error;
      throw new CommandError(
        `${file}:${reached} The import stopped near this line: ${reasonOf(error as Error)}. ${counts.added + counts.replaced} users are in; import the file again, which replaces what is there by the same.`,
        { cause: error },
      );
    } finally {
      await deactivation.close();
    }
  });

  progress.done();
  const seconds = (Date.now() - startedAt) / 1_000;
  console.log(
    `${grouped(counts.added)} users added, ${grouped(counts.replaced)} replaced, ${grouped(counts.bad)} bad lines in tenant ${tenant}, in ${duration(seconds)}.`,
  );
  if (counts.bad > 0) throw new CommandError(`Bad lines, none of which was imported: ${grouped(counts.bad)}.`);
}

/** Lines that have one of these in common take effect in the file's order. */
function namesOf(resource: unknown): string[] {
  if (!isObject(resource)) return [];
  const { userName, externalId } = resource;
  return [
    ...(typeof userName === 'string' ? [`userName ${canonical('userName', userName)}`] : []),
    ...(typeof externalId === 'string' ? [`externalId ${externalId}`] : []),
  ];
}
