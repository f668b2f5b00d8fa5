/** A file of people, as SCIM Users (one JSON object a line) or as Okta's CSV, read as a stream. */
import { type FileHandle, open } from 'node:fs/promises';
import { CommandError } from '../command-error.js';
import { type Line, linesOf } from './lines.js';
import { type Entry, oktaCsvEntries } from './okta-csv.js';

export const formats = ['jsonl', 'csv'] as const;
export type Format = (typeof formats)[number];

const MAX_LINE_BYTES = 1_000_000;

export type PeopleFile = {
  entries: AsyncIterable<Entry>;
  bytesRead: () => number;
  /** Undefined where nobody knows, as of a pipe. */
  size: number | undefined;
};

/** `-` is standard input. Throws a CommandError where the file cannot be read or is of no format. */
export async function openPeopleFile(file: string, wanted?: Format): Promise<PeopleFile> {
  const { source, size } = file === '-' ? { source: process.stdin, size: undefined } : await openFile(file);
  let read = 0;
  const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  const first = await chunks.next();

  async function* counted(): AsyncGenerator<Buffer> {
    for (let next = first; !next.done; next = await chunks.next()) {
      read += next.value.length;
      yield next.value;
    }
  }

  const head: Buffer = first.done ? Buffer.alloc(0) : first.value;
  const format = wanted ?? formatOf(file, head);
  const lines = linesOf(counted(), MAX_LINE_BYTES);
  return { entries: format === 'csv' ? oktaCsvEntries(lines) : scimEntries(lines), bytesRead: () => read, size };
}

/** Opened once, since a named pipe can be read once. */
async function openFile(file: string) {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const stats = await handle.stat();
    if (!stats.isDirectory())
      return { source: handle.createReadStream(), size: stats.isFile() ? stats.size : undefined };
  } catch (cause) {
    throw new CommandError(`${file} cannot be read.`, { cause });
  }
  await handle.close();
  throw new CommandError(`${file} is a directory.`);
}

/** What the file begins with tells; its name, where that tells nothing. */
function formatOf(file: string, head: Buffer): Format {
  if (/^(\xff\xfe|\xfe\xff)/.test(head.toString('latin1', 0, 2))) {
    throw new CommandError(`${file} is UTF-16: save it as UTF-8.`);
  }
  const text = head
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (text.startsWith('[')) {
    throw new CommandError(`${file} is one JSON array: put one SCIM User on each line (\`jq -c '.[]'\` does).`);
  }
  return text.startsWith('{') || /\.(jsonl|ndjson|json)$/i.test(file) ? 'jsonl' : 'csv';
}

async function* scimEntries(lines: AsyncIterable<Line>): AsyncGenerator<Entry> {
  for await (const line of lines) {
    if ('problem' in line) yield { line: line.number, problem: line.problem };
    else if (line.text.trim() !== '') yield scimEntry(line.number, line.text);
  }
}

function scimEntry(line: number, text: string): Entry {
  try {
    return { line, resource: JSON.parse(text) as unknown };
  } catch {
    return { line, problem: 'is not JSON' };
  }
}
