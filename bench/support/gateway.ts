/** The gateway as its own process, built and started the way `npm start` does it, with settings and users of the script's. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CLIENT, type Okta } from '../../spec/support/okta.js';
import { end, freePort, keep, temporaryDirectory } from './children.js';

/** Whatever the port, so that one JWT is good for every gateway of a script. */
export const AUDIENCE = 'https://logout.example.com/global-token-revocation';
export const PATH = '/global-token-revocation';

/** Good for SCIM of the one tenant. */
export const SCIM_TOKEN = 'a-scim-token-of-the-bench';

export const ADMIN_TOKEN = 'an-admin-token-of-the-bench';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'dist/main.js');
const READY_WITHIN_MS = 60_000;
const KNOCK_EVERY_MS = 15;

export type BenchApp = { url: string; delivery?: object };

export type GatewayOptions = {
  okta: Okta;
  /** Where each app is told, and how; their ids are app-1, app-2, … */
  apps: readonly (string | BenchApp)[];
  /** Without it the gateway starts its embedded one. */
  redisUrl?: string;
  /** REDIS_WAIT_REPLICAS. */
  waitReplicas?: number;
  role?: 'api' | 'worker';
  nodeOptions?: readonly string[];
};

export type GatewayProcess = Awaited<ReturnType<typeof createGateway>>;

/** Builds what is out of date. Type errors do not matter to a measurement. */
export function build(): void {
  const env = { ...environment(), npm_lifecycle_event: 'test' };
  execFileSync(process.execPath, ['setup.mjs'], { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** A gateway that can be started, killed and started again on the same port and data. */
export async function createGateway(options: GatewayOptions) {
  const { okta, apps, redisUrl, waitReplicas = 0, role, nodeOptions = [] } = options;
  const dir = temporaryDirectory();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // JSON is YAML.
  writeFileSync(join(dir, 'universal-logout.yaml'), JSON.stringify(settings(okta, apps)));
  const env = {
    ...environment(),
    PORT: String(port),
    ...(redisUrl && { REDIS_URL: redisUrl }),
    REDIS_WAIT_REPLICAS: String(waitReplicas),
  };
  const logFile = join(dir, 'gateway.log');
  let child: ChildProcess;
  let crashes = 0;

  async function start(): Promise<void> {
    const log = openSync(logFile, 'a');
    const args = [...nodeOptions, MAIN, 'serve', ...(role ? ['--role', role] : [])];
    child = keep(spawn(process.execPath, args, { cwd: dir, env, stdio: ['ignore', log, log] }));
    closeSync(log);
    child.once('exit', (code, signal) => {
      if (signal === null && code !== 0) crashes += 1;
    });
    const deadline = Date.now() + READY_WITHIN_MS;
    while (!(await isReady(url))) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error('the gateway ended at once');
      if (Date.now() > deadline) throw new Error('the gateway does not get ready');
      await sleep(KNOCK_EVERY_MS);
    }
  }

  return {
    url,
    logFile,
    start,
    pid: () => child.pid,
    /** How often it has ended by itself. */
    crashes: () => crashes,
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child),
    /** A command in the gateway's own environment; what it says goes to standard error. */
    command: (args: readonly string[]): ChildProcess =>
      keep(spawn(process.execPath, [MAIN, ...args], { cwd: dir, env, stdio: ['ignore', 2, 2] })),
    /** Through the command that operators use, in the gateway's own environment. */
    async importUsers(count: number): Promise<void> {
      const file = join(dir, 'users.jsonl');
      writeFileSync(file, Array.from({ length: count }, (_, index) => `${JSON.stringify(scimUser(index))}\n`).join(''));
      await promisify(execFile)(process.execPath, [MAIN, 'users', 'import', file], { cwd: dir, env });
    },
  };
}

/** The address of the user of this number. */
export const emailOf = (index: number) => `user-${index}@example.com`;

function scimUser(index: number): object {
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    userName: emailOf(index),
    externalId: `00u${index}`,
    displayName: `User ${index}`,
    active: true,
    emails: [{ value: emailOf(index), primary: true }],
  };
}

function settings(okta: Okta, apps: readonly (string | BenchApp)[]): object {
  return {
    publicUrl: new URL(AUDIENCE).origin,
    outbound: { allowNetworks: ['127.0.0.0/8'] },
    limits: { refusedPerMinute: 1_000_000, acceptedPerMinute: 10_000_000 },
    tenants: [
      {
        id: 'default',
        scim: { tokens: [SCIM_TOKEN] },
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        apps: apps.map((app, index) => {
          const { url, delivery = {} } = typeof app === 'string' ? { url: app } : app;
          return { id: `app-${index + 1}`, connector: 'webhook', options: { url, secret: SECRET }, delivery };
        }),
      },
    ],
  };
}

/** Nothing of this machine's own settings reaches the gateway; operators' routes are open to ADMIN_TOKEN. */
function environment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ADMIN_TOKEN };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}
