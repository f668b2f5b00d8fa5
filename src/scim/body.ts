/** What a body has to be before anything in it is read: JSON of a size, a depth and a text that we can keep. */
import express, { type RequestHandler } from 'express';
import { ScimError } from './scim-error.js';

const MAX_BYTES = 1_024 * 1_024;
const MAX_DEPTH = 32;

/** As middleware; the body is parsed whatever it calls itself. */
export function readBody(): RequestHandler[] {
  return [express.json({ type: () => true, limit: MAX_BYTES, inflate: false }), checkBody];
}

const checkBody: RequestHandler = (req, _res, next) => {
  checkValue(req.body);
  next();
};

/** Without recursion: a megabyte nests half a million deep. */
function checkValue(body: unknown): void {
  const open: [value: unknown, depth: number][] = [[body, 0]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, depth] = next;
    if (depth > MAX_DEPTH) throw new ScimError(400, 'invalidSyntax', `The body nests deeper than ${MAX_DEPTH}.`);
    // RFC 7493 §2.1: half a surrogate pair is no text, and would not come back from Redis as it went in.
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) {
      throw new ScimError(400, 'invalidSyntax', 'The body has text that is not Unicode.');
    }
    if (value !== null && typeof value === 'object') {
      for (const one of Object.values(value)) open.push([one, depth + 1]);
    }
  }
}
