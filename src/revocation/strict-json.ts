/** JSON that can be read in one way only: UTF-8, no name twice in one object, no depth that later code would choke on. */

const MAX_DEPTH = 16;
// A byte order mark stays in the text, where it is not JSON (RFC 8259 §8.1).
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws a SyntaxError that says what is wrong, without the text itself. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new SyntaxError('is not UTF-8');
  }
  try {
    value = JSON.parse(text);
  } catch {
    throw new SyntaxError('is not JSON');
  }
  // JSON.parse keeps the last of two equal names, so fewer names are left than the text has (RFC 8725 §3.7).
  if (countNames(value, 0) !== namesIn(text)) throw new SyntaxError('names a member twice');
  return value;
}

function countNames(value: unknown, depth: number): number {
  if (value === null || typeof value !== 'object') return 0;
  if (depth === MAX_DEPTH) throw new SyntaxError(`is nested deeper than ${MAX_DEPTH} levels`);
  const members = Object.values(value);
  let count = Array.isArray(value) ? 0 : members.length;
  for (const member of members) count += countNames(member, depth + 1);
  return count;
}

/** In valid JSON only a member's name is followed by a colon. */
function namesIn(text: string): number {
  let names = 0;
  for (const [, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g)) if (colon) names++;
  return names;
}
