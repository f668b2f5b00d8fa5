/** What docs/connectors.md and the README say of the connectors, written by what the connectors say of themselves. */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Connector } from '../../src/connectors/connector.js';

const PAGE = new URL('../../docs/connectors.md', import.meta.url);
const README = new URL('../../README.md', import.meta.url);
const MARK = '<!-- From here on the connectors themselves are the source: see step 3 of Add a connector. -->\n';
const COUNT = /(?<=<!-- connectors -->\n)[\s\S]*?(?=<!-- \/connectors -->)/;

type Option = { description?: string; default?: unknown; writeOnly?: boolean };
type Options = { properties: Record<string, Option>; required?: string[] };
// biome-ignore lint/suspicious/noExplicitAny: each connector has options of its own.
type AnyConnector = Connector<any>;

const WORDS = { sessions: 'sessions', refresh_tokens: 'refresh tokens', access_tokens: 'access tokens' } as const;

/** One section: what the connector says of itself, and a table of its options. */
export function render({ name, docs, modes, options }: AnyConnector): string {
  const { properties, required = [] } = z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as Options;
  const rows = Object.entries(properties).map(([option, { description = '', writeOnly, default: preset }]) => {
    const marks = [required.includes(option) && 'required', writeOnly && 'secret'].filter(Boolean).join(', ');
    const unless = preset === undefined || preset === false ? '' : ` Without it \`${JSON.stringify(preset)}\`.`;
    return `| \`${option}\` | ${marks} | ${`${description}${unless}`.replaceAll('|', '\\|')} |`;
  });
  const facts = [
    ['ends', docs.ends.length === 0 ? 'nothing by itself' : docs.ends.map(word).join(', ')],
    ['lives on', docs.livesOn],
    ['access can linger', docs.lingers],
    ['permission', docs.permission],
    ['rate limit', docs.rateLimit],
    ['modes', modes.map((mode) => `\`${mode}\``).join(', ')],
  ];
  return [
    `\n## ${name}\n`,
    `**${docs.app}** · ${docs.coverage}\n`,
    `${docs.does}\n`,
    ['| | |', '|---|---|', ...facts.map(([fact, text]) => `| ${fact} | ${text} |`)].join('\n'),
    '',
    ['The credential:', ...docs.credential.map((step, index) => `${index + 1}. ${step}`)].join('\n'),
    '',
    ['| option | | |', '|---|---|---|', ...rows].join('\n'),
    '',
    ...(docs.unknown ? [['No public page says:', ...docs.unknown.map((text) => `- ${text}`)].join('\n'), ''] : []),
    `Sources: ${docs.sources.map((source) => `<${source}>`).join(' · ')}\n`,
  ].join('\n');
}

function word(what: AnyConnector['docs']['ends'][number]): string {
  return what in WORDS ? WORDS[what as keyof typeof WORDS] : what;
}

/** How many connectors there are of each coverage, and which. */
export function renderCount(registry: readonly AnyConnector[]): string {
  const lines = (['full', 'partial', 'observe'] as const).map((coverage) => {
    const names = registry.filter(({ docs }) => docs.coverage === coverage).map(({ name }) => `\`${name}\``);
    return `| ${coverage} | ${names.length} | ${names.sort().join(' ')} |`;
  });
  return `\n| coverage | ${registry.length} | |\n|---|---|---|\n${lines.join('\n')}\n\n`;
}

export function readPage(): { head: string; sections: string } {
  const page = readFileSync(PAGE, 'utf8');
  const [head = '', sections = ''] = page.split(MARK);
  return { head, sections };
}

/** What the README has between its marks. */
export function readCount(): string {
  return COUNT.exec(readFileSync(README, 'utf8'))?.[0] ?? '';
}

/** Whether somebody asked for the pages to be written anew: UPDATE_DOCS=1. */
export function updateWanted(): boolean {
  return process.env.UPDATE_DOCS === '1';
}

export function writeSections(sections: string): void {
  writeFileSync(PAGE, readPage().head + MARK + sections);
}

export function writeCount(count: string): void {
  writeFileSync(README, readFileSync(README, 'utf8').replace(COUNT, count));
}
