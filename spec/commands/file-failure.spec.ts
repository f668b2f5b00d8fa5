/** Files and folders that a command cannot use: one sentence with the path and the code, and never a stack. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileFailure } from '../../src/commands/file-failure.js';
import { createFolder, runCommand } from '../support/command.js';
import { SECRET } from '../support/endpoint.js';

const FILE = 'universal-logout.yaml';
const INIT = ['init', '--okta-domain', 'acme.okta.com', '--client', '0oa1', '--public-url', 'https://a.example.com'];
const SEND = ['send', '--to', 'http://127.0.0.1:1/', '--issuer', 'https://acme.okta.com', '--client', '0oa1'];

const apps = [{ id: 'wiki', connector: 'webhook', options: { url: 'https://127.0.0.1:1', secret: SECRET } }];
const settings = { tenants: [{ id: 'default', apps }] };

/** A path below a file: for root, whom no rights stop, as good as a folder of somebody else's. */
const BELOW = join(FILE, 'data');

it.each<[string[], Record<string, string>, RegExp]>([
  [['serve'], { DATA_DIR: 'link' }, /^There is no \S+\/link \(ENOENT\)\.\n$/],
  [['users', 'show', 'ada'], { DATA_DIR: BELOW }, /\/data cannot be made \(ENOTDIR\): a part of the path is a file/],
  [
    ['users', 'show', 'ada'],
    { DATA_DIR: FILE },
    /\/universal-logout\.yaml cannot be made \(EEXIST\): it is there already/,
  ],
  [['connectors', 'try', 'wiki'], { DATA_DIR: BELOW }, /\/data cannot be made \(ENOTDIR\)/],
  [['audit', 'verify'], { DATA_DIR: BELOW }, /\/data cannot be made \(ENOTDIR\)/],
  [
    INIT,
    { CONFIG_FILE: 'no/where/a.yaml' },
    /^There is no folder \S+\/no\/where \(ENOENT\), for a\.yaml to be in: make it/,
  ],
  [INIT, { CONFIG_FILE: join(FILE, 'a.yaml') }, /\/a\.yaml cannot be opened \(ENOTDIR\)/],
  [
    [...SEND, '--email', 'a@b.c', '--key', 'folder'],
    {},
    /^folder cannot be read \(EISDIR\): name a file with a private key/,
  ],
  [
    [...SEND, '--email', 'a@b.c', '--key', 'nowhere/key.json'],
    {},
    /^There is no folder nowhere \(ENOENT\), for key\.json to be in: make it, or name another path\.\n$/,
  ],
])('%j with %j', async (args, env, sentence) => {
  const folder = createFolder(settings);
  mkdirSync(join(folder, 'folder'));
  symlinkSync('nowhere', join(folder, 'link'));
  const { code, stdout, stderr } = await runCommand(args, { folder, env: { PORT: '0', ...env } });
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(sentence) });
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

describe('the sentence', () => {
  const failure = (code: string, syscall: string, path: string) =>
    fileFailure(Object.assign(new Error('a failure'), { code, syscall, path }));

  it('is of the file where it is there, and of its folder where that has to be written', () => {
    const folder = createFolder();
    const file = join(folder, 'a.json');
    expect(failure('EACCES', 'open', file)).toBe(
      `${folder} cannot be read and written (EACCES): let this user do so, or name another path.`,
    );
    writeFileSync(file, '');
    expect(failure('EACCES', 'open', file)).toBe(
      `${file} cannot be opened (EACCES): let this user do so, or name another path.`,
    );
  });

  it('is there also for a code of which nobody has thought', () => {
    expect(failure('EIO', 'rename', '/a/b')).toBe('/a/b cannot be replaced (EIO).');
  });

  it('is for files alone: what else fails keeps its stack', () => {
    expect(failure('ENOENT', 'spawn redis-server', 'redis-server')).toBeUndefined();
    expect(
      fileFailure(Object.assign(new Error('refused'), { code: 'ECONNREFUSED', syscall: 'connect' })),
    ).toBeUndefined();
    expect(fileFailure(new TypeError('a mistake of ours'))).toBeUndefined();
  });
});
