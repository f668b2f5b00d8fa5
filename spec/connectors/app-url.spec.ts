/** Where an app is called: nothing in the URL may make a call go elsewhere, or be lost without a word. */
import { apiUrl, appUrl } from '../../src/connectors/connector.js';
import { registry } from '../../src/connectors/registry.js';

const problemsOf = (schema: typeof appUrl, url: string) =>
  schema.safeParse(url).error?.issues.map(({ message }) => message) ?? [];

it.each([
  ['not a URL', /^is not an http or https URL$/],
  ['ftp://app.example.com', /^is not an http or https URL$/],
  ['https://app.example.com/#/', /no fragment/],
  ['https://app.example.com/#', /no fragment/],
  ['https://app.example.com?a#b', /no fragment/],
  ['https://ada:s3cret@app.example.com', /no user name or password/],
  ['https://ada@app.example.com', /no user name or password/],
  ['https://:s3cret@app.example.com', /no user name or password/],
])('is no URL with what is never sent: %s', (url, wanted) => {
  for (const schema of [appUrl, apiUrl]) {
    const problems = problemsOf(schema, url);
    expect(problems).toContainEqual(expect.stringMatching(wanted));
    expect(problems.join()).not.toContain('s3cret');
  }
});

it.each(['https://app.example.com?tenant=1', 'https://app.example.com/logout?'])(
  'may have a query, but not where paths are appended to it: %s',
  (url) => {
    expect(problemsOf(appUrl, url)).toEqual([]);
    expect(problemsOf(apiUrl, url)).toEqual([expect.stringMatching(/^must have no query/)]);
  },
);

it.each([
  'https://app.example.com',
  'http://127.0.0.1:8080/',
  'https://app.example.com/api/v1/',
  'https://a.example/@b',
])('is one: %s', (url) => {
  expect([problemsOf(appUrl, url), problemsOf(apiUrl, url)]).toEqual([[], []]);
});

// The protocol has one URL, and nothing is appended to it.
const CALLED_AS_IT_STANDS = [
  ...['webhook', 'oidc-backchannel-logout', 'global-token-revocation', 'caep', 'oauth-token-revocation'],
];

it.each(registry.map(({ name, options }) => [name, options] as const))(
  'of %s has no query unless it is called as it stands',
  (name, options) => {
    const isFine = (url: string) => {
      const { error } = options.safeParse({ url });
      return error?.issues.every(({ path }) => path[0] !== 'url') ?? true;
    };
    expect(isFine('https://app.example.com/a')).toBe(true);
    expect(isFine('https://app.example.com/a?b=c')).toBe(CALLED_AS_IT_STANDS.includes(name));
  },
);
