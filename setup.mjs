/** Sets up what `npm run demo`, `npm test`, `npm start` and `npm pack` need and is missing: npm packages, the build, and Redis. Silent when nothing is. */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const env = process.env;
const forTests = env.npm_lifecycle_event === 'test';
const forPackage = env.npm_lifecycle_event === 'prepack'; // What others install is built anew, whatever is there.
const withOwnRedis = forTests || env.npm_lifecycle_event === 'demo';
const inProduction = process.argv.includes('--quiet'); // npm start, where development packages may be left out.
const typescript = join(root, 'node_modules/typescript/bin/tsc');
const COMMAND_TIMEOUT_MS = 10 * 60_000;

// In the order in which they are looked for: brew last, because it is also found beside a system's own.
const packageManagers = [
  {
    byHand: 'apt-get install redis-server',
    refresh: ['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'update'],
    install: ['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends'],
    packages: ['redis-server'],
    service: 'redis-server',
  },
  { byHand: 'dnf install valkey', install: ['dnf', '-y', 'install'], packages: ['valkey', 'redis'] },
  { byHand: 'yum install redis', install: ['yum', '-y', 'install'], packages: ['redis', 'valkey'] },
  { byHand: 'apk add redis', install: ['apk', 'add', '--no-cache'], packages: ['redis', 'valkey'] },
  { byHand: 'pacman -S valkey', install: ['pacman', '-Sy', '--noconfirm', '--needed'], packages: ['valkey', 'redis'] },
  {
    byHand: 'zypper install redis',
    install: ['zypper', '--non-interactive', 'install'],
    packages: ['redis', 'valkey'],
  },
  { byHand: 'brew install redis', install: ['brew', 'install'], packages: ['redis', 'valkey'] },
];

requireNode();
installPackages();
build();
if (!forPackage) installRedis();

function requireNode() {
  const { engines } = readJson('package.json');
  const [major, minor] = engines.node.match(/\d+/g).map(Number);
  const [ourMajor, ourMinor] = process.versions.node.split('.').map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  giveUp(
    `This needs Node ${engines.node}, and this is Node ${process.versions.node}: install a newer one, for example from https://nodejs.org.`,
  );
}

function installPackages() {
  if (!existsSync(join(root, 'package-lock.json')) || packagesAreThere()) return;
  const include = inProduction ? [] : ['--include=dev']; // NODE_ENV=production would leave them out.
  const args = ['--ignore-scripts', '--no-audit', '--no-fund', ...include];
  // npm names itself where it runs us; yarn and pnpm do so too.
  const npm = env.npm_execpath?.endsWith('npm-cli.js') ? [process.execPath, env.npm_execpath] : ['npm'];
  step('npm packages', () => {
    const { ok, output } = run([...npm, 'ci', ...args], { mayFail: true });
    if (ok) return '';
    if (!output.includes('EUSAGE')) throw new Error(`${output}"npm ci" failed.`);
    // npm ci wants every platform's optional packages in the lock file, npm install only keeps to what is in it.
    run([...npm, 'install', '--no-save', ...args]);
    return '(npm install, because npm ci finds the lock file incomplete)';
  });
}

/** Compares what npm noted about its last install with the lock file; times would mislead after a copy or a checkout. */
function packagesAreThere() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false;
  const installed = readJson('node_modules/.package-lock.json').packages;
  return Object.entries(readJson('package-lock.json').packages).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed[path];
    if (found) return found.version === wanted.version && found.integrity === wanted.integrity;
    return wanted.optional || wanted.devOptional || (wanted.dev && inProduction);
  });
}

