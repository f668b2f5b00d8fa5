/** `universal-logout users`: fills the directory from a file or the command line, and shows what is in it. */
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Config, readConfig } from '../config.js';
import { isAssigned } from '../directory/assignment.js';
import { createDirectory, type Directory } from '../directory/directory.js';
import { emailsOf, identifierOf, type User } from '../directory/user.js';
import { NotUnique } from '../directory/users.js';
import { startEmbeddedRedis } from '../embedded-redis.js';
import { connectForWorkers } from '../redis.js';
import { isObject, readUser } from '../scim/schemas.js';
import { ScimError } from '../scim/scim-error.js';
import { CommandError } from './command-error.js';

const IN_FLIGHT = 100;

/** Every good line is imported; every bad one is reported with its number. Throws where there was a bad one. */
export async function importUsers(file: string, { tenant }: { tenant: string }): Promise<void> {
  if (file !== '-') {
    await access(file).catch(() => {
      throw new CommandError(`${file} cannot be read.`);
    });
  }
  await withDirectory(tenant, async (directory) => {
    const counts = { created: 0, replaced: 0 };
    const problems: string[] = [];
    const underway = new Set<Promise<void>>();
    let line = 0;

    async function importLine(text: string, number: number): Promise<void> {
      try {
        const { created } = await putResource(directory, tenant, JSON.parse(text));
        counts[created ? 'created' : 'replaced']++;
      } catch (error) {
        problems.push(`${file}:${number} ${problemWith(error)}`);
      }
    }

    for await (const text of createInterface({ input: file === '-' ? process.stdin : createReadStream(file) })) {
      line++;
      if (text.trim() === '') continue;
      const one = importLine(text, line).finally(() => underway.delete(one));
      underway.add(one);
      if (underway.size >= IN_FLIGHT) await Promise.race(underway);
      if (line % 1000 === 0 && process.stderr.isTTY) process.stderr.write(`\r${line} lines`);
    }
    await Promise.all(underway);
    if (line >= 1000 && process.stderr.isTTY) process.stderr.write('\r');
    console.log(
      `${counts.created} users added, ${counts.replaced} replaced, ${problems.length} bad lines in tenant ${tenant}.`,
    );
    if (problems.length > 0) throw new CommandError(problems.join('\n'));
  });
}

export async function addUser(options: {
  userName: string;
  email?: string[];
  externalId?: string;
  group?: string[];
  tenant: string;
}): Promise<void> {
  const { userName, email = [], externalId, group = [], tenant } = options;
  await withDirectory(tenant, async (directory) => {
    try {
      const { user, created } = await putResource(directory, tenant, {
        userName,
        ...(externalId !== undefined && { externalId }),
        emails: email.map((value, index) => ({ value, primary: index === 0 })),
        groups: group.map((display) => ({ display })),
      });
      console.log(`${created ? 'Added' : 'Replaced'} user ${user.id} in tenant ${tenant}.`);
    } catch (error) {
      throw new CommandError(`The user ${problemWith(error)}`);
    }
  });
}

export async function showUser(name: string, { tenant }: { tenant: string }): Promise<void> {
  await withDirectory(tenant, async (directory, config) => {
    const kinds = ['id', 'externalId', 'userName', 'email'] as const;
    const found = (
      await directory.users.find(
        tenant,
        kinds.map((kind) => ({ kind, value: name })),
      )
    ).flat();
    const users = [...new Map(found.map((user) => [user.resource.id, user])).values()];
    if (users.length === 0) throw new CommandError(`No user of tenant ${tenant} is known by that name.`);
    for (const user of users) console.log(describe(user, config, tenant));
  });
}

function describe(user: User, config: Config, tenant: string): string {
  const { resource, groups } = user;
  const apps = config.settings.tenants.find(({ id }) => id === tenant)?.apps ?? [];
  const rows = apps.map(({ id, assignedTo, account }) => {
    if (!isAssigned(user, assignedTo)) return `  ${id}: not assigned`;
    return `  ${id}: ${identifierOf(resource, account) ?? `no account, since the user has no ${account}`}`;
  });
  const state = resource.deletedAt ? ' (deleted' : resource.active === false ? ' (deactivated' : '';
  return [
    `id          ${resource.id}${state && `${state}; can still be logged out)`}`,
    `userName    ${resource.userName}`,
    `externalId  ${resource.externalId ?? '-'}`,
    `e-mail      ${emailsOf(resource).join(', ') || '-'}`,
    `groups      ${groups.join(', ') || '-'}`,
    'accounts that a revocation would reach:',
    ...rows,
  ].join('\n');
}

/** A SCIM User resource; the groups that it names (`display`, else `value`) are made where they are missing. */
async function putResource(directory: Directory, tenant: string, resource: unknown) {
  const groups = isObject(resource) && Array.isArray(resource.groups) ? resource.groups : undefined;
  const names = groups?.flatMap((group: unknown) => {
    const name = isObject(group) ? (group.display ?? group.value) : undefined;
    return typeof name === 'string' && name.trim() !== '' ? name : [];
  });
  return directory.put(tenant, readUser(resource), names);
}

async function withDirectory(
  tenant: string,
  act: (directory: Directory, config: Config) => Promise<void>,
): Promise<void> {
  const config = readConfig();
  if (!config.settings.tenants.some(({ id }) => id === tenant)) {
    const known = config.settings.tenants.map(({ id }) => id).join(', ');
    throw new CommandError(`There is no tenant ${tenant} in ${config.configFile}: it has ${known}.`);
  }
  const embedded = config.redisUrl ? undefined : await startEmbeddedRedis({ dataDir: config.dataDir });
  const redis = connectForWorkers(embedded ?? { url: config.redisUrl as string });
  redis.on('error', (error) => console.error(`Redis: ${error.message}; trying again`));
  try {
    await act(createDirectory(redis, 'ul', { graceMs: config.settings.assignmentGrace, now: Date.now }), config);
  } finally {
    redis.disconnect();
    await embedded?.close();
  }
}

function problemWith(error: unknown): string {
  if (error instanceof SyntaxError) return 'is not JSON';
  if (error instanceof NotUnique) return `cannot be added: ${error.message}`;
  if (error instanceof ScimError) return `is not a SCIM User: ${error.message}`;
  throw error;
}
