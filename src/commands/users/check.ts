/** `universal-logout users check`: every disagreement in a tenant's directory, found without changing anything. */
import { checkDirectory } from '../../directory/check.js';
import { CommandError } from '../command-error.js';
import { createProgress, grouped } from '../progress.js';
import { withDirectory } from './with-directory.js';

/** Throws where there is a disagreement. */
export async function checkUsers({ tenant }: { tenant: string }): Promise<void> {
  await withDirectory(tenant, async ({ directory, redis, prefix }) => {
    const progress = createProgress(process.stderr, 'entries');
    let checked = 0;
    let found = 0;
    const onChecked = (count: number) => {
      checked += count;
      progress.update(checked);
    };
    for await (const { problem } of checkDirectory({ redis, prefix, tenant, onChecked })) {
      found++;
      progress.done();
      console.log(problem);
    }
    progress.done();
    const [users, groups] = await Promise.all([directory.users.count(tenant), directory.groups.count(tenant)]);
    const scope = `tenant ${tenant} (users: ${grouped(users)}, groups: ${grouped(groups)}, entries: ${grouped(checked)})`;
    if (found > 0) throw new CommandError(`Disagreements in ${scope}: ${grouped(found)}.`);
    console.log(`Nothing disagrees in ${scope}.`);
  });
}
