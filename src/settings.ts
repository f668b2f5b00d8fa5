/** The shape of the settings file `universal-logout.yaml`: every key, its default and its limits. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { appUrl, type Connector, hasUserInfo } from './connectors/connector.js';
import { assignableAttributes } from './directory/assignment.js';
import { identifierKinds } from './directory/user.js';
import { webhookSecret } from './outbound/signed-headers.js';

// HMAC and `none` are not in the list, so no settings file can enable them (RFC 8725 §3.1).
export const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const;

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, 'is not a duration such as 30s, 10m, 72h or 90d')
  .transform(toMs);

const durationFrom = (least: string) =>
  duration.refine((ms) => ms >= toMs(least), `is too short: use ${least} or more`);

function toMs(text: string): number {
  return Number.parseInt(text, 10) * UNIT_MS[text.replace(/\d+/, '') as keyof typeof UNIT_MS];
}

const id = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, 'is not an id: 1 to 40 lower-case letters, digits and hyphens');

// What is checked next needs a URL to look at.
const httpUrl = z.url({ protocol: /^https?$/, message: 'is not an http or https URL', abort: true });

const publicUrl = httpUrl
  .refine(
    (url) => url.startsWith('https:') || isLoopback(new URL(url).hostname),
    'must be https unless it is a loopback address',
  )
  .refine((url) => !/[?#]/.test(url), 'must have no query and no fragment')
  .refine((url) => !hasUserInfo(new URL(url)), 'must have no user name or password in it')
  .transform((url) => url.replace(/\/+$/, ''));

const network = z.string().refine((text) => ipaddr.isValidCIDR(text), 'is not a network such as 10.1.0.0/16');

const jwk = z
  .looseObject({ kty: z.string() })
  .refine(({ kty }) => kty !== 'oct', {
    path: ['kty'],
    error: 'is oct, a secret with which whoever verifies can sign: use public keys, RSA or EC',
  })
  .refine((key) => key.d === undefined, {
    path: ['d'],
    error: 'is the private part of a key: leave only the public part here, and use another key',
  });

const keys = z.union(
  [
    z.strictObject({ jwksUri: appUrl }),
    z.strictObject({ discovery: appUrl }),
    z.strictObject({ jwks: z.strictObject({ keys: z.array(jwk).min(1) }) }),
    z.strictObject({ certificates: z.array(z.string().min(1)).min(1) }),
  ],
  { error: 'needs exactly one of jwksUri, discovery, jwks or certificates' },
);

const trust = z.strictObject({
  id: id.refine(
    (text) => !['operator', 'scim'].includes(text),
    'is taken: records say operator of what is asked by hand, and scim of deactivations',
  ),
  issuers: z.array(z.string().min(1)).min(1).describe('Okta can switch between org URL and custom domain: list both.'),
  client: z
    .string()
    .min(1)
    .describe("The JWT's `sub`: the app's OIDC client id or SAML app instance id, never a user."),
  keys,
  algorithms: z.array(z.enum(algorithms)).min(1).default(['RS256']),
  audiences: z.array(z.string().min(1)).default([]).describe("Empty: this tenant's endpoint URLs."),
  subjectIssuers: z.array(z.string().min(1)).default([]).describe('Empty: the same as `issuers`.'),
  identifiers: z
    .array(z.enum(identifierKinds))
    .min(1)
    .default(['externalId', 'userName'])
    .describe('What an iss_sub or opaque value may name in the directory, in this order.'),
  acceptLegacySubject: z.boolean().default(true).describe('Accept the older body member `subject`.'),
  mode: z.enum(['full', 'refresh-only']).default('full'),
  enabled: z.boolean().default(true),
});

const delivery = z.strictObject({
  concurrency: z.int().min(1).max(1000).default(10),
  ratePerSecond: z.int().min(1).max(10_000).optional(),
  timeoutMs: z.int().min(100).max(120_000).default(10_000),
  retryFor: duration.prefault('72h'),
  pendingFor: duration
    .prefault('1h')
    .describe('How long an app that has begun, and is to be asked again, may take before it is called anew.'),
  breaker: z
    .strictObject({
      failureRatio: z.number().gt(0).max(1).default(0.7),
      minimumCalls: z.int().min(1).max(10_000).default(10),
      window: durationFrom('1s').prefault('5m'),
      openFor: duration.prefault('30s'),
    })
    .prefault({})
    .describe('When the app is no longer called: this share of at least so many calls failed within the window.'),
  priority: z.int().min(0).max(100).default(0),
});

const names = z.array(z.string().min(1)).min(1);

const assignedToWhom = {
  error: 'needs to be everyone, or { groups: [names] }, { users: [userNames] } or { attribute: { name, values } }',
};

const assignedTo = z.union(
  [
    z.literal('everyone'),
    z
      .strictObject({
        groups: names.optional(),
        users: names.optional(),
        attribute: z.strictObject({ name: z.enum(assignableAttributes), values: names }).optional(),
      })
      .refine((conditions) => Object.keys(conditions).length > 0, assignedToWhom),
  ],
  assignedToWhom,
);

/** An app of any of these connectors, each with its own options. */
function app(connectors: readonly Connector<unknown>[]) {
  const common = {
    id,
    assignedTo: assignedTo
      .default('everyone')
      .describe('Whom the app is for: everyone, or whoever meets any condition.'),
    account: z.enum(identifierKinds).default('email').describe('Which identifier the app knows its users by.'),
    mode: z
      .enum(['full', 'refresh-only'])
      .default('full')
      .describe('refresh-only: sessions at this app are left alone, whatever the caller asks for.'),
    delivery: delivery.prefault({}),
  };
  const [first, ...rest] = connectors.map(({ name, options }) =>
    z.strictObject({ ...common, connector: z.literal(name), options }),
  );
  if (!first) throw new TypeError('the registry is empty');
  return z.discriminatedUnion('connector', [first, ...rest], {
    error: `needs to be one of ${connectors.map(({ name }) => name).join(', ')}`,
  });
}

