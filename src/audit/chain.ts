/** How records of the audit trail become one hash, and how it is remembered which record had which content. */
import { hash } from 'node:crypto';

/** A record as Redis has it, byte by byte: names and values in turn. */
export type Entry = { id: string; fields: readonly Buffer[] };

/** What is remembered of a sealed record: the first 8 bytes of its content's hash suffice to say which one was changed. */
export type Mark = { id: string; content: string };

/** Each part after its length, so that no two contents are written alike. */
function hashOf(...parts: readonly (Buffer | string)[]): Buffer {
  // In one piece: an entry has a dozen short parts, and each update costs more than its bytes.
  const buffers = parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
  const all = Buffer.allocUnsafe(buffers.reduce((size, { length }) => size + 4 + length, 0));
  let at = 0;
  for (const buffer of buffers) {
    at = all.writeUInt32BE(buffer.length, at);
    at += buffer.copy(all, at);
  }
  return hash('sha256', all, 'buffer');
}

/** The head of a trail without records. */
export function firstHead(tenant: string): string {
  return hashOf('universal-logout audit', tenant).toString('base64url');
}

/** The head that a record leaves behind, and its mark. */
export function chain(head: string, { id, fields }: Entry): { head: string; mark: Mark } {
  const content = hashOf(...fields);
  return {
    head: hashOf(head, id, content).toString('base64url'),
    mark: { id, content: content.subarray(0, 8).toString('base64url') },
  };
}

export function digestOf(text: string): string {
  return hashOf(text).toString('base64url');
}

/** Marks as text, about 17 bytes each: the time from the mark before (`after`), the number in its millisecond, the content. */
export function writeMarks(marks: readonly Mark[], after = '0-0'): string {
  let before = timeOf(after);
  return marks
    .map(({ id, content }) => {
      const time = timeOf(id);
      const passed = time - before;
      before = time;
      return `${passed.toString(36)}.${numberOf(id).toString(36)}.${content}`;
    })
    .join(' ');
}

export function readMarks(text: string): Mark[] {
  let time = 0n;
  return text.split(' ').map((mark) => {
    const [passed = '', number = '', content = ''] = mark.split('.');
    time += parse36(passed);
    return { id: `${time}-${parse36(number)}`, content };
  });
}

/** The milliseconds in a stream id. */
export function timeOf(id: string): bigint {
  return BigInt(id.split('-')[0] as string);
}

function numberOf(id: string): bigint {
  return BigInt(id.split('-')[1] ?? 0);
}

/** Ids have 64 bits in each half, too many for a Number. */
function parse36(text: string): bigint {
  return [...text].reduce((sum, digit) => sum * 36n + BigInt(Number.parseInt(digit, 36)), 0n);
}

/** The smallest id above one. */
export function idAfter(id: string): string {
  return `${timeOf(id)}-${numberOf(id) + 1n}`;
}

/** Whether one id is smaller than another; an id without a number means the first of its millisecond. */
export function comesBefore(one: string, other: string): boolean {
  const [a, b] = [timeOf(one), timeOf(other)];
  return a === b ? numberOf(one) < numberOf(other) : a < b;
}

/** ISO 8601. Somebody may have made up an id that is no time. */
export function timeText(id: string): string {
  const date = new Date(Number(timeOf(id)));
  return Number.isNaN(date.getTime()) ? 'no time' : date.toISOString();
}
