/** The settings file: everything that is wrong with it at once, each with its place, and no value of it. */
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type Environment, parseSettings } from '../src/config.js';
import { registry } from '../src/connectors/registry.js';
import { certificateOf } from './support/certificate.js';
import {
  app,
  CONTRACT,
  contractEnv,
  SECRET,
  tenantWith,
  topWith,
  trust,
  withApp,
  withTrust,
} from './support/settings.js';

const FILE = 'universal-logout.yaml';

const keyPair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicJwk = keyPair.publicKey.export({ format: 'jwk' });
const privateJwk = keyPair.privateKey.export({ format: 'jwk' });

/** How the file names a variable of the environment. */
const variable = (name: string) => `\${${name}}`;

/** What is wrong with this text; nothing where it is good. */
function problemsWith(text: string, env: Environment = {}, file = FILE): string[] {
  const problems: string[] = [];
  const settings = parseSettings(text, file, env, problems);
  expect(settings === undefined).toBe(problems.length > 0);
  return problems;
}

function settingsOf(text: string, env: Environment = {}, file = FILE) {
  const problems: string[] = [];
  const settings = parseSettings(text, file, env, problems);
  expect(problems).toEqual([]);
  if (!settings) throw new Error('no settings');
  return settings;
}

/** As text, with the secrets that options keep in functions. */
const revealed = (settings: unknown) =>
  JSON.stringify(settings, (_key, value) => (typeof value === 'function' ? value() : value));

describe('the settings file of the contract', () => {
  it('is accepted word for word', () => {
    const settings = settingsOf(CONTRACT, contractEnv);
    expect(settings).toMatchObject({
      publicUrl: 'https://logout.example.com',
      limits: { refusedPerMinute: 600, acceptedPerMinute: 6000, bodyKb: 16 },
      retention: { revocations: 90 * 86_400_000, audit: 400 * 86_400_000 },
    });
    expect(revealed(settings.tenants[0]?.apps)).toContain(SECRET);
    expect(settings.tenants[0]).toMatchObject({
      trusts: [{ client: '0oa1example', algorithms: ['RS256'], mode: 'full', enabled: true }],
      scim: { tokens: [contractEnv.SCIM_TOKEN] },
      apps: [
        {
          options: { secret: expect.any(Function) },
          delivery: { ratePerSecond: 50, timeoutMs: 10_000, retryFor: 72 * 3_600_000, priority: 1 },
        },
      ],
    });
  });

  it('says what it says there also by leaving it out', () => {
    const short = {
      publicUrl: 'https://logout.example.com',
      tenants: [{ id: 'default', trusts: [trust], apps: [app] }],
    };
    const full = settingsOf(CONTRACT, contractEnv);
    const settings = settingsOf(stringify(short));
    expect(settings).toMatchObject({ limits: full.limits, retention: full.retention, outbound: full.outbound });
    const own = ['id', 'issuers', 'client', 'keys', 'audiences', 'subjectIssuers'];
    const written = Object.entries(parse(CONTRACT).tenants[0].trusts[0]);
    const defaults = Object.fromEntries(written.filter(([name]) => !own.includes(name)));
    expect(settings.tenants[0]?.trusts[0]).toMatchObject(defaults);
    expect(settings.tenants[0]?.apps[0]).toMatchObject({ assignedTo: 'everyone', account: 'email' });
    expect(settings.tenants[0]?.apps[0]?.delivery).toMatchObject({ concurrency: 10, timeoutMs: 10_000 });
  });

  it('may be JSON, indented as one likes, with any line ends', () => {
    const settings = settingsOf(CONTRACT, contractEnv);
    const json = parse(CONTRACT);
    for (const text of [
      JSON.stringify(json),
      JSON.stringify(json, null, 2),
      JSON.stringify(json, null, '\t'),
      CONTRACT.replaceAll('\n', '\r\n'),
      `\uFEFF${CONTRACT}`,
    ]) {
      expect(revealed(settingsOf(text, contractEnv))).toBe(revealed(settings));
    }
  });
});

