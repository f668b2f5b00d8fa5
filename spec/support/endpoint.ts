/** The endpoint with everything a refusal must leave alone: a watched app, a clock that stands still, and the state. */
import request, { type Response, type Test } from 'supertest';
import { eventually } from './eventually.js';
import { PUBLIC_URL, startGateway } from './gateway.js';
import { CLIENT, type Deviation, type Key, signRevocation, startOkta } from './okta.js';
import { startTargetApp } from './target-app.js';

export const PATH = '/global-token-revocation';
export const ENDPOINT = PUBLIC_URL + PATH;
export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
export const ADA = { sub_id: { format: 'email', email: 'ada@example.com' } };

type Trust = Record<string, unknown>;

export type EndpointOptions = {
  /** What the trust of the default tenant has beside issuers, client and keys; `moreTrusts` come beside it. */
  trust?: (issuer: string) => Trust;
  moreTrusts?: (issuer: string) => Trust[];
  /** What else the default tenant has. */
  tenant?: object;
  moreTenants?: (issuer: string) => object[];
  limits?: object;
  /** How the default tenant is provisioned. */
  scim?: object;
  /** What else is given to the gateway: its roles, its prefix, its Redis. */
  gateway?: Parameters<typeof startGateway>[1];
};

export type Endpoint = Awaited<ReturnType<typeof startEndpoint>>;

/** Ada is a user of the tenant `default`, whose one app knows everybody by e-mail address. */
export async function startEndpoint(options: EndpointOptions = {}) {
  const [okta, app] = await Promise.all([startOkta(), startTargetApp()]);
  const { issuer, jwksUri } = okta;
  const clock = { now: Math.floor(Date.now() / 1000) * 1000 };
  const settings = {
    limits: {
      ...{ refusedPerMinute: 1_000_000, acceptedPerMinute: 1_000_000, auditedPerMinute: 1_000_000 },
      ...options.limits,
    },
    tenants: [
      {
        id: 'default',
        ...options.tenant,
        trusts: [
          { id: 'okta', issuers: [issuer], client: CLIENT, keys: { jwksUri }, ...options.trust?.(issuer) },
          ...(options.moreTrusts?.(issuer) ?? []),
        ],
        ...(options.scim && { scim: options.scim }),
        apps: [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } }],
      },
      ...(options.moreTenants?.(issuer) ?? []),
    ],
  };
  const gateway = await startGateway(settings, { now: () => clock.now, ...options.gateway });
  await gateway.directory.put('default', person('ada', { externalId: '00u1ada' }));

  const sign = (deviation: Deviation = {}, key: Key = okta.key) =>
    signRevocation(key, { issuer, audience: ENDPOINT }, { now: clock.now, ...deviation });

  /** A request as Okta sends it; a string or a Buffer goes out as it is. */
  function post(jwt: string | undefined, body: unknown = ADA, path = PATH): Test {
    const test = request(gateway.url).post(path).set('content-type', 'application/json');
    if (jwt !== undefined) test.set('authorization', `Bearer ${jwt}`);
    return test.serialize((raw) => raw as string).send(bytes(body) as unknown as object);
  }

  /** Waits until everything that was accepted is carried out. */
  async function rest(): Promise<void> {
    await eventually(
      async () => unfinished(await gateway.state()),
      ({ length }) => length === 0,
    );
  }

  /** Sends; tells the answer, what was written to the audit trail, and which keys in Redis are not as before. */
  async function observe(send: () => Promise<Response> | Test) {
    // So that no worker changes anything meanwhile.
    await rest();
    const before = await gateway.state();
    const written = await gateway.audit();
    const fading = await expiringSoon(gateway, Object.keys(before));
    const calls = app.calls.length;
    const response = await send();
    // Our own failures, and floods, are not written down.
    const silent = response.status >= 500 || response.status === 429;
    const trail = await eventually(gateway.audit, (entries) => silent || entries.length > written.length);
    const after = await gateway.state();
    const changed = Object.keys({ ...before, ...after })
      .filter((key) => before[key] !== after[key] && !fading.has(key))
      .map((key) => key.slice(gateway.prefix.length + 1).replace(/[0-9a-f]{64}/, '*'))
      .sort((a, b) => a.localeCompare(b));
    return { response, audited: trail.slice(written.length), changed, calls: app.calls.length - calls };
  }

  return {
    okta,
    app,
    gateway,
    /** One more process of the same gateway. */
    startSibling: () => startGateway(settings, { now: () => clock.now, ...options.gateway, prefix: gateway.prefix }),
    clock,
    settings,
    sign,
    post,
    rest,
    observe,
    async close(): Promise<void> {
      await gateway.close();
      await Promise.all([okta.close(), app.close()]);
    },
  };
}

/** The jobs that are left in any queue. */
function unfinished(state: Record<string, string>): string[] {
  return Object.keys(state).filter((key) => /:rev_[^:]+$/.test(key) && !key.includes(':revocation:'));
}

/** Keys that may go by themselves while a spec looks. */
async function expiringSoon(
  { redis }: Awaited<ReturnType<typeof startGateway>>,
  keys: readonly string[],
): Promise<Set<string>> {
  const left = await Promise.all(keys.map((key) => redis.pttl(key)));
  return new Set(keys.filter((_, index) => left[index] !== -1 && (left[index] ?? 0) < 10_000));
}

/** A user by one name, with whatever else a spec needs. */
export function person(name: string, more: { externalId?: string; emails?: string[]; active?: boolean } = {}) {
  const email = `${name}@example.com`;
  return { userName: email, active: true, emails: [email], phoneNumbers: [], groups: [], ...more };
}

function bytes(body: unknown): string | Buffer {
  return typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
}

/** An answer without what differs from one answer to the next anyway. */
export function comparable({ status, headers, text }: Response) {
  const { date: _, ...rest } = headers as Record<string, string>;
  return { status, headers: rest, text };
}
