/** `universal-logout users add`: one user from the command line. */
import { CommandError } from '../command-error.js';
import { problemWith, putResource } from './put.js';
import { withDirectory } from './with-directory.js';

export type AddOptions = { userName: string; email?: string[]; externalId?: string; group?: string[]; tenant: string };

export async function addUser({ userName, email = [], externalId, group, tenant }: AddOptions): Promise<void> {
  await withDirectory(tenant, async ({ directory }) => {
    try {
      const { user, created } = await putResource(directory, tenant, {
        userName,
        ...(externalId !== undefined && { externalId }),
        emails: email.map((value, index) => ({ value, primary: index === 0 })),
        ...(group && { groups: group.map((display) => ({ display })) }),
      });
      console.log(`${created ? 'Added' : 'Replaced'} user ${user.id} in tenant ${tenant}.`);
    } catch (error) {
      const problem = problemWith(error);
      if (problem === undefined) throw error;
      throw new CommandError(`The user ${problem}.`.replace(/\.\.$/, '.'), { cause: error });
    }
  });
}
