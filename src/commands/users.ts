/** `universal-logout users`: fills the directory from a file or the command line, and shows what is in it. */
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { ZodError } from 'zod';
import { type Config, readConfig } from '../config.js';
import { createDirectory, type Directory, NotUnique } from '../directory/directory.js';
import { identifierOf, parseScimUser, type User } from '../directory/user.js';
import { startEmbeddedRedis } from '../embedded-redis.js';
import { connectForWorkers } from '../redis.js';
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
        const { created } = await directory.put(tenant, parseScimUser(JSON.parse(text)));
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
      const { user, created } = await directory.put(
        tenant,
        parseScimUser({
          userName,
          ...(externalId !== undefined && { externalId }),
          emails: email.map((value, index) => ({ value, primary: index === 0 })),
          groups: group.map((display) => ({ display })),
        }),
      );
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
      await directory.find(
        tenant,
        kinds.map((kind) => ({ kind, value: name })),
      )
    ).flat();
    const users = [...new Map(found.map((user) => [user.id, user])).values()];
    if (users.length === 0) throw new CommandError(`No user of tenant ${tenant} is known by that name.`);
    for (const user of users) console.log(describe(user, config, tenant));
  });
}

function describe(user: User, config: Config, tenant: string): string {
  const apps = config.settings.tenants.find(({ id }) => id === tenant)?.apps ?? [];
  const rows = apps.map(({ id, assignedTo, account }) => {
    const assigned = assignedTo === 'everyone' || assignedTo.groups.some((group) => user.groups.includes(group));
    if (!assigned) return `  ${id}: not assigned`;
    return `  ${id}: ${identifierOf(user, account) ?? `no account, since the user has no ${account}`}`;
  });
  return [
    `id          ${user.id}${user.active ? '' : ' (deactivated; can still be logged out)'}`,
    `userName    ${user.userName}`,
    `externalId  ${user.externalId ?? '-'}`,
    `e-mail      ${user.emails.join(', ') || '-'}`,
    `groups      ${user.groups.join(', ') || '-'}`,
    'accounts that a revocation would reach:',
    ...rows,
  ].join('\n');
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
    await act(createDirectory(redis, 'ul'), config);
  } finally {
    redis.disconnect();
    await embedded?.close();
  }
}

function problemWith(error: unknown): string {
  if (error instanceof SyntaxError) return 'is not JSON';
  if (error instanceof NotUnique) return `cannot be added: ${error.message}`;
  if (error instanceof ZodError) {
    return `is not a SCIM User: ${error.issues.map(({ path, message }) => `${path.join('.') || 'resource'}: ${message}`).join('; ')}`;
  }
  throw error;
}