describe('what is wrong', () => {
  it('is told all at once, each with file, line, column, path and what would be right', () => {
    const text = `publicUrl: https://l.example.com?x=1
tenants:
  - id: A_b
    colour: green
    trusts:
      - id: okta
        issuers: []
        client: 7
        algorithms: [RS256, HS256]
        keys: { jwksUri: https://a.example.com, discovery: https://b.example.com }
        mode: partial
    apps:
      - id: intranet
        connector: pigeon
      - id: intranet
        connector: webhook
        account: mail
        options: { url: https://a.example.com, secret: "\${UNSET}", more: 1 }
        delivery: { retryFor: 3 days, timeoutMs: 5 }
`;
    expect(new Set(problemsWith(text))).toEqual(
      new Set([
        `${FILE}:1:12 publicUrl must have no query and no fragment`,
        `${FILE}:3:9 tenants[0].id is not an id: 1 to 40 lower-case letters, digits and hyphens`,
        `${FILE}:4:5 tenants[0].colour is not a setting`,
        `${FILE}:7:18 tenants[0].trusts[0].issuers needs at least 1 entry`,
        `${FILE}:8:17 tenants[0].trusts[0].client is missing or is not a string`,
        `${FILE}:9:29 tenants[0].trusts[0].algorithms[1] needs to be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512`,
        `${FILE}:10:15 tenants[0].trusts[0].keys needs exactly one of jwksUri, discovery, jwks or certificates`,
        `${FILE}:11:15 tenants[0].trusts[0].mode needs to be one of full, refresh-only`,
        `${FILE}:14:20 tenants[0].apps[0].connector needs to be one of ${registry.map(({ name }) => name).join(', ')}`,
        `${FILE}:15:13 tenants[0].apps[1].id is used twice`,
        `${FILE}:17:18 tenants[0].apps[1].account needs to be one of id, externalId, userName, email`,
        `${FILE}:18:56 tenants[0].apps[1].options.secret names \${UNSET}, which the environment does not have`,
        `${FILE}:18:68 tenants[0].apps[1].options.more is not a setting`,
        `${FILE}:19:31 tenants[0].apps[1].delivery.retryFor is not a duration such as 30s, 10m, 72h or 90d`,
        `${FILE}:19:50 tenants[0].apps[1].delivery.timeoutMs Too small: expected number to be >=100`,
      ]),
    );
  });

  it.each<[string, string, RegExp]>([
    ['nothing in the file', '', /^universal-logout.yaml:1:1 is missing or is not an object$/],
    ['a list', '[]', /:1:1 is missing or is not an object$/],
    ['a word', 'publicUrl', /:1:1 is missing or is not an object$/],
    ['no publicUrl', 'tenants: [{ id: default }]', /:1:1 publicUrl is missing or is not a string$/],
    ['publicUrl empty', topWith({ publicUrl: '' }), /:1:12 publicUrl is not an http or https URL$/],
    ['publicUrl plain http', topWith({ publicUrl: 'http://logout.example.com' }), /must be https unless/],
    ['publicUrl plain http to a private host', topWith({ publicUrl: 'http://10.0.0.1' }), /must be https unless/],
    ['publicUrl almost loopback', topWith({ publicUrl: 'http://127.0.0.1.example.com' }), /must be https unless/],
    ['publicUrl with a fragment', topWith({ publicUrl: 'https://a.example.com/#x' }), /no query and no fragment/],
    ['publicUrl another scheme', topWith({ publicUrl: 'ftp://a.example.com' }), /is not an http or https URL/],
    ['no tenants', topWith({ tenants: [] }), /tenants needs at least 1 entry/],
    ['an unknown setting', topWith({ tenant: [] }), /:4:1 tenant is not a setting/],
    ['a setting by a name of JavaScript', `${topWith({})}__proto__: { x: 1 }\n`, /:4:1 __proto__ is not a setting/],
    [
      'a network that is none',
      topWith({ outbound: { allowNetworks: ['10.0.0.1'] } }),
      /allowNetworks\[0\] is not a net/,
    ],
    ['a limit of zero', topWith({ limits: { refusedPerMinute: 0 } }), /limits.refusedPerMinute/],
    ['a body too large', topWith({ limits: { bodyKb: 10_000 } }), /limits.bodyKb/],
    ['a duration without unit', topWith({ retention: { audit: '400' } }), /retention.audit is not a duration/],
    [
      'a duration that is a number',
      topWith({ retention: { audit: 400 } }),
      /retention.audit is missing or is not a string/,
    ],
    ['two tenants of one id', topWith({ tenants: [{ id: 'a' }, { id: 'a' }] }), /:4:9 tenants\[1\].id is used twice/],
    [
      'two trusts of one id',
      tenantWith({ trusts: [trust, { ...trust, client: 'b' }] }),
      /trusts\[1\].id is used twice/,
    ],
    ['two apps of one id', tenantWith({ apps: [app, app] }), /apps\[1\].id is used twice/],
    [
      'one client of one issuer in two trusts',
      tenantWith({ trusts: [trust, { ...trust, id: 'b', issuers: ['https://b.example.com', ...trust.issuers] }] }),
      /trusts\[1\].issuers\[1\] is already trusted with the same client/,
    ],
    ['an app id with a dot', withApp({ id: 'in.tranet' }), /apps\[0\].id is not an id/],
    ['an app id that is too long', withApp({ id: 'a'.repeat(41) }), /apps\[0\].id is not an id/],
    ['no connector', tenantWith({ apps: [{ id: 'a' }] }), /apps\[0\].connector needs to be one of .*\bwebhook\b/],
    ['no options', tenantWith({ apps: [{ id: 'a', connector: 'webhook' }] }), /apps\[0\].options is missing/],
    [
      'options of another connector',
      withApp({ options: { ...app.options, clientId: 'x' } }),
      /options.clientId is not a/,
    ],
    ['an app at an address that is none', withApp({ options: { ...app.options, url: 'ftp://a.b' } }), /not an http or/],
    ['assigned to a word', withApp({ assignedTo: 'all' }), /assignedTo needs to be everyone, or/],
    ['assigned to nothing', withApp({ assignedTo: {} }), /assignedTo needs to be everyone, or/],
    ['assigned to no group', withApp({ assignedTo: { groups: [] } }), /assignedTo.groups needs at least 1 entry/],
    ['none for an algorithm', withTrust({ algorithms: ['none'] }), /algorithms\[0\] needs to be one of RS256/],
    ['HS256 for an algorithm', withTrust({ algorithms: ['HS256'] }), /algorithms\[0\] needs to be one of RS256/],
    ['no algorithm', withTrust({ algorithms: [] }), /algorithms needs at least 1 entry/],
    ['no keys', withTrust({ keys: {} }), /keys needs exactly one of jwksUri/],
    ['an empty client', withTrust({ client: '' }), /client is empty/],
    [
      'an unknown identifier',
      withTrust({ identifiers: ['name'] }),
      /identifiers\[0\] needs to be one of id, externalId/,
    ],
    [
      'a short SCIM token',
      tenantWith({ scim: { tokens: ['short'] } }),
      /scim.tokens\[0\] needs at least 20 characters/,
    ],
    [
      'a short alert secret',
      topWith({ alerts: { webhook: { url: 'https://a.b', secret: 'x' } } }),
      /not a Standard Web/,
    ],
    ['records kept for no time', topWith({ retention: { revocations: '0s' } }), /revocations is too short: use 1h or/],
    ['records kept too shortly', topWith({ retention: { revocations: '59m' } }), /revocations is too short: use 1h or/],
    [
      'a breaker that looks at no time',
      withApp({ delivery: { breaker: { window: '0s' } } }),
      /breaker.window is too short: use 1s or more/,
    ],
    ['the id of those who ask by hand', withTrust({ id: 'operator' }), /trusts\[0\].id is taken: /],
    ['the id of those who provision', withTrust({ id: 'scim' }), /trusts\[0\].id is taken: /],
    [
      'a user name in publicUrl',
      topWith({ publicUrl: 'https://u:s3cret@logout.example.com' }),
      /publicUrl must have no user name or password in it/,
    ],
    [
      'a user name in the URL of alerts',
      topWith({ alerts: { webhook: { url: 'https://u:s3cret@hooks.example.com', secret: SECRET } } }),
      /alerts.webhook.url must have no user name or password in it/,
    ],
    [
      'a user name in the URL of an event',
      tenantWith({ events: [{ id: 'x', webhook: { url: 'https://u@hooks.example.com', secret: SECRET } }] }),
      /events\[0\].webhook.url must have no user name or password in it/,
    ],
    [
      'a user name in the URL of keys',
      withTrust({ keys: { jwksUri: 'https://u:s3cret@acme.okta.com/keys' } }),
      /keys.jwksUri must have no user name or password in it/,
    ],
    [
      'a secret among the keys',
      withTrust({ keys: { jwks: { keys: [publicJwk, { kty: 'oct', k: 'AAAA' }] } } }),
      /keys.jwks.keys\[1\].kty is oct, a secret with which whoever verifies can sign: use public keys, RSA or EC$/,
    ],
    [
      'a private key among the keys',
      withTrust({ keys: { jwks: { keys: [publicJwk, privateJwk] } } }),
      /keys.jwks.keys\[1\].d is the private part of a key: leave only the public part here, and use another key$/,
    ],
    ['keys without https://', withTrust({ keys: { jwksUri: 'acme.okta.com/keys' } }), /jwksUri is not an http or/],
    [
      'keys with a setting that there is not',
      withTrust({ keys: { jwksUri: 'https://acme.okta.com/keys', cache: '1h' } }),
      /:\d+:\d+ tenants\[0\].trusts\[0\].keys.cache is not a setting/,
    ],
    [
      'an event without https://',
      tenantWith({ events: [{ id: 'x', webhook: { url: 'hooks.example.com', secret: SECRET } }] }),
      /events\[0\].webhook.url is not an http or https URL/,
    ],
    [
      'an event without an id',
      tenantWith({ events: [{ webhook: { url: 'https://hooks.example.com', secret: SECRET } }] }),
      /events\[0\].id is missing or is not a string/,
    ],
    [
      'an event for nobody',
      tenantWith({ events: [{ id: 'x' }] }),
      /events\[0\] needs id and exactly one of webhook or caep/,
    ],
    [
      'an event for two',
      tenantWith({ events: [{ id: 'x', webhook: {}, caep: {} }] }),
      /events\[0\] needs id and exactly one of webhook or caep/,
    ],
    ['groups that are no list', withApp({ assignedTo: { groups: 'x' } }), /assignedTo.groups is missing or is not an/],
    ['a name twice', 'publicUrl: https://a.b\npublicUrl: https://c.d', /:2:1 Map keys must be unique$/],
    ['an open bracket', 'tenants: [{ id: default }', /:1:26 Flow sequence in block collection/],
    ['an alias of nothing', `${topWith({})}alerts: *nothing`, /has an alias \(\*name\) that leads nowhere/],
    ['an alias of itself', `${topWith({})}alerts: &a [*a]`, /has an alias \(\*name\) that leads nowhere/],
  ])('is told [%s]', (_what, text, problem) => {
    const problems = problemsWith(text);
    expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(problems[0]?.startsWith(FILE)).toBe(true);
  });

  it.each([
    ['a key set', withTrust({ keys: { jwksUri: 'http://keys.example.com' } }), 'tenants[0].trusts[0].keys.jwksUri'],
    ['discovery', withTrust({ keys: { discovery: 'http://acme.okta.com' } }), 'tenants[0].trusts[0].keys.discovery'],
    ['an app', withApp({ options: { ...app.options, url: 'http://intranet' } }), 'tenants[0].apps[0].options.url'],
    ['alerts', topWith({ alerts: { webhook: { url: 'http://a.b', secret: SECRET } } }), 'alerts.webhook.url'],
    [
      'the issuer of operators',
      topWith({ operators: { oidc: { issuer: 'http://a.b', clientId: 'x', clientSecret: 'x', groups: ['x'] } } }),
      'operators.oidc.issuer',
    ],
  ])('is plain http while no network is listed [%s]', (_what, text, path) => {
    expect(problemsWith(text)).toEqual([
      expect.stringContaining(
        `${path} is plain http, which is allowed only to networks listed in outbound.allowNetworks`,
      ),
    ]);
    expect(problemsWith(`${text}outbound: { allowNetworks: [10.0.0.0/8] }\n`)).toEqual([]);
  });

  it.each(['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000', 'https://a.example.com/base/'])(
    'is no publicUrl of this kind [%s]',
    (publicUrl) => {
      expect(settingsOf(topWith({ publicUrl })).publicUrl).toBe(publicUrl.replace(/\/$/, ''));
    },
  );
});

