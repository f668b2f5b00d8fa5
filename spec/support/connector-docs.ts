/** The part of docs/connectors.md that the connectors themselves say. */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Connector } from '../../src/connectors/connector.js';

const PAGE = new URL('../../docs/connectors.md', import.meta.url);
const MARK = '<!-- From here on the connectors themselves are the source: see step 4. -->\n';

type Option = { description?: string; type?: string; enum?: unknown[]; default?: unknown };
type Options = { properties: Record<string, Option>; required?: string[] };

/** One section: what the connector says of itself, and a table of its options. */
export function render({ name, docs, options }: Connector<unknown>): string {
  const { properties, required = [] } = z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as Options;
  const rows = Object.entries(properties).map(
    ([option, { description = '' }]) =>
      `| \`${option}\` | ${required.includes(option) ? 'yes' : ''} | ${description.replaceAll('|', '\\|')} |`,
  );
  const [source = ''] = /^Source: .*$/m.exec(docs) ?? [];
  const text = docs.replace(source, '').trim();
  const table = ['| option | required | |', '|---|---|---|', ...rows].join('\n');
  return `\n## ${name}\n\n${text}\n\n${table}\n\n${source}\n`;
}

export function readPage(): { head: string; sections: string } {
  const page = readFileSync(PAGE, 'utf8');
  const [head = '', sections = ''] = page.split(MARK);
  return { head, sections };
}

/** Whether somebody asked for the page to be written anew: UPDATE_DOCS=1. */
export function updateWanted(): boolean {
  return process.env.UPDATE_DOCS === '1';
}

export function writeSections(sections: string): void {
  writeFileSync(PAGE, readPage().head + MARK + sections);
}
