/** Sessions as a table: a line for each device of a person, a column for each app. */
import type { Narrator } from './narrator.js';
import type { Observation } from './verdict.js';

const COLUMN = 20;

type Row = Pick<Observation, 'person' | 'device' | 'site' | 'endedAfterMs'> & { alive: boolean };

export function sayTable({ say, colours }: Narrator, rows: readonly Row[]): void {
  const sites = [...new Set(rows.map(({ site }) => site))];
  const devices = new Map(rows.map((row) => [`${row.person} ${row.device}`, row]));
  say(`  ${''.padEnd(COLUMN)}${sites.map((site) => colours.bold(site.padEnd(COLUMN))).join('')}`.trimEnd());
  for (const { person, device } of devices.values()) {
    const cells = sites.map((site) => {
      const row = rows.find((one) => one.person === person && one.device === device && one.site === site);
      return row ? cell(row) : ''.padEnd(COLUMN);
    });
    say(`  ${`${person}, ${device}`.padEnd(COLUMN)}${cells.join('')}`.trimEnd());
  }

  function cell({ alive, endedAfterMs }: Row): string {
    if (alive) return colours.green('signed in'.padEnd(COLUMN));
    const text = endedAfterMs === undefined ? 'signed out' : `ended after ${Math.round(endedAfterMs)} ms`;
    return colours.red(text.padEnd(COLUMN));
  }
}
