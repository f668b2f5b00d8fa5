/** The house: who imports whom, where HTTP leaves and the environment is read, and how files are called. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { registry } from '../src/connectors/registry.js';
import {
  callers,
  circles,
  environmentReaders,
  importsOf,
  pretenders,
  type Sources,
  unregistered,
  wrongArrows,
  wrongFiles,
} from './support/architecture.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

function read(folder: string): Sources {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  const paths = files.filter((path) => path.endsWith('.ts')).map((path) => path.replaceAll('\\', '/'));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(ROOT, folder, path), 'utf8')]));
}

const src = read('src');
const spec = read('spec');

describe('the house', () => {
  it('has only the arrows that it is meant to have', () => {
    expect(wrongArrows(src)).toEqual([]);
  });

  it('has no circle', () => {
    expect(circles(src)).toEqual([]);
  });

  it('reads the environment in config.ts alone', () => {
    expect(environmentReaders(src)).toEqual([]);
  });

  it('lets HTTP out through outbound/ alone', () => {
    expect(callers(src)).toEqual([]);
  });

  it('has files that open with a sentence, and names that say something', () => {
    expect(wrongFiles(src)).toEqual([]);
    expect(wrongFiles(spec)).toEqual([]);
  });

  it('has every connector in the registry, once', () => {
    expect(unregistered(src)).toEqual([]);
    expect(new Set(registry.map(({ name }) => name)).size).toBe(registry.length);
    for (const { name } of registry) expect(src).toHaveProperty([`connectors/${name}.ts`]);
  });

  it('pretends nothing in its specs', () => {
    const { 'support/architecture.ts': _, 'architecture.spec.ts': __, ...others } = spec;
    expect(pretenders(others)).toEqual([]);
  });

  it('is looked at as a whole', () => {
    expect(Object.keys(src).length).toBeGreaterThan(40);
    expect(importsOf(src['gateway.ts'] ?? '').length).toBeGreaterThan(20);
  });
});

describe('a planted mistake is found', () => {
  const sentence = '/** A sentence. */\n';

  it.each([
    ['import { x } from "./y.js";', './y.js'],
    ["import { x } from './y.js';", './y.js'],
    ["import {\n  x,\n  type Z,\n} from './y.js';", './y.js'],
    ["import type { X } from './y.js';", './y.js'],
    ["import x, * as y from './y.js';", './y.js'],
    ["import './y.js';", './y.js'],
    ["export * from './y.js';", './y.js'],
    ["export { x } from './y.js';", './y.js'],
    ["const x = await import('./y.js');", './y.js'],
    ["type X = typeof import('./y.js');", './y.js'],
  ])('an import is seen in any form [%s]', (source, name) => {
    expect(importsOf(source)).toEqual([name]);
  });

  it('a comment is no import', () => {
    expect(importsOf("// import './x.js';\n/* import './y.js'; */\nconst from = 'z';")).toEqual([]);
  });

  it.each([
    ['revocation/accept.ts', '../scim/router.js'],
    ['revocation/accept.ts', '../operator/router.js'],
    ['revocation/accept.ts', '../connectors/webhook.js'],
    ['scim/router.ts', '../revocation/accept.js'],
    ['connectors/webhook.ts', './global-token-revocation.js'],
    ['connectors/webhook.ts', '../directory/user.js'],
    ['connectors/webhook.ts', './registry.js'],
    ['connectors/request.ts', '../fanout/retry.js'],
    ['fanout/worker.ts', '../connectors/webhook.js'],
    ['fanout/worker.ts', '../directory/user.js'],
    ['directory/user.ts', '../logger.js'],
    ['outbound/outbound.ts', '../logger.js'],
    ['logger.ts', './audit.js'],
    ['audit.ts', './logger.js'],
    ['request-error.ts', './logger.js'],
    ['config.ts', './gateway.js'],
    ['gateway.ts', './commands/serve.js'],
    ['app.ts', './revocation/accept.js'],
    ['main.ts', './gateway.js'],
  ])('an arrow in the wrong direction [%s to %s]', (path, target) => {
    expect(wrongArrows({ [path]: `import { x } from '${target}';` })).toEqual([
      expect.stringMatching(new RegExp(`^${path} imports `)),
    ]);
  });

  it('a new part without a place', () => {
    expect(wrongArrows({ 'billing/invoice.ts': '' })).toEqual(['billing/invoice.ts is in no part of the house']);
    expect(wrongArrows({ 'scheduler.ts': '' })).toEqual(['scheduler.ts is in no part of the house']);
  });

  it('a circle, also of types alone and over several files', () => {
    expect(circles({ 'a.ts': "import './b.js';", 'b.ts': "import type { A } from './a.js';" })).toEqual([
      'a.ts → b.ts → a.ts',
    ]);
    const long = { 'a.ts': "import './b.js';", 'b.ts': "import './c/d.js';", 'c/d.ts': "import '../a.js';" };
    expect(circles(long)).toEqual(['a.ts → b.ts → c/d.ts → a.ts']);
    expect(circles({ 'a.ts': "import './a.js';" })).toEqual(['a.ts → a.ts']);
    expect(circles({ 'a.ts': "import './b.js';import './c.js';", 'b.ts': "import './c.js';", 'c.ts': '' })).toEqual([]);
  });

  it('another reader of the environment', () => {
    expect(environmentReaders({ 'fanout/worker.ts': 'process.env.X' })).toHaveLength(1);
    expect(environmentReaders({ 'commands/serve.ts': 'const { X } = process.env;' })).toHaveLength(1);
    expect(environmentReaders({ 'fanout/worker.ts': 'readConfig(process.env)' })).toHaveLength(1);
    expect(environmentReaders({ 'commands/init.ts': 'readProcessConfig(process.env, problems)' })).toEqual([]);
    expect(environmentReaders({ 'config.ts': 'process.env' })).toEqual([]);
  });

  it.each([
    "import { request } from 'undici';",
    "import https from 'node:https';",
    "import { createServer, request } from 'node:http';",
    "import http from 'node:http';\nhttp.get('x');",
    "await fetch('https://example.com');",
    'globalThis.fetch(url);',
    "import { createRemoteJWKSet } from 'jose';",
    "import got from 'got';",
  ])('HTTP by another door [%s]', (source) => {
    expect(callers({ 'connectors/webhook.ts': source })).toHaveLength(1);
    expect(callers({ 'outbound/outbound.ts': source })).toEqual([]);
  });

  it.each(["import { createServer, type Server } from 'node:http';", 'customFetch(url);', 'dependencies.fetch(url);'])(
    'what is no HTTP call is none [%s]',
    (source) => {
      expect(callers({ 'gateway.ts': source })).toEqual([]);
    },
  );

  it('a file without its sentence, or with a name that says nothing', () => {
    expect(wrongFiles({ 'a.ts': sentence })).toEqual([]);
    expect(wrongFiles({ 'a.ts': `#!/usr/bin/env node\n${sentence}` })).toEqual([]);
    for (const source of [
      '',
      'const x = 1;\n',
      '// A sentence.\n',
      '/** No stop */\n',
      `\n${sentence}`,
      '/**\n * A.\n */\n',
    ]) {
      expect(wrongFiles({ 'a.ts': source })).toEqual(['a.ts does not open with a sentence']);
    }
    for (const path of ['utils.ts', 'scim/helpers.ts', 'common/x.ts', 'http-utils.ts', 'user-service.ts', 'types.ts']) {
      expect(wrongFiles({ [path]: sentence })).toEqual([`${path} says nothing by its name`]);
    }
    expect(wrongFiles({ 'scim/index.ts': sentence })).toEqual(['scim/index.ts hides what it passes on']);
    expect(wrongFiles({ 'revocation/metadata.ts': sentence })).toEqual([]);
  });

  it('a connector that the registry forgot', () => {
    const files = { 'connectors/registry.ts': "import './webhook.js';", 'connectors/webhook.ts': '' };
    expect(unregistered({ ...files, 'connectors/zoom.ts': '', 'connectors/request.ts': '' })).toEqual([
      'connectors/zoom.ts',
    ]);
  });

  it('a spec that pretends', () => {
    for (const source of ["jest.mock('../src/redis.js')", 'jest.spyOn(a, "b")', 'expect(x).toMatchSnapshot()']) {
      expect(pretenders({ 'a.spec.ts': source })).toEqual(['a.spec.ts pretends']);
    }
    expect(pretenders({ 'a.spec.ts': 'expect(1).toBe(1)' })).toEqual([]);
  });
});
