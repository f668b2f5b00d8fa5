/** A stream of bytes as numbered lines, however long the stream is. */

const NEWLINE = 0x0a;

/** A line, or why it cannot be read. Numbers start at 1. */
export type Line = { number: number; text: string } | { number: number; problem: string };

/**
 * Ends lines at LF alone: node:readline also does at U+2028, which JSON allows inside a string. A line of more than
 * `maxBytes` is a problem and is never held as a whole.
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: Buffer[] = [];
  let bytes = 0;
  let number = 0;

  function add(part: Buffer): void {
    bytes += part.length;
    if (bytes <= maxBytes) parts.push(part);
  }

  function finish(): Line {
    const tooLong = bytes > maxBytes;
    const line = Buffer.concat(tooLong ? [] : parts);
    parts = [];
    bytes = 0;
    number++;
    if (tooLong) return { number, problem: `is longer than ${maxBytes} bytes` };
    try {
      return { number, text: decoder.decode(line).replace(/\r$/, '') };
    } catch {
      return { number, problem: 'is not UTF-8' };
    }
  }

  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
  }
  if (bytes > 0) yield finish();
}
