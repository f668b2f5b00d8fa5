/** JWSs that no library would make: any bytes as header and payload, under a real signature. */
import { KeyObject, sign as signBytes } from 'node:crypto';
import type { Key } from './okta.js';

export type Part = string | Buffer | object;

/** A compact JWS over exactly these bytes; `RS256`, whatever the header says, unless `sign` makes something else. */
export function compactJws(
  header: Part,
  payload: Part,
  sign: Key | ((signingInput: string) => Buffer | string),
): string {
  const signingInput = `${encode(header)}.${encode(payload)}`;
  const signature = typeof sign === 'function' ? sign(signingInput) : rs256(sign, signingInput);
  return `${signingInput}.${typeof signature === 'string' ? signature : signature.toString('base64url')}`;
}

function encode(part: Part): string {
  const bytes = typeof part === 'string' || Buffer.isBuffer(part) ? part : JSON.stringify(part);
  return Buffer.from(bytes).toString('base64url');
}

function rs256({ privateKey }: Key, signingInput: string): Buffer {
  return signBytes('sha256', Buffer.from(signingInput), KeyObject.from(privateKey));
}

/** The same header and claims with one text replaced in the JSON of either, and signed again. */
export function resigned(jwt: string, key: Key, change: (header: string, payload: string) => [Part, Part]): string {
  const [header = '', payload = ''] = jwt.split('.', 2).map((part) => Buffer.from(part, 'base64url').toString());
  return compactJws(...change(header, payload), key);
}