describe('values', () => {
  it('are in no message, whatever is wrong with them', () => {
    const wrong = 's3cret value';
    const texts = [
      withApp({ options: { url: `ftp://${wrong}`, secret: wrong, previousSecret: wrong } }),
      withApp({ connector: wrong, account: wrong, assignedTo: wrong, delivery: { retryFor: wrong, timeoutMs: wrong } }),
      withTrust({ algorithms: [wrong], client: { s: wrong }, mode: wrong, keys: { jwksUri: wrong }, enabled: wrong }),
      withTrust({ keys: { certificates: [wrong] } }),
      tenantWith({ id: wrong, scim: { tokens: ['s3cret'] } }),
      topWith({ publicUrl: `http://${wrong}`, outbound: { allowNetworks: [wrong] }, retention: { audit: wrong } }),
      topWith({ operators: { oidc: { issuer: wrong, clientId: 1, clientSecret: ['s3cret'], groups: 's3cret' } } }),
      'alerts: *s3cret',
      'alerts: |s3cret\n  x',
      'alerts: @s3cret',
      'alerts: "s3cret',
      'alerts: { secret: s3cret',
      'alerts: !s3cret s3cret',
    ];
    for (const text of texts) {
      const problems = problemsWith(text);
      expect(problems.length).toBeGreaterThan(0);
      expect(problems.join('\n')).not.toContain('s3cret');
    }
  });

  it('of the environment are in no message either', () => {
    const env = { WRONG: 's3cret', EMPTY: '' };
    const problems = problemsWith(withApp({ options: { url: variable('WRONG'), secret: variable('WRONG') } }), env);
    expect(problems).toHaveLength(2);
    expect(problems.join('\n')).not.toContain('s3cret');
  });

  it('come from the environment wherever a text may stand, several to a text', () => {
    const env = { HOST: 'intranet', DOMAIN: 'example.com', ISSUER: 'https://acme.okta.com' };
    const url = `https://${variable('HOST')}.${variable('DOMAIN')}/logout`;
    const settings = settingsOf(withApp({ options: { ...app.options, url } }), env);
    expect(settings.tenants[0]?.apps[0]?.options).toMatchObject({ url: 'https://intranet.example.com/logout' });
    expect(settingsOf(withTrust({ issuers: [variable('ISSUER')] }), env).tenants[0]?.trusts[0]?.issuers).toEqual([
      env.ISSUER,
    ]);
  });

  it('are taken as they are: nothing in them is replaced again', () => {
    const env = { A: variable('B'), B: 'wrong', C: "$& $1 $' #{x}" };
    const settings = settingsOf(withTrust({ client: variable('A'), audiences: [variable('C')] }), env);
    expect(settings.tenants[0]?.trusts[0]).toMatchObject({ client: env.A, audiences: [env.C] });
  });

  it('that the environment lacks, or has empty, are named once each', () => {
    const text = withApp({ options: { url: `https://${variable('A')}/${variable('B')}`, secret: variable('EMPTY') } });
    expect(problemsWith(text, { EMPTY: '' }).map((problem) => problem.replace(/^.* names /, ''))).toEqual([
      `${variable('A')}, which the environment does not have`,
      `${variable('B')}, which the environment does not have`,
      `${variable('EMPTY')}, which the environment does not have`,
    ]);
  });

  it('that the environment lacks are named, and nothing is said of what stands there instead', () => {
    const unset = variable('UNSET');
    const webhook = { url: unset, secret: unset };
    for (const text of [
      withTrust({ keys: { jwksUri: unset } }),
      withTrust({ keys: { certificates: [unset] } }),
      tenantWith({ events: [{ id: 'x', webhook: { ...webhook, secret: SECRET } }] }),
      tenantWith({ events: [{ id: 'x', webhook: { ...webhook, url: 'https://hooks.example.com' } }] }),
      topWith({
        outbound: { allowNetworks: [unset] },
        alerts: { webhook: { url: 'http://hooks.example.com', secret: SECRET } },
      }),
    ]) {
      expect(problemsWith(text)).toEqual([
        expect.stringContaining(`names ${unset}, which the environment does not have`),
      ]);
    }
  });

  it('are only what is written in full: a bare dollar sign stays', () => {
    const client = `$A $(B) ${['', '1', 'a-b', ' A '].map(variable).join(' ')} $`;
    const settings = settingsOf(withTrust({ client }), { A: 'wrong', B: 'wrong' });
    expect(settings.tenants[0]?.trusts[0]?.client).toBe(client);
  });
});

