/** Okta's own test of SCIM 2.0 servers, as Okta publishes it for Runscope: every step and every assertion. */
import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import request, { type Response } from 'supertest';
import { startGateway } from '../support/gateway.js';
import { createScimClient, SCIM_TOKEN } from '../support/scim.js';

type Assertion = { comparison: string; source: string; property?: string; value: string | null };

type Step = {
  step_type: 'request' | 'pause';
  skipped: boolean;
  note: string;
  method: string;
  url: string;
  headers: Record<string, string[]>;
  body?: string;
  assertions: Assertion[];
  variables: { source: string; name: string; property: string }[];
  scripts: string[];
};

const file = fileURLToPath(new URL('../../../shared/vectors/okta-scim-20-spec-test.json', import.meta.url));
const steps: Step[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).steps : [];
const requests = steps.filter(({ step_type, skipped }) => step_type === 'request' && !skipped);

const random = randomBytes(4).toString('hex');

describe('the vector of Okta', () => {
  if (steps.length > 0) it('has requests', () => expect(requests.length).toBeGreaterThan(0));
  else it.skip(`is not here: ${file}`, () => {});
});

(requests.length > 0 ? describe : describe.skip)("Okta's SCIM 2.0 spec test", () => {
  let gateway: Awaited<ReturnType<typeof startGateway>>;
  let variables: Record<string, string>;

  beforeAll(async () => {
    gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
    // The first step needs somebody to be there, and a script looks at the groups if there are any.
    const client = createScimClient(gateway.url);
    const first = await client.createUser('first@example.com', {
      name: { givenName: 'Ada', familyName: 'King' },
      emails: [{ value: 'first@example.com', primary: true, type: 'work' }],
    });
    await client.createGroup('Everyone', [first]);
    variables = {
      SCIMBaseURL: '/scim/v2',
      auth: `Bearer ${SCIM_TOKEN}`,
      InvalidUserEmail: 'nobody@example.com',
      UserIdThatDoesNotExist: '010101001010101011001010101011',
      randomEmail: `${random}@example.com`,
      randomUsername: `user-${random}@example.com`,
      randomUsernameCaps: `USER-${random}@EXAMPLE.COM`,
      randomGivenName: `Given${random}`,
      randomFamilyName: `Family${random}`,
    };
  });
  afterAll(() => gateway.close());

  const filled = (text: string) =>
    text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`the vector uses ${name}, which nothing sets`);
      return value;
    });

  for (const step of requests)
    describe(step.note.trim(), () => {
      let response: Response;
      let tookMs: number;

      beforeAll(async () => {
        const { pathname, search } = new URL(filled(step.url), 'http://gateway.invalid');
        const method = step.method.toLowerCase() as 'get' | 'post';
        const test = request(gateway.url)[method](pathname + search);
        for (const [name, values] of Object.entries(step.headers)) test.set(name, filled(values.join(', ')));
        const begun = performance.now();
        response = await (step.body === undefined ? test : test.send(filled(step.body)));
        tookMs = performance.now() - begun;
        for (const { source, name, property } of step.variables) {
          assert.equal(source, 'response_json');
          variables[name] = String(at(response.body, property));
        }
      });

      const rows = step.assertions.map((one) => [one.source, one.property ?? '', one.comparison, one.value ?? '', one]);
      it.each(rows as [string, string, string, string, Assertion][])(
        '%s %s %s %s',
        (_source, _property, _is, _value, one) => {
          check(one.comparison, actualOf(one, response, tookMs), filled(one.value ?? ''));
        },
      );

      const scripts = step.scripts.filter((script) => script.trim() !== '');
      for (const script of scripts) {
        it('script', () => {
          const context = { response: { body: response.text }, assert, log: () => {} };
          runInContext(script, createContext(context), { timeout: 1_000 });
        });
      }
    });
});

function actualOf({ source, property }: Assertion, response: Response, tookMs: number): unknown {
  switch (source) {
    case 'response_status':
      return response.status;
    case 'response_time':
      return tookMs;
    case 'response_json':
      return at(response.body, property as string);
    default:
      throw new Error(`a source that this runner does not know: ${source}`);
  }
}

/** `Resources[0].emails[0].value` */
function at(body: unknown, property: string): unknown {
  return property
    .split(/[.[\]]+/)
    .filter((name) => name !== '')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], body);
}

const comparisons: Record<string, (actual: unknown, expected: string) => void> = {
  equal: (actual, expected) => expect(String(actual)).toBe(expected),
  equal_number: (actual, expected) => expect(actual).toBe(Number(expected)),
  is_a_number: (actual) => expect(typeof actual).toBe('number'),
  is_less_than: (actual, expected) => expect(actual).toBeLessThan(Number(expected)),
  not_empty: (actual) => expect([undefined, null, '']).not.toContain(actual),
  has_value: (actual, expected) => expect(actual).toEqual(expect.arrayContaining([expected])),
  contains: (actual, expected) => expect(actual).toContain(expected),
};

function check(comparison: string, actual: unknown, expected: string): void {
  const compare = comparisons[comparison];
  if (!compare) throw new Error(`a comparison that this runner does not know: ${comparison}`);
  compare(actual, expected);
}
