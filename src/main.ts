/** The command line: one subcommand each from `commands/`. */
import { accessSync, constants, lstatSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { CommandError } from './commands/command-error.js';
import { fileFailure } from './commands/file-failure.js';
import { ConfigError } from './config.js';

const EXIT_WITHIN_MS = 1_000;

const program = new Command('universal-logout')
  .description('Okta sends one signed request; the person is signed out of every app.')
  .version(version(), '--version', 'which version this is')
  .showHelpAfterError()
  .addHelpText(
    'after',
    `
Settings come from the environment (.env.example lists them) and from the file that CONFIG_FILE names
(default ./universal-logout.yaml). A file .env in this folder is read first.`,
  );

program
  .command('init')
  .description('write a commented universal-logout.yaml')
  .option('--okta-domain <domain>', 'your Okta org, e.g. acme.okta.com')
  .option('--client <id>', "the app's client id or app instance id at Okta, e.g. 0oa1example")
  .option('--public-url <url>', 'the address under which Okta reaches this gateway')
  .option('--force', 'replace a file that is there')
  .action(async (options) => (await import('./commands/init.js')).init(options));

program
  .command('serve')
  .description('receive revocations and carry them out')
  .option('--role <role>', 'api (receives) or worker (carries out); both without it')
  .action(async (options) => (await import('./commands/serve.js')).serve(options));

const users = program.command('users').description('the directory: who can be logged out');
users
  .command('import <file>')
  .description(
    'add or replace users: one SCIM User resource (JSON) a line, or a CSV export of Okta; - reads standard input',
  )
  .option('--tenant <id>', 'the tenant whose users they are', 'default')
  .option('--format <format>', 'jsonl or csv, where the file does not tell')
  .action(async (file, options) => (await import('./commands/users/import.js')).importUsers(file, options));
users
  .command('add')
  .description('add or replace one user')
  .requiredOption('--user-name <name>', 'the userName, unique in the tenant')
  .option('--email <address...>', 'e-mail addresses, the primary one first')
  .option('--external-id <id>', "the person's id at Okta, e.g. 00u1example")
  .option('--group <name...>', 'groups that the person is in, and no others')
  .option('--tenant <id>', 'the tenant', 'default')
  .action(async (options) => (await import('./commands/users/add.js')).addUser(options));
users
  .command('show <name>')
  .description('a user by id, externalId, userName, e-mail address or phone number: identifiers, groups and accounts')
  .option('--tenant <id>', 'the tenant', 'default')
  .option('--explain', 'and why a revocation reaches which account, and who can ask for it in which words')
  .action(async (name, options) => (await import('./commands/users/show.js')).showUser(name, options));
users
  .command('check')
  .description('every disagreement between users, groups and their indexes; changes nothing')
  .option('--tenant <id>', 'the tenant', 'default')
  .action(async (options) => (await import('./commands/users/check.js')).checkUsers(options));

program
  .command('revoke')
  .description('log out many people at once; a single logout overtakes, and it can be stopped and resumed')
  .option('--all', 'everyone in the tenant')
  .option('--group <name>', 'the members of the group of this displayName')
  .option('--file <path>', 'whoever the lines of the file name, by userName or e-mail address')
  .option('--resume <run>', 'go on where a run was stopped')
  .option('--tenant <id>', 'the tenant', 'default')
  .option('--mode <mode>', 'full, or refresh-only, which leaves sessions; full without it')
  .option('--dry-run', 'say how many people and apps; do nothing')
  .option('--yes', 'do not ask')
  .action(async (options) => (await import('./commands/revoke.js')).revoke(options));

const connectors = program.command('connectors').description('how each kind of app is told');
connectors
  .command('list')
  .description('every connector: how much it ends (full, partial, observe), and of which app')
  .action(async () => (await import('./commands/connectors/list.js')).listConnectors());
connectors
  .command('try <app>')
  .description(
    "check an app of the settings file by calls that change nothing; with --user and --yes, revoke that user's account",
  )
  .option('--user <name>', 'somebody in the directory, by id, externalId, userName or e-mail address')
  .option('--yes', 'revoke for real, at this app alone; each call is shown, without secrets')
  .option('--tenant <id>', 'the tenant', 'default')
  .action(async (app, options) => (await import('./commands/connectors/try.js')).tryConnector(app, options));
connectors
  .command('new <name>')
  .description('in a checkout: begin a connector, with its spec, and register it')
  .option('--app <name>', 'the app, as its vendor writes it')
  .option('--url <url>', 'the base of its API')
  .action(async (name, options) => (await import('./commands/connectors/new.js')).newConnector(name, options));

const config = program.command('config').description('the settings file');
config
  .command('check')
  .description('list every mistake in the environment and the settings file, each with its place')
  .action(async () => (await import('./commands/config.js')).checkConfig());
config
  .command('schema')
  .description('print the JSON Schema of the settings file, for editors')
  .action(async () => (await import('./commands/config.js')).printSchema());

const audit = program.command('audit').description('the audit trail: who asked for what, and what became of it');
audit
  .command('verify')
  .description('whether every record is as it was sealed; exit code 1 and a sentence for each that is not')
  .option('--tenant <id>', 'one tenant; all without it')
  .option('--checkpoints <file...>', 'checkpoints kept elsewhere, beside those in DATA_DIR: JSON lines, or an export')
  .action(async (options) => (await import('./commands/audit/verify.js')).verifyAudit(options));
audit
  .command('export')
  .description('the records as JSON lines on standard output, each checkpoint after the records that it vouches for')
  .option('--tenant <id>', 'one tenant; all without it')
  .option('--since <time>', 'the first moment, e.g. 2026-03-31 or 2026-03-31T12:00:00Z')
  .option('--until <time>', 'the last moment; of a day alone, its end')
  .action(async (options) => (await import('./commands/audit/export.js')).exportAudit(options));

const dataKey = program.command('data-key').description('the keys that encrypt job data in Redis');
dataKey
  .command('new')
  .description('print a fresh key, to be set as DATA_KEY')
  .action(async () => (await import('./commands/data-key/new.js')).printNewKey());
dataKey
  .command('rotate')
  .description('encrypt anew, with the first key, what another one encrypted; then the others may go')
  .action(async () => (await import('./commands/data-key/rotate.js')).rotateDataKey());

program
  .command('doctor')
  .description('look at everything the gateway depends on: what is amiss, and what to do. Changes nothing')
  .option('--tenant <id>', 'one tenant; all without it')
  .option('--all', 'print what is ok, too')
  .option('--json', 'all of it as JSON, for machines')
  .addHelpText(
    'after',
    `
Run it in the environment and folder of \`serve\`: when something is wrong, or to look over a new installation.
It checks settings, Redis, data keys, publicUrl as Okta sees it, clocks, the keys of each trust, the directory, each app
and the audit trail, in the order in which problems are to be mended. Apps are asked by calls that change nothing;
the endpoint is sent a request without a token, whose refusal is in the log and the audit trail.
Exit code 1 if there is a problem, 0 otherwise, warnings included.`,
  )
  .action(async (options) => (await import('./commands/doctor.js')).doctor(options));

program
  .command('send')
  .description("act as Okta: sign a revocation JWT in Okta's profile, post it, and say what the answer means")
  .requiredOption('--to <url>', "the gateway's endpoint, e.g. http://127.0.0.1:3000/global-token-revocation")
  .requiredOption('--issuer <iss>', "the JWT's iss, as in the trust, e.g. https://acme.okta.com")
  .requiredOption('--client <id>', "the JWT's sub: the app at Okta, never a user")
  .option('--email <address>', 'whom to log out, by e-mail address')
  .option('--sub <id>', 'whom to log out, by issuer and subject')
  .option('--subject <json>', 'whom to log out, as any subject identifier of RFC 9493')
  .option(
    '--key <file>',
    'private key, JWK or PEM (PKCS 8); made and kept there if the file is missing',
    'okta-key.json',
  )
  .option('--audience <url>', "the JWT's aud; the endpoint without its query by default")
  .option('--legacy', 'call the body member `subject`, as older receivers expect')
  .option('--dry-run', 'print the request and the public key for the trust; send nothing')
  .action(async (options) => (await import('./commands/send.js')).send(options));

program
  .command('demo')
  .description('a stand-in for Okta, two real apps, one person signed in to both, and a revocation')
  .option('--once', 'end when done; exit code 0 only if every session of hers died; nobody else is to notice')
  .action(async (options) => (await import('./commands/demo.js')).demo(options));

try {
  loadEnvFile();
  await program.parseAsync();
} catch (error) {
  const wanted = error instanceof ConfigError || (error as { expected?: boolean }).expected === true;
  const sentence = wanted ? (error as Error).message : fileFailure(error);
  process.stderr.write(`${sentence ?? (error as Error).stack ?? String(error)}\n`);
  process.exitCode = 1;
  // What could not be closed must not keep alive a process that does nothing any more: its supervisor would leave it so.
  setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
}

/** Node takes a file that it may not read for one that is not there, and the gateway would start without its settings. */
function loadEnvFile(): void {
  const file = resolve('.env');
  try {
    if (!lstatSync(file, { throwIfNoEntry: false })) return;
    accessSync(file, constants.R_OK);
    if (statSync(file).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
  } catch (error) {
    const { code } = error as { code?: string };
    const sentence = `${file} cannot be read (${code}): make it a file that this user may read, or move it away.`;
    throw new CommandError(sentence, { cause: error });
  }
  process.loadEnvFile(file);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
