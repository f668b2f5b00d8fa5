/** The command line as a process of its own, in a folder of its own, with nothing of our environment. */
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { eventually } from './eventually.js';
import { PUBLIC_URL } from './gateway.js';

const MAIN = fileURLToPath(new URL('../../bin/universal-logout.mjs', import.meta.url));
const STARTED_WITHIN_MS = 15_000;

/** An empty folder, or one with a settings file in it, loopback allowed. */
export function createFolder(settings?: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'universal-logout-'));
  if (settings) {
    const all = { publicUrl: PUBLIC_URL, outbound: { allowNetworks: ['127.0.0.0/8'] }, ...settings };
    writeFileSync(join(folder, 'universal-logout.yaml'), stringify(all));
  }
  return folder;
}

export type CommandOptions = { folder: string; env?: Record<string, string>; input?: string };

/** Starts a command; everything it writes is kept. */
export function startCommand(args: string[], { folder, env = {}, input }: CommandOptions) {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { PATH, HOME, NO_COLOR: '1', ...env },
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  // The command may have ended before it read anything.
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return {
    output,
    ended,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** For specs that end early; does nothing where the command has ended. */
    async stop(): Promise<void> {
      child.kill('SIGKILL');
      await ended;
    },
    /** The port that `serve` says it listens on. */
    async listening(): Promise<number> {
      const line = await eventually(
        () => output.stdout.split('\n').find((one) => one.includes('"msg":"listening"')) ?? output,
        (seen) => typeof seen === 'string',
        STARTED_WITHIN_MS,
      );
      return (JSON.parse(line as string) as { port: number }).port;
    },
  };
}

export type RunningCommand = ReturnType<typeof startCommand>;

/** Runs a command to its end. */
export async function runCommand(args: string[], options: CommandOptions) {
  const { output, ended } = startCommand(args, options);
  return { ...(await ended), ...output };
}
