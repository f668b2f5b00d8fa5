/** The packed package: what `npm pack` makes of a checkout, built anew, is whole and runs by itself. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFolder } from './support/command.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACK_MS = 120_000;
// Without the lock file, since the packages are linked and are to stay as they are.
const CHECKOUT = [
  'bin',
  'docs',
  'src',
  'openapi.yaml',
  '.env.example',
  'package.json',
  'setup.mjs',
  'README.md',
].concat(['LICENSE', 'tsconfig.json', 'tsconfig.build.json']);

const { PATH = '', HOME = '' } = process.env;
const env = { PATH, HOME, NO_COLOR: '1', NO_UPDATE_NOTIFIER: '1' };

const filesIn = (folder: string, ending: RegExp) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .toSorted((a, b) => a.localeCompare(b));

function linkPackages(folder: string): string {
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Of a checkout with an old build in it, of which a source is gone since, and with one that was cut off. */
function packed(): string {
  const checkout = linkPackages(createFolder());
  for (const name of CHECKOUT)
    if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(checkout, name), { recursive: true });
  mkdirSync(join(checkout, 'dist', '.build-1'), { recursive: true });
  for (const name of ['main.js', 'gone.js', '.build-1/main.js']) writeFileSync(join(checkout, 'dist', name), '');
  execFileSync('npm', ['pack', '--silent'], { cwd: checkout, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const folder = createFolder();
  execFileSync('tar', ['-xzf', join(checkout, 'universal-logout-0.1.0.tgz'), '-C', folder]);
  return linkPackages(join(folder, 'package'));
}

it(
  'has every source built, nothing else, and runs',
  () => {
    const folder = packed();
    const sources = filesIn(join(ROOT, 'src'), /\.ts$/).filter((name) => !name.endsWith('.d.ts'));
    const built = filesIn(join(folder, 'dist'), /\.js$/).map((name) => name.replace(/\.js$/, '.ts'));
    expect(built).toEqual(sources);
    for (const name of ['docs/operate.md', 'openapi.yaml', '.env.example', 'LICENSE', 'README.md']) {
      expect(existsSync(join(folder, name))).toBe(true);
    }
    const { exports, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    expect(existsSync(join(folder, exports['./session-guard'].types))).toBe(true);

    const run = (command: string, ...args: string[]) =>
      execFileSync(command, args, { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    const guard =
      "const { sessionGuard } = await import('universal-logout/session-guard'); console.log(typeof sessionGuard)";
    expect(run('node', '--input-type=module', '-e', guard)).toBe('function\n');
    expect(run('node', 'bin/universal-logout.mjs', '--version')).toBe(`${version}\n`);
    // That of npm, which the package has too.
    expect(run('npm', 'start', '--silent', '--', '--help')).toContain('receive revocations and carry them out');
  },
  PACK_MS,
);
