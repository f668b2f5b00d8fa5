/** What the reader of bodies makes of bytes that nobody thought of. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RequestError } from '../../src/request-error.js';
import { parseStrictJson } from '../../src/revocation/strict-json.js';
import { parseSubjectIdentifier } from '../../src/revocation/subject-identifier.js';

type Members = Record<string, unknown>;

/** One or more of each format of RFC 9493 §3.2, but for aliases. */
const SIMPLE: Members[] = [
  { format: 'account', uri: 'acct:ada@example.com' },
  { format: 'email', email: 'ada@example.com' },
  { format: 'iss_sub', iss: 'https://acme.okta.com', sub: '00u1ada' },
  { format: 'opaque', id: '11112222333344445555' },
  { format: 'phone_number', phone_number: '+12065550100' },
  { format: 'did', url: 'did:example:123456' },
  { format: 'did', url: 'did:example:123456/did/url/path?versionId=1' },
  { format: 'uri', uri: 'https://user.example.com/' },
  { format: 'uri', uri: 'urn:uuid:4e851e98-83c4-4743-a5da-150ecb53042f' },
];
const NAMES = [...new Set(SIMPLE.flatMap(Object.keys)), 'identifiers', '__proto__', 'constructor', 'toString'];

/** The subject identifier, or undefined where it was refused as it should be. */
function read(body: Uint8Array, acceptLegacySubject = true): unknown {
  try {
    return parseSubjectIdentifier(body, { acceptLegacySubject });
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    const { status, code } = error as RequestError;
    expect(status).toBe(400);
    expect(['malformed_request', 'unsupported_subject_format']).toContain(code);
    return undefined;
  }
}

const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));

const simple = fc.constantFrom(...SIMPLE);
const aliases = fc.record({
  format: fc.constant('aliases'),
  identifiers: fc.array(simple, { minLength: 1, maxLength: 11 }),
});
const value = fc.oneof(fc.string(), fc.constantFrom(...SIMPLE.flatMap(Object.values)), fc.jsonValue());
const edit = fc.record({
  name: fc.oneof(fc.constantFrom(...NAMES), fc.string()),
  value: fc.option(value, { nil: undefined }),
});

/** A subject identifier with none, one or two of its members changed, added or left out. */
const nearly = fc.tuple(fc.oneof(simple, aliases), fc.array(edit, { maxLength: 2 })).map(([identifier, edits]) => {
  const members = new Map(Object.entries(identifier));
  for (const { name, value } of edits)
    if (value === undefined) members.delete(name);
    else members.set(name, value);
  return Object.fromEntries(members);
});

describe('parseSubjectIdentifier', () => {
  it('answers 400, and throws nothing else, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, legacy) => {
        expect(read(bytes, legacy)).toBeUndefined();
      }),
    );
  });

  it('answers 400, and throws nothing else, for any text and any JSON', () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.jsonValue().map((sub_id) => JSON.stringify({ sub_id })),
    );
    fc.assert(
      fc.property(any, (text) => {
        expect(read(Buffer.from(text))).toBeUndefined();
      }),
    );
  });

  it('takes what it accepts as it stands, and refuses the rest with 400', () => {
    const seen = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(nearly, fc.constantFrom('sub_id', 'subject'), (identifier, member) => {
        const taken = read(bytesOf({ [member]: identifier }));
        seen[taken === undefined ? 'refused' : 'accepted'] += 1;
        if (taken !== undefined) expect(taken).toEqual(JSON.parse(JSON.stringify(identifier)));
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(200);
  });

  it('reads every subject identifier of RFC 9493 §3.2, under either name', () => {
    for (const identifier of [...SIMPLE, { format: 'aliases', identifiers: SIMPLE }]) {
      expect(read(bytesOf({ sub_id: identifier }))).toStrictEqual(identifier);
      expect(read(bytesOf({ subject: identifier }))).toStrictEqual(identifier);
      expect(read(bytesOf({ subject: identifier }), false)).toBeUndefined();
    }
  });
});

describe('parseStrictJson', () => {
  const json = fc.jsonValue({ maxDepth: 8, depthSize: 'small' });

  it('reads any JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, '\t'), (any, space) => {
        const text = JSON.stringify(any, undefined, space);
        expect(JSON.stringify(parseStrictJson(Buffer.from(text)))).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses any name that stands twice in one object, wherever it is and however it is spelled', () => {
    fc.assert(
      fc.property(fc.string(), json, json, fc.boolean(), fc.nat({ max: 5 }), (name, one, other, respell, depth) => {
        const again = respell ? escaped(name) : JSON.stringify(name);
        const object = `{${JSON.stringify(name)}:${JSON.stringify(one)},"${name.length}x":0,${again}:${JSON.stringify(other)}}`;
        const text = `${'{"x":['.repeat(depth)}${object}${']}'.repeat(depth)}`;
        expect(() => JSON.parse(text)).not.toThrow();
        expect(() => parseStrictJson(Buffer.from(text))).toThrow(SyntaxError);
      }),
      { numRuns: 500 },
    );
  });

  it('reads 16 levels and refuses 17', () => {
    const nested = (levels: number) => Buffer.from('['.repeat(levels) + ']'.repeat(levels));
    expect(() => parseStrictJson(nested(16))).not.toThrow();
    expect(() => parseStrictJson(nested(17))).toThrow(SyntaxError);
    expect(() => parseStrictJson(nested(200_000))).toThrow(SyntaxError);
  });
});

/** A name in JSON with each of its characters as an escape. */
function escaped(name: string): string {
  return `"${name.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}
