/** The README's table of figures, written by the scripts that measure them: `FIGURES=readme npx tsx bench/<script>.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));
const BEGIN = '<!-- figures -->\n';
const END = '<!-- /figures -->';
const HEAD = '| script | what | figure |\n|---|---|---|\n';

/** Puts the rows of one script, run with these options, in the place of those that it wrote before; prints them in any case. */
export function writeFigures(
  script: string,
  rows: readonly (readonly [what: string, figure: string])[],
  options: readonly string[] = [],
): void {
  for (const [what, figure] of rows) console.log(`${what}: ${figure}`);
  if (process.env.FIGURES !== 'readme') return;
  const name = `\`${['npx tsx', `bench/${script}.ts`, ...options].join(' ')}\``;
  const text = readFileSync(README, 'utf8');
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END);
  if (from < BEGIN.length || to < from) throw new Error('README.md has no place for figures');
  const block = text.slice(from, to);
  const intro = block.slice(0, block.indexOf(HEAD));
  const lines = block
    .slice(block.indexOf(HEAD) + HEAD.length)
    .split('\n')
    .filter((line) => line !== '');
  const at = lines.findIndex((line) => line.startsWith(`| ${name} |`));
  const others = lines.filter((line) => !line.startsWith(`| ${name} |`));
  others.splice(at < 0 ? others.length : at, 0, ...rows.map(([what, figure]) => `| ${name} | ${what} | ${figure} |`));
  writeFileSync(README, `${text.slice(0, from)}${intro}${HEAD}${others.join('\n')}\n${text.slice(to)}`);
}
