/** What `connectors new` writes: a connector that compiles and keeps the contract, for an app with one DELETE. */

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The whole of src/connectors/registry.ts. */
export function registryText(names: readonly string[]): string {
  const sorted = [...new Set(names)].sort((a, b) => (a < b ? -1 : 1));
  return `/** The connectors that a settings file can name. */
${['connector', ...sorted]
  .sort((a, b) => (a < b ? -1 : 1))
  .map((name) =>
    name === 'connector'
      ? "import type { Connector } from './connector.js';"
      : `import { ${camelCase(name)} } from './${name}.js';`,
  )
  .join('\n')}

// Each connector has options of its own; the settings file's schema has matched them to the connector by name.
// biome-ignore lint/suspicious/noExplicitAny: see above.
export const registry: readonly Connector<any>[] = [
${sorted.map((name) => `  ${camelCase(name)},`).join('\n')}
];
`;
}

export function connectorText({ name, app, url }: { name: string; app: string; url: string }): string {
  const identifier = camelCase(name);
  return `/** Ends a person's sessions at ${app}. */
import { z } from 'zod';
import { email } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, defineConnector, NONE, secret, unlessNotFound } from './connector.js';
import { saying } from './request.js';

// TODO: what the app needs to be told. A credential is secret(): nothing prints it.
const options = z.strictObject({
  url: apiUrl.default('${url}').describe('The API.'),
  token: secret().describe('An API token.'),
});
type Options = z.output<typeof options>;

export const ${identifier} = defineConnector({
  name: '${name}',
  options,
  // TODO: email, or identifier where the app takes user names and ids of its own too.
  account: email,
  // TODO: add 'refresh-only' if the app can revoke tokens and leave sessions alone, and look at call.mode then.
  modes: ['full'],
  // TODO: every line from the vendor's page, in sentences; what no page says goes into unknown.
  docs: {
    app: ${quoted(app)},
    coverage: 'partial',
    does: 'Ends all sessions of the user (\`DELETE /users/{email}/sessions\`).',
    ends: ['sessions'],
    livesOn: 'Tokens of OAuth apps.',
    lingers: 'Until the app notices.',
    permission: 'An API token that may end sessions.',
    credential: ['Make an API token in the settings of the app.'],
    rateLimit: 'Not stated.',
    unknown: ['Whether tokens of OAuth apps are revoked too.'],
    sources: ['${url}/docs'],
  },

  // No retry, no timeout, no waiting: the engine does that. An outcome, or { pending } where the app has only begun.
  async revoke(account, options, call) {
    const answer = await unlessNotFound(api(options, call)('DELETE', path\`/users/\${account}/sessions\`));
    if (!answer) return NONE;
    return { state: 'revoked', what: ['sessions'], partial: 'tokens of OAuth apps live on' };
  },

  // Calls that change nothing, and prove as much as they can.
  async check(options, call) {
    await api(options, call)('GET', path\`/me\`, { answer: z.object({ id: z.string() }) });
    return { ok: true, detail: 'the token is good; whether it may end sessions shows at the first revocation' };
  },
});

function api({ url, token }: Options, call: CheckCall) {
  // TODO: the app's own word for an unknown user, so that a wrong URL is not taken for one.
  const exceptions = { 404: saying(/user_not_found/, 'not_found', 'refused') };
  return createApi('${name}', { url, authorize: bearer(token), exceptions }, call);
}
`;
}

export function specText({ name, app }: { name: string; app: string }): string {
  const identifier = camelCase(name);
  return `/** ${app}: TODO, in one sentence, what is particular about it. */
import { ${identifier} } from '../../src/connectors/${name}.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor } from '../support/vendor.js';

// What holds s3cret must show up in no error.
const ACCOUNT = 'ada.s3cret@example.com';
const END = 'DELETE /users/{}/sessions';
const headers = { authorization: 'Bearer token-s3cret' };
const UNKNOWN = { status: 404, json: { error: 'user_not_found' } };

// TODO: every call, as the vendor's page has it: method, path, headers, query, body, answers. Anything else that the
// connector sends is a violation.
const vendor = (known = true): Route[] => [
  { call: 'GET /me', expects: { headers }, answer: () => ({ json: { id: '1' } }) },
  {
    call: END,
    expects: { headers },
    answer: ({ segments }) => (known && segments[0] === ACCOUNT ? { status: 204 } : UNKNOWN),
  },
];

keepsContract(${identifier}, {
  account: ACCOUNT,
  options: (url) => ({ url, token: 'token-s3cret' }),
  vendor: () => vendor(),
  calls: [END],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'tokens of OAuth apps live on' },
  unknown: { 'no such user': () => vendor(false) },
  check: { ok: true, detail: 'the token is good; whether it may end sessions shows at the first revocation' },
});

// TODO: what else can go wrong at this app: users who resemble each other, a 200 that is a failure, several pages.
describe('what is particular to ${name}', () => {
  it('does not take a wrong URL for an unknown user', async () => {
    const calls = await createCalls();
    const elsewhere = await startVendor(
      vendor().map((route) => ({ ...route, answer: () => ({ status: 404, json: { error: 'no such route' } }) })),
    );
    const options = ${identifier}.options.parse({ url: elsewhere.url, token: 'token-s3cret' });
    await expect(${identifier}.revoke(ACCOUNT, options, calls.call())).rejects.toMatchObject({ reason: 'refused' });
    expect(elsewhere.requests.map(({ call }) => call)).toEqual([END]);
    await Promise.all([elsewhere.close(), calls.close()]);
  });
});
`;
}

/** With the quotes that the formatter likes best. */
function quoted(text: string): string {
  return /['\\\n]/.test(text) ? JSON.stringify(text) : `'${text}'`;
}