const webhookTarget = z.strictObject({ url: appUrl, secret: webhookSecret });

const receiver = z.union(
  [
    z.strictObject({ id, webhook: webhookTarget }),
    z.strictObject({
      id,
      caep: z.strictObject({
        url: appUrl,
        audience: z.string().min(1),
        bearer: z.string().min(1).optional(),
        subject: z
          .enum(['email', 'opaque'])
          .default('email')
          .describe('How the person is named: by e-mail address, or by externalId as an opaque identifier.'),
      }),
    }),
  ],
  { error: 'needs id and exactly one of webhook or caep' },
);

/** The settings file under a registry of connectors. */
export function settingsSchema(connectors: readonly Connector<unknown>[]) {
  const tenant = z.strictObject({
    id,
    trusts: z.array(trust).default([]),
    scim: z
      .strictObject({
        tokens: z.array(z.string().min(20, 'needs at least 20 characters')).min(1).max(2),
        revokeOnDeactivate: z
          .boolean()
          .default(false)
          .describe('Log a user out whom the provisioning deactivates or deletes.'),
      })
      .optional(),
    sessions: z
      .strictObject({ tokens: z.array(z.string().min(20, 'needs at least 20 characters')).min(1) })
      .optional()
      .describe('Bearers of these may ask when a person of this tenant was last logged out, and nothing else.'),
    emailLocalPart: z
      .enum(['any-case', 'exact'])
      .default('any-case')
      .describe('Whether Ada@ and ada@ are one mailbox; the domain never depends on case.'),
    apps: z.array(app(connectors)).default([]),
    events: z
      .array(receiver)
      .default([])
      .describe('Who is told when a revocation is over: by a signed webhook, or by a CAEP session-revoked SET.'),
  });
  return z.strictObject({
    publicUrl: publicUrl.describe('The address under which callers reach the gateway; audiences come from here.'),
    outbound: z
      .strictObject({ allowNetworks: z.array(network).default([]) })
      .prefault({})
      .describe('Private ranges are refused unless listed here; plain http goes only to listed ones.'),
    limits: z
      .strictObject({
        refusedPerMinute: z.int().min(1).default(600),
        acceptedPerMinute: z.int().min(1).default(6000),
        auditedPerMinute: z
          .int()
          .min(1)
          .default(60)
          .describe('How many refusals of callers who are not authenticated each process writes into the audit trail.'),
        bodyKb: z.int().min(1).max(1024).default(16),
      })
      .prefault({}),
    tenants: z.array(tenant).min(1),
    alerts: z
      .strictObject({
        webhook: webhookTarget.optional(),
        overdueAfter: duration
          .prefault('15m')
          .describe('A revocation that is not over by then is reported, with the apps that it waits for.'),
      })
      .prefault({}),
    operators: z
      .strictObject({
        oidc: z
          .strictObject({
            issuer: appUrl,
            clientId: z.string().min(1),
            clientSecret: z.string().min(1),
            groups: z.array(z.string().min(1)).min(1).describe('Whoever is in one of them is an operator.'),
            subjectIssuers: z
              .array(z.string().min(1))
              .default([])
              .describe(
                'Under which issuers the trusts know the same `sub`, for a universal logout. Empty: the issuer.',
              ),
          })
          .optional()
          .describe(
            'Who may sign in at /console: at Okta, an OIDC web app that redirects to <publicUrl>/console/callback.',
          ),
      })
      .prefault({}),
    assignmentGrace: duration
      .prefault('30d')
      .describe('How long a deleted user, and an assignment that was taken away, still count in a revocation.'),
    retention: z
      .strictObject({
        revocations: durationFrom('1h')
          .prefault('90d')
          .describe('How long records and watermarks are kept: longer than a revocation takes, with all its repeats.'),
        audit: duration.prefault('400d'),
      })
      .prefault({}),
  });
}

export type Settings = z.output<ReturnType<typeof settingsSchema>>;
export type TenantSettings = Settings['tenants'][number];
export type TrustSettings = TenantSettings['trusts'][number];
export type AppSettings = TenantSettings['apps'][number];

/** JSON Schema of the settings file, for editors. */
export function settingsJsonSchema(connectors: readonly Connector<unknown>[]): object {
  return z.toJSONSchema(settingsSchema(connectors), {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => allowPlaceholder(jsonSchema),
  });
}

/** In the file itself `${NAME}` may stand for what has to look like something. */
function allowPlaceholder(jsonSchema: Record<string, unknown>): void {
  const { pattern, format, minLength } = jsonSchema;
  if (pattern === undefined && format === undefined && Number(minLength ?? 0) <= 1) return;
  for (const name of ['pattern', 'format', 'minLength']) delete jsonSchema[name];
  jsonSchema.anyOf = [
    {
      ...(pattern !== undefined && { pattern }),
      ...(format !== undefined && { format }),
      ...(minLength !== undefined && { minLength }),
    },
    { pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' },
  ];
}

export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || (isIP(host) !== 0 && ipaddr.process(host).range() === 'loopback');
}