describe('certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'universal-logout-'));
  const file = join(folder, FILE);
  const pem = certificateOf(generateKeyPairSync('rsa', { modulusLength: 2048 }));
  writeFileSync(join(folder, 'okta.pem'), pem);
  writeFileSync(join(folder, 'broken.pem'), pem.replace(/[A-Za-z0-9]{20}/, 'x'));
  writeFileSync(join(folder, 'words.pem'), 'not a certificate');

  const keysOf = (text: string) => settingsOf(text, {}, file).tenants[0]?.trusts[0]?.keys;
  const withCertificates = (...certificates: string[]) => withTrust({ keys: { certificates } });

  it('are found beside the settings file, or stand in it', () => {
    for (const certificate of ['./okta.pem', 'okta.pem', join(folder, 'okta.pem'), pem]) {
      expect(keysOf(withCertificates(certificate))).toEqual({
        certificates: [expect.stringContaining('-----BEGIN CERTIFICATE-----')],
      });
    }
    expect(keysOf(withCertificates('okta.pem', pem))).toEqual({
      certificates: [expect.any(String), expect.any(String)],
    });
  });

  it('may be several in one file, which are all read', () => {
    const next = certificateOf(generateKeyPairSync('rsa', { modulusLength: 2048 }));
    writeFileSync(join(folder, 'bundle.pem'), `subject=okta\n${pem}\r\nsubject=next\n${next}`);
    const read = [pem, next].map((one) => new X509Certificate(one).toString());
    expect(keysOf(withCertificates('bundle.pem'))).toEqual({ certificates: read });
    writeFileSync(join(folder, 'trusted.pem'), pem.replaceAll(' CERTIFICATE', ' TRUSTED CERTIFICATE'));
    expect(keysOf(withCertificates('trusted.pem'))).toEqual({ certificates: [read[0]] });
    expect(keysOf(withCertificates(pem, 'bundle.pem'))).toEqual({ certificates: [read[0], ...read] });
    writeFileSync(join(folder, 'half.pem'), next + pem.replace(/[A-Za-z0-9]{20}/, 'x'));
    expect(problemsWith(withCertificates('half.pem'), {}, file)).toEqual([
      expect.stringContaining('keys.certificates[0] is not a PEM certificate'),
    ]);
  });

  it('are five at most, since no JWT is tried with more', () => {
    writeFileSync(join(folder, 'five.pem'), pem.repeat(5));
    expect(problemsWith(withCertificates('five.pem'), {}, file)).toEqual([]);
    expect(problemsWith(withCertificates('five.pem', pem), {}, file)).toEqual([
      expect.stringMatching(
        /keys\.certificates has 6 certificates, and a JWT is tried with 5 at most: keep those that Okta signs with$/,
      ),
    ]);
  });

  it.each<[string, { publicKey: KeyObject; privateKey: KeyObject }, string[], string]>([
    [
      'is of an RSA key that is too small',
      generateKeyPairSync('rsa', { modulusLength: 1024 }),
      ['RS256'],
      'has an RSA key of 1024 bits: no JWT is accepted under less than 2048',
    ],
    [
      'is of an EC key where only RS256 is allowed',
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      ['RS256'],
      'has an EC key on P-256: no JWT is accepted under it unless algorithms has ES256',
    ],
    [
      'is of an EC key on another curve than is allowed',
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      ['RS256', 'ES256'],
      'has an EC key on P-384: no JWT is accepted under it unless algorithms has ES384',
    ],
    [
      'is of an RSA key where only ES256 is allowed',
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      ['ES256'],
      'has an RSA key: no JWT is accepted under it unless algorithms has RS256 or the like',
    ],
    [
      'is of a curve that no algorithm has',
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
      ['ES256'],
      'has a key that is neither RSA nor EC on P-256, P-384 or P-521: no JWT is accepted under it',
    ],
  ])('are a mistake where one %s', (_what, pair, algorithms, problem) => {
    const text = withTrust({ keys: { certificates: [certificateOf(pair)] }, algorithms });
    expect(problemsWith(text, {}, file)).toEqual([
      expect.stringMatching(new RegExp(`:\\d+:\\d+ tenants\\[0\\].trusts\\[0\\].keys.certificates\\[0\\] ${problem}$`)),
    ]);
  });

  it('are read together with all else', () => {
    const text = withTrust({ keys: { certificates: ['missing.pem', 'okta.pem', 'words.pem'] }, mode: 'half' });
    expect(problemsWith(text, {}, file).map((problem) => problem.replace(/^.*trusts\[0\]\./, ''))).toEqual(
      expect.arrayContaining([
        'mode needs to be one of full, refresh-only',
        'keys.certificates[0] names a file that cannot be read',
        'keys.certificates[2] is not a PEM certificate',
      ]),
    );
  });

  it.each([
    ['is not there', 'missing.pem', 'names a file that cannot be read'],
    ['is a folder', '.', 'names a file that cannot be read'],
    ['has something else in it', 'words.pem', 'is not a PEM certificate'],
    ['is damaged', 'broken.pem', 'is not a PEM certificate'],
    ['stands there damaged', pem.replace(/[A-Za-z0-9]{20}/, 'x'), 'is not a PEM certificate'],
  ])('are a mistake where one %s', (_what, certificate, problem) => {
    expect(problemsWith(withCertificates('okta.pem', certificate), {}, file)).toEqual([
      expect.stringMatching(new RegExp(`:\\d+:\\d+ tenants\\[0\\].trusts\\[0\\].keys.certificates\\[1\\] ${problem}$`)),
    ]);
  });
});