function build() {
  const main = join(root, 'dist/main.js');
  const sources = ['src', 'tsconfig.json', 'tsconfig.build.json'].map((name) => join(root, name));
  if (!existsSync(sources[0])) return; // The packed package has its build with it.
  if (!forPackage && existsSync(main) && statSync(main).mtimeMs >= Math.max(...sources.map(newest))) return;
  if (!existsSync(typescript)) {
    if (!forPackage && existsSync(main)) return;
    giveUp('There is no build and no TypeScript to make it with: run "npm ci --include=dev".');
  }
  step('build', () => {
    const startedAt = Date.now();
    mkdirSync(join(root, 'dist'), { recursive: true });
    for (const left of readdirSync(join(root, 'dist')).filter((name) => name.startsWith('.build-'))) {
      const path = join(root, 'dist', left);
      if (startedAt - statSync(path).mtimeMs > COMMAND_TIMEOUT_MS) rmSync(path, { recursive: true, force: true });
    }
    const fresh = join(root, `dist/.build-${process.pid}`);
    try {
      const types = run([process.execPath, typescript, '-p', 'tsconfig.build.json', '--outDir', fresh], {
        mayFail: forTests,
      });
      // A file saved meanwhile is newer than the build; a build with type errors is older than everything.
      const builtAt = new Date(types.ok ? startedAt : 0);
      utimesSync(join(fresh, 'main.js'), builtAt, builtAt);
      // File by file, main.js last: whoever starts at the same moment finds whole files, and an interrupted build counts as none.
      const files = readdirSync(fresh, { recursive: true }).filter((name) => statSync(join(fresh, name)).isFile());
      for (const name of [...files.filter((name) => name !== 'main.js'), 'main.js']) {
        mkdirSync(dirname(join(root, 'dist', name)), { recursive: true });
        renameSync(join(fresh, name), join(root, 'dist', name));
      }
      for (const name of readdirSync(join(root, 'dist'), { recursive: true })) {
        const isLeft = !name.startsWith('.build-') && !files.includes(name); // Its source is gone.
        if (isLeft && statSync(join(root, 'dist', name)).isFile()) rmSync(join(root, 'dist', name));
      }
      return types.ok ? '' : `with type errors, which stop "npm start" but not the tests\n${types.output}`;
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  });
}

function newest(path) {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function installRedis() {
  if (redisIsThere()) return;
  if (env.REDIS_URL && !withOwnRedis) return;
  const manager = packageManagers.find(({ install }) => isOnPath(install[0]));
  const advice = `Redis is needed and not installed: run "${manager?.byHand ?? 'apt-get install redis-server'}"${withOwnRedis ? '' : ', or set REDIS_URL'}.`;
  const prefix = manager && prefixFor(manager);
  if (!prefix) return giveUp(advice);
  step(`Redis (${manager.byHand})`, () => {
    if (manager.refresh) run([...prefix, ...manager.refresh], { mayFail: true }); // One dead mirror of several is no reason to stop.
    let output = '';
    for (const name of manager.packages) {
      output += run([...prefix, ...manager.install, name], { mayFail: true }).output;
      if (redisIsThere()) break;
    }
    if (!redisIsThere()) throw new Error(`${output}${advice}`);
    // Debian starts and enables what it installs. This project runs a Redis of its own.
    if (manager.service && existsSync('/run/systemd/system')) {
      run([...prefix, 'systemctl', 'disable', '--now', manager.service], { mayFail: true });
    }
  });
}

/** What lets the package manager work without a question, or nothing where we may not. */
function prefixFor({ install }) {
  const quietly = ['env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'HOMEBREW_NO_AUTO_UPDATE=1'];
  const isRoot = process.getuid?.() === 0;
  if (install[0] === 'brew') return isRoot ? undefined : quietly;
  if (isRoot) return quietly;
  return isOnPath('sudo') && run(['sudo', '-n', 'true'], { mayFail: true }).ok ? ['sudo', '-n', ...quietly] : undefined;
}

function redisIsThere() {
  return isOnPath('redis-server') || isOnPath('valkey-server');
}

function isOnPath(command) {
  return (env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, command), constants.X_OK);
      return true;
    } catch {
      return false; // Not in this one.
    }
  });
}

function run([command, ...args], { mayFail = false } = {}) {
  const options = {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
    timeout: COMMAND_TIMEOUT_MS,
  };
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  const output = `${stdout ?? ''}${stderr ?? ''}`;
  if (status === 0 || (mayFail && !error)) return { ok: status === 0, output };
  throw new Error(`${output}"${[command, ...args].join(' ')}" failed${error ? `: ${error.message}` : ''}.`);
}

/** One line on standard error, which stays out of a machine-readable standard output. */
function step(name, work) {
  const startedAt = Date.now();
  process.stderr.write(`setup: ${name} … `);
  try {
    const note = work();
    process.stderr.write(`${((Date.now() - startedAt) / 1000).toFixed(1)} s${note ? ` ${note}` : ''}\n`);
  } catch (error) {
    process.stderr.write('failed\n');
    giveUp(error.message);
  }
}

function giveUp(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

function readJson(name) {
  return JSON.parse(readFileSync(join(root, name), 'utf8'));
}
