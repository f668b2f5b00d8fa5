/** People as Okta's CSV has them, as SCIM User resources. */
import { parse } from 'csv-parse/sync';
import { CommandError } from '../command-error.js';
import type { Line } from './lines.js';

/** What one line, or the record that starts on it, says about a person; or what is wrong with it. */
export type Entry = { line: number; resource: unknown } | { line: number; problem: string };

// A quoted cell may hold line breaks, such as those of a postal address.
const MAX_RECORD_LINES = 50;

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

// https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/: `status`.
const ACTIVE: Record<string, boolean> = {
  STAGED: true,
  PROVISIONED: true,
  ACTIVE: true,
  RECOVERY: true,
  PASSWORD_EXPIRED: true,
  LOCKED_OUT: true,
  SUSPENDED: false,
  DEPROVISIONED: false,
};

type Cell = (...names: string[]) => string | undefined;

/**
 * Reads the header row, then one person a record. Where a record cannot be read only its first line is a problem, and
 * reading goes on with the next: a quote that nobody closes costs its own line and no other.
 */
export async function* oktaCsvEntries(lines: AsyncIterable<Line>): AsyncGenerator<Entry> {
  const reader = createReader(lines);
  const header = await reader.first();
  if (header === undefined) return;
  const delimiter = [',', ';', '\t'].find((one) => header.includes(one)) ?? ',';
  const records = reader.records(delimiter);
  const first = await records.next();
  const columns = first.done || 'problem' in first.value ? [] : first.value.cells.map(columnName);
  if (!columns.includes('login') && !columns.includes('username')) {
    throw new CommandError(
      'The file is neither SCIM Users, one JSON object a line, nor a CSV export of Okta: its first line has no column `login`.',
    );
  }
  for await (const record of records) {
    const { line } = record;
    if ('problem' in record) yield record;
    else if (record.cells.length !== columns.length) {
      yield { line, problem: `has ${record.cells.length} cells where the header has ${columns.length}` };
    } else yield entryOf(line, cellsBy(columns, record.cells));
  }
}

/** `profile.firstName`, `First name` and `firstName` are one column. */
function columnName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^profile\./, '')
    .replace(/[\s_-]/g, '');
}

function cellsBy(columns: readonly string[], cells: readonly string[]): Cell {
  return (...names) => {
    for (const name of names) {
      const value = cells[columns.indexOf(name)]?.trim();
      if (value) return value;
    }
    return undefined;
  };
}

function entryOf(line: number, cell: Cell): Entry {
  const status = cell('status');
  const active = status === undefined ? true : ACTIVE[status.toUpperCase()];
  if (active === undefined) return { line, problem: "has a status that is none of Okta's" };
  return { line, resource: { ...resourceOf(cell), active } };
}

/**
 * What revocation, assignment and an operator's eye need, and no more of the person. `secondEmail` stays out: it is a
 * private address for recovery, and one that two people share would make both unnameable by it.
 */
function resourceOf(cell: Cell): object {
  const [givenName, familyName] = [cell('firstname'), cell('lastname')];
  const manager = defined({ value: cell('managerid'), displayName: cell('manager') });
  const phones = [
    { value: cell('mobilephone'), type: 'mobile' },
    { value: cell('primaryphone'), type: 'work' },
  ].filter(({ value }) => value !== undefined);
  const email = cell('email');
  const resource = defined({
    userName: cell('login', 'username'),
    externalId: cell('id', 'userid', 'oktaid', 'oktauserid', 'externalid'),
    displayName: cell('displayname') ?? ([givenName, familyName].filter(Boolean).join(' ') || undefined),
    name: defined({ givenName, familyName }),
    title: cell('title'),
    userType: cell('usertype'),
    emails: email === undefined ? undefined : [{ value: email, type: 'work', primary: true }],
    phoneNumbers: phones.length > 0 ? phones : undefined,
    [ENTERPRISE]: defined({
      employeeNumber: cell('employeenumber'),
      costCenter: cell('costcenter'),
      organization: cell('organization'),
      division: cell('division'),
      department: cell('department'),
      manager,
    }),
  });
  return resource ?? {};
}

/** Without the members that are undefined; undefined where none is left. */
function defined(object: Record<string, unknown>): object | undefined {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return members.length > 0 ? Object.fromEntries(members) : undefined;
}

type CsvRecord = { line: number; cells: string[] } | { line: number; problem: string };

function createReader(lines: AsyncIterable<Line>) {
  const source = lines[Symbol.asyncIterator]();
  // Read, but not yet part of a record.
  const ahead: Line[] = [];

  async function lineAt(index: number): Promise<Line | undefined> {
    while (ahead.length <= index) {
      const { done, value } = await source.next();
      if (done) return undefined;
      ahead.push(value);
    }
    return ahead[index];
  }

  /** The record that starts with the first line ahead, and how many lines it has. */
  async function record(delimiter: string): Promise<{ cells: string[]; count: number } | undefined> {
    let text = '';
    let quotes = 0;
    for (let count = 1; count <= MAX_RECORD_LINES; count++) {
      const line = await lineAt(count - 1);
      if (!line || 'problem' in line) return undefined;
      text += count === 1 ? line.text : `\n${line.text}`;
      quotes += line.text.split('"').length - 1;
      if (quotes % 2 === 0) return parsed(text, delimiter, count);
    }
    return undefined;
  }

  return {
    async first(): Promise<string | undefined> {
      const line = await lineAt(0);
      return line && 'text' in line ? line.text : undefined;
    },

    async *records(delimiter: string): AsyncGenerator<CsvRecord> {
      for (let line = await lineAt(0); line; line = await lineAt(0)) {
        if ('problem' in line) {
          yield { line: line.number, problem: line.problem };
          ahead.shift();
        } else if (line.text.trim() === '') {
          ahead.shift();
        } else {
          const found = await record(delimiter);
          yield found ? { line: line.number, cells: found.cells } : { line: line.number, problem: 'is not CSV' };
          ahead.splice(0, found?.count ?? 1);
        }
      }
    },
  };
}

function parsed(text: string, delimiter: string, count: number): { cells: string[]; count: number } | undefined {
  try {
    const [cells] = parse(text, { delimiter, relax_column_count: true });
    return cells && { cells, count };
  } catch {
    return undefined;
  }
}
