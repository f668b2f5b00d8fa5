/** docs/connectors.md and the README say of the connectors what these say of themselves, and name files that are there. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { anyName } from '../../src/connectors/account.js';
import { defineConnector, secret } from '../../src/connectors/connector.js';
import { registry } from '../../src/connectors/registry.js';
import {
  readCount,
  readPage,
  render,
  renderCount,
  updateWanted,
  writeCount,
  writeSections,
} from '../support/connector-docs.js';

it('has a section for each connector, as it is now; UPDATE_DOCS=1 writes them', () => {
  const sections = registry.map(render).join('');
  if (updateWanted()) writeSections(sections);
  expect(readPage().sections).toBe(sections);
});

it('counts in the README how much each of them ends; UPDATE_DOCS=1 writes it', () => {
  if (updateWanted()) writeCount(renderCount(registry));
  expect(readCount()).toBe(renderCount(registry));
  expect(registry.length).toBeGreaterThanOrEqual(25);
});

it('says first which connector is for which app', () => {
  const { head } = readPage();
  for (const { name } of registry) expect(head).toContain(`| \`${name}\` |`);
});

it('has each connector kept to the contract by its own spec', () => {
  for (const { name } of registry) {
    const spec = new URL(`./${name}.spec.ts`, import.meta.url);
    expect([name, existsSync(spec)]).toEqual([name, true]);
    expect(readFileSync(spec, 'utf8')).toMatch(/^ *keepsContract\(\w+, \{$/m);
  }
});

it('names files that are there', () => {
  const { head } = readPage();
  const paths = [...head.matchAll(/`((?:src|spec)\/[\w./-]+\.ts)`/g)].map(([, path]) => path as string);
  expect(paths.length).toBeGreaterThan(4);
  for (const path of paths) expect([path, existsSync(new URL(`../../${path}`, import.meta.url))]).toEqual([path, true]);
});

it('renders what a connector says', () => {
  const pigeon = defineConnector({
    name: 'pigeon',
    options: z.strictObject({
      loft: z.string().default('attic').describe('Where it lives.'),
      ring: secret().describe('How it is known.'),
      speed: z.int().optional().describe('As the crow flies | or not.'),
    }),
    account: anyName,
    modes: ['full'],
    docs: {
      app: 'Pigeon Post',
      coverage: 'partial',
      does: 'Sends a pigeon.',
      ends: ['sessions', 'refresh_tokens', 'access'],
      livesOn: 'Eggs.',
      lingers: 'A flight.',
      permission: 'To fly.',
      credential: ['Find an egg.', 'Wait.'],
      rateLimit: 'One at a time.',
      unknown: ['Where it goes.'],
      sources: ['https://example.com/pigeons', 'https://example.com/eggs'],
    },
    revoke: async () => ({ state: 'revoked', what: ['sessions'] }),
    check: async () => ({ ok: true, detail: 'coo' }),
  });
  expect(render(pigeon)).toBe(`
## pigeon

**Pigeon Post** · partial

Sends a pigeon.

| | |
|---|---|
| ends | sessions, refresh tokens, access |
| lives on | Eggs. |
| access can linger | A flight. |
| permission | To fly. |
| rate limit | One at a time. |
| modes | \`full\` |

The credential:
1. Find an egg.
2. Wait.

| option | | |
|---|---|---|
| \`loft\` |  | Where it lives. Without it \`"attic"\`. |
| \`ring\` | required, secret | How it is known. |
| \`speed\` |  | As the crow flies \\| or not. |

No public page says:
- Where it goes.

Sources: <https://example.com/pigeons> · <https://example.com/eggs>
`);
  expect(renderCount([pigeon])).toBe(
    '\n| coverage | 1 | |\n|---|---|---|\n| full | 0 |  |\n| partial | 1 | `pigeon` |\n| observe | 0 |  |\n\n',
  );
});
