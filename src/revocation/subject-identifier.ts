/** Reads the request body: `{"sub_id": …}` with a subject identifier of RFC 9493. */
import { z } from 'zod';
import type { SimpleSubjectIdentifier, SubjectIdentifier } from '../directory/resolve.js';
import { RequestError } from '../request-error.js';
import { parseStrictJson } from './strict-json.js';

const MAX_LENGTH = 1024;
const MAX_ALIASES = 10;

const text = z.string().trim().min(1).max(MAX_LENGTH);

// The shapes of §3.2, each with the members that it describes and no others (§3).
const simple = {
  account: z.strictObject({
    format: z.literal('account'),
    uri: text.regex(/^acct:[^\s@]+@[^\s@]+$/i, 'an acct: URI').refine(isPercentEncoded),
  }),
  email: z.strictObject({ format: z.literal('email'), email: text.regex(/^[^\s@]+@[^\s@]+$/, 'an e-mail address') }),
  iss_sub: z.strictObject({
    format: z.literal('iss_sub'),
    iss: text.refine(isStringOrUri),
    sub: text.refine(isStringOrUri),
  }),
  opaque: z.strictObject({ format: z.literal('opaque'), id: text }),
  phone_number: z.strictObject({
    format: z.literal('phone_number'),
    phone_number: text.regex(/^\+[1-9]\d{1,14}$/, 'an E.164 number with +'),
  }),
  did: z.strictObject({ format: z.literal('did'), url: text.regex(/^did:[a-z0-9]+:\S+$/, 'a DID URL') }),
  uri: z.strictObject({ format: z.literal('uri'), uri: text.regex(/^[A-Za-z][A-Za-z0-9+.-]*:\S+$/, 'a URI') }),
} satisfies Record<SimpleSubjectIdentifier['format'], z.ZodType>;

const formats = [...Object.keys(simple), 'aliases'];

/**
 * The subject identifier of a request. Throws a RequestError 400 that says what is wrong and what would be right;
 * no value is repeated. `acceptLegacySubject`: the member was called `subject` before draft -03.
 */
export function parseSubjectIdentifier(body: Uint8Array, options: { acceptLegacySubject: boolean }): SubjectIdentifier {
  const request = parseObject(body);
  const names = Object.keys(request);
  const accepted = options.acceptLegacySubject ? ['sub_id', 'subject'] : ['sub_id'];
  const unknown = names.find((name) => !accepted.includes(name));
  if (unknown !== undefined) throw malformed('The body has a member other than sub_id.');
  if (names.length === 0) throw malformed('The body has no sub_id.');
  if (names.length > 1) throw malformed('The body has both sub_id and subject: send sub_id alone.');
  return parseIdentifier(request[names[0] as string]);
}

function parseObject(body: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(body);
  } catch (error) {
    throw malformed(`The body ${(error as Error).message}.`, error);
  }
  if (!isObject(value)) throw malformed('The body is not a JSON object with the member sub_id.');
  return value;
}

function parseIdentifier(value: unknown): SubjectIdentifier {
  if (!isObject(value)) throw malformed('sub_id is not an object.');
  if (value.format !== 'aliases') return parseSimple(value, 'sub_id');
  const { identifiers } = value;
  if (Object.keys(value).length !== 2 || !Array.isArray(identifiers)) {
    throw malformed('sub_id of format aliases needs the member identifiers, an array, and no other.');
  }
  if (identifiers.length === 0 || identifiers.length > MAX_ALIASES) {
    throw malformed(`sub_id.identifiers needs 1 to ${MAX_ALIASES} entries.`);
  }
  return {
    format: 'aliases',
    identifiers: identifiers.map((identifier, index) => parseSimple(identifier, `sub_id.identifiers[${index}]`)),
  };
}

function parseSimple(value: unknown, name: string): SimpleSubjectIdentifier {
  if (!isObject(value)) throw malformed(`${name} is not an object.`);
  if (typeof value.format !== 'string') throw malformed(`${name}.format is missing or is not a string.`);
  if (!Object.hasOwn(simple, value.format)) {
    throw new RequestError(
      400,
      'unsupported_subject_format',
      `${name}.format is not supported: use one of ${formats.join(', ')}${name === 'sub_id' ? '' : ' (aliases not within aliases)'}.`,
    );
  }
  const shape = simple[value.format as keyof typeof simple];
  const parsed = shape.safeParse(value);
  if (
    parsed.success &&
    Object.entries(value).every(([key, own]) => parsed.data[key as keyof typeof parsed.data] === own)
  ) {
    return parsed.data;
  }
  const [issue] = parsed.error?.issues ?? [];
  const members = Object.keys(shape.shape).join(', ');
  if (issue?.code === 'unrecognized_keys')
    throw malformed(`${name} has a member that its format does not describe: it has ${members}.`);
  const member = issue?.path[0];
  throw malformed(
    `${name}${member === undefined ? '' : `.${String(member)}`} is missing, empty or not what its format asks for: the members are ${members}, each a string of 1 to ${MAX_LENGTH} characters without outer white space.`,
  );
}

/** RFC 7519 §2: a string that contains a colon has to be a URI. */
function isStringOrUri(value: string): boolean {
  return !value.includes(':') || /^[A-Za-z][A-Za-z0-9+.-]*:\S+$/.test(value);
}

/** RFC 7565 §7: what is not ASCII is in UTF-8, percent-encoded. White space at an end would be another account. */
function isPercentEncoded(uri: string): boolean {
  try {
    const decoded = decodeURIComponent(uri.slice('acct:'.length));
    return decoded === decoded.trim();
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function malformed(detail: string, cause?: unknown): RequestError {
  return new RequestError(400, 'malformed_request', detail, { cause });
}
