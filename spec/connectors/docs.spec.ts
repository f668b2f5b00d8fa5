/** docs/connectors.md says of each connector what the connector says of itself, and names files that are there. */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { Connector } from '../../src/connectors/connector.js';
import { registry } from '../../src/connectors/registry.js';
import { readPage, render, updateWanted, writeSections } from '../support/connector-docs.js';

it('has a section for each connector, as it is now; UPDATE_DOCS=1 writes them', () => {
  const sections = registry.map(render).join('');
  if (updateWanted()) writeSections(sections);
  expect(readPage().sections).toBe(sections);
});

it('describes every option of every connector', () => {
  for (const connector of registry) {
    for (const row of render(connector)
      .split('\n')
      .filter((line) => line.startsWith('| `'))) {
      expect(row).toMatch(/^\| `\w+` \| (yes)? \| \S.*\.( \|)$/);
    }
  }
});

it('says first which connector is for which app', () => {
  const { head } = readPage();
  for (const { name } of registry) expect(head).toContain(`| \`${name}\` |`);
});

it('names files that are there', () => {
  const { head } = readPage();
  const paths = [...head.matchAll(/`((?:src|spec)\/[\w./-]+\.ts)`/g)].map(([, path]) => path as string);
  expect(paths.length).toBeGreaterThan(4);
  for (const path of paths) expect([path, existsSync(new URL(`../../${path}`, import.meta.url))]).toEqual([path, true]);
});

it('renders what a connector says', () => {
  const connector: Connector<unknown> = {
    name: 'pigeon',
    options: z.strictObject({ loft: z.string().describe('Where it lives.'), speed: z.int().optional() }),
    docs: 'Sends a pigeon.\nSource: https://example.com/pigeons',
    revoke: async () => ({ state: 'revoked', what: ['sessions'] }),
    check: async () => ({ ok: true, detail: 'coo' }),
  };
  expect(render(connector)).toBe(`
## pigeon

Sends a pigeon.

| option | required | |
|---|---|---|
| \`loft\` | yes | Where it lives. |
| \`speed\` |  |  |

Source: https://example.com/pigeons
`);
});