describe('an app', () => {
  const keycloak = (url: string, over: object = {}) => ({
    connector: 'keycloak',
    options: { url, realm: 'acme', clientId: 'gateway', clientSecret: 'a-secret' },
    ...over,
  });

  it('that is an identity provider must not be an issuer that asks this tenant: it would be asked back', () => {
    const problems: string[] = [];
    parseSettings(withApp(keycloak('https://acme.okta.com/auth')), 'f.yaml', {}, problems);
    expect(problems).toEqual([
      expect.stringMatching(
        /^f\.yaml:\d+:\d+ tenants\[0\]\.apps\[0\]\.options\.url is an issuer that asks this tenant for revocations: it must not be asked back$/,
      ),
    ]);
    const none: string[] = [];
    expect(parseSettings(withApp(keycloak('https://sso.example.com')), 'f.yaml', {}, none)).toBeDefined();
    expect(
      parseSettings(withApp({ options: { ...app.options, url: 'https://acme.okta.com/x' } }), 'f.yaml', {}, none),
    ).toBeDefined();
    expect(none).toEqual([]);
  });

  it('that cannot leave sessions alone cannot be set to refresh-only', () => {
    const zoom = {
      connector: 'zoom',
      options: { accountId: 'a', clientId: 'c', clientSecret: 's' },
      mode: 'refresh-only',
    };
    const zendesk = { connector: 'zendesk', options: { url: 'https://acme.zendesk.com', oauthToken: 't' } };
    const own = keycloak('https://sso.example.com', { mode: 'refresh-only' });
    for (const [name, app] of Object.entries({ zoom, keycloak: own })) {
      const problems: string[] = [];
      parseSettings(withApp(app), 'f.yaml', {}, problems);
      expect(problems).toEqual([
        expect.stringContaining(`apps[0].mode needs to be full: ${name} cannot leave sessions alone`),
      ]);
    }
    const none: string[] = [];
    parseSettings(withApp({ ...zendesk, mode: 'refresh-only' }), 'f.yaml', {}, none);
    expect(none).toEqual([]);
  });

  it('is called over plain http nowhere, neither for its tokens, where no network is listed', () => {
    const zoom = {
      connector: 'zoom',
      options: { accountId: 'a', clientId: 'c', clientSecret: 's', tokenUrl: 'http://z.example.com' },
    };
    const problems: string[] = [];
    parseSettings(withApp(zoom), 'f.yaml', {}, problems);
    expect(problems).toEqual([expect.stringContaining('options.tokenUrl is plain http')]);
  });
});
