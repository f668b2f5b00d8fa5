/** Cerby as its public pages describe it: a workspace whose jobs walk a step each time that somebody looks at them. */
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import type { Expects, Route, VendorAnswer, VendorRequest } from './vendor.js';

export type CerbyUser = {
  id: string;
  email: string;
  firstName: string;
  lastName: string;
  status: string;
  role: string;
  isGuest: boolean;
};
export type CerbyAccount = {
  id: string;
  application: string;
  /** Ids of users; what the key's user does not own it does not see. */
  owners: string[];
  /** Shared with users directly, by role. */
  users: Record<string, string>;
  /** Shared with users through a team. */
  throughTeams: string[];
  rotatedAt?: string | null;
  lastPasswordChange?: string | null;
};
export type CerbyIntegration = {
  id: string;
  application: string;
  /** What each member has there. */
  members: Record<string, { role: string; entitlements: object[] }>;
};
export type CerbyJob = { id: string; integration: string; user: string; looks: number };

export const API_KEY = 'a-s3cret-key-of-cerby';
export const KEY_OWNER = 'gateway@example.com';
export const ADA = 'ada.s3cret@example.com';

// Assumed, since only their method and path are published, or only their like: GET of a user's accounts, GET of an
// account's users, and DELETE of one of these.
export const USERS = 'GET /api/v1/users';
export const USERS_ACCOUNTS = 'GET /api/v1/users/{}/accounts';
export const INTEGRATIONS = 'GET /api/v1/integrations';
export const MEMBER = 'GET /api/v1/integrations/{}/users/{}';
export const REMOVE = 'DELETE /api/v1/integrations/{}/users/{}';
export const JOB = 'GET /api/v1/jobs/{}';
export const ACCOUNT = 'GET /api/v1/accounts/{}';
export const ACCOUNT_USERS = 'GET /api/v1/accounts/{}/users';
export const REMOVE_FROM_ACCOUNT = 'DELETE /api/v1/accounts/{}/users/{}';

const SCOPES: Record<string, string[]> = {
  [USERS]: ['Read users'],
  [USERS_ACCOUNTS]: ['Read users', 'Read accounts'],
  [INTEGRATIONS]: ['Read integrations'],
  [MEMBER]: ['Read users', 'Read integrations'],
  [REMOVE]: ['Write integrations', 'Write automated jobs'],
  [JOB]: ['Read automated jobs'],
  [ACCOUNT]: ['Read accounts'],
  [ACCOUNT_USERS]: ['Read accounts'],
  [REMOVE_FROM_ACCOUNT]: ['Write accounts'],
};

// The pages give the status as text or as number, by its value.
const problem = (status: number, code: string, detail: string, meta: object | null = null): VendorAnswer => ({
  status,
  json: { errors: [{ code, title: code, detail, status: [401, 404].includes(status) ? status : `${status}`, meta }] },
});
export const UNAUTHORIZED = problem(401, 'unauthorized', 'Unable to access resource.');
export const FORBIDDEN = problem(403, 'forbidden', 'You are not allowed to do this.');
export const NOT_FOUND = problem(404, 'not_found', 'Resource not found.');
export const CONFLICT = problem(409, 'conflict', 'Conflict.');
export const TOO_MANY = problem(429, 'too_many_requests', 'Please retry in five minutes.');

const WALK = ['created', 'started', 'running', 'retrying', 'finished'];

export type Cerby = ReturnType<typeof createCerby>;

/** One workspace with its state. What is in `data` a spec may change. */
export function createCerby() {
  const key = generateKeyPairSync('ed25519');
  const user = (id: string, email: string, firstName: string, more: Partial<CerbyUser> = {}): CerbyUser => ({
    ...{ id, email, firstName, lastName: 'Example', status: 'live', role: 'workspace_login_only', isGuest: false },
    ...more,
  });
  const account = (id: string, application: string, more: Partial<CerbyAccount> = {}): CerbyAccount => ({
    ...{ id, application, owners: ['user-gateway'], users: { 'user-ada': 'collaborator' }, throughTeams: [] },
    ...more,
  });
  const data = {
    scopes: new Set(Object.values(SCOPES).flat()),
    users: [
      user('user-gateway', KEY_OWNER, 'Gateway', { role: 'workspace_super_admin' }),
      // Names that hold an address are found by it, too.
      user('user-eve', 'eve@example.com', ADA),
      user('user-other', `not.${ADA}`, 'Ada'),
      user('user-ada', ADA, 'Ada'),
    ],
    accounts: [account('account-1', 'discord')],
    integrations: [
      {
        id: 'integration-1',
        application: 'pinterest_tenant',
        members: {
          'user-ada': {
            role: 'collaborator',
            entitlements: [
              {
                id: 'EMPLOYEE',
                type: 'entitlement',
                attributes: { group: 'primary', key: 'EMPLOYEE', label: 'Ada at Acme', value: 'EMPLOYEE' },
              },
            ],
          },
          'user-eve': { role: 'owner', entitlements: [] },
        },
      },
    ] as CerbyIntegration[],
    jobs: [] as CerbyJob[],
    /** What a job becomes at its end instead of `finished`. */
    ends: 'finished' as string,
    errorDetails: {} as object,
    canRetry: false,
    /** How many looks a job takes. */
    looks: WALK.length - 1,
    /** Membership stays although the job has finished. */
    stays: false,
    pageSize: undefined as number | undefined,
  };

  function look(job: CerbyJob): string {
    job.looks = Math.min(job.looks + 1, data.looks);
    if (job.looks < data.looks) return WALK[Math.min(job.looks, WALK.length - 2)] as string;
    const members = data.integrations.find(({ id }) => id === job.integration)?.members;
    if (data.ends === 'finished' && !data.stays) delete members?.[job.user];
    return data.ends;
  }

  function list(request: VendorRequest, all: readonly object[], defaultSize = 25): VendorAnswer {
    const number = Number(request.query['page[number]'] ?? 1);
    const size = data.pageSize ?? Number(request.query['page[size]'] ?? defaultSize);
    for (const [name, value, most] of [
      ['number', number, Infinity],
      ['size', size, 100],
    ] as const) {
      if (Number.isInteger(value) && value >= 1 && value <= most) continue;
      const meta = { loc: ['query', `page[${name}]`], msg: 'out of range', type: 'value_error' };
      return problem(400, 'validation_error', 'out of range', meta);
    }
    const path = request.call.split(' ')[1]?.replaceAll('{}', () => request.segments[0] ?? '') ?? '';
    const link = (to: number) =>
      `${path}?${new URLSearchParams({ ...request.query, 'page[number]': String(to), 'page[size]': String(size) })}`;
    const start = (number - 1) * size;
    return {
      json: {
        data: all.slice(start, start + size),
        links: {
          self: link(number),
          next: start + size < all.length ? link(number + 1) : null,
          previous: number > 1 ? link(number - 1) : null,
        },
        meta: { page: { maxSize: 100, total: all.length } },
      },
    };
  }

  const userResource = ({ id, ...attributes }: CerbyUser) => ({
    id,
    type: 'user',
    attributes: { ...attributes, mfaStatus: null },
  });
  const usersOf = ({ users, throughTeams }: CerbyAccount) => [...new Set([...Object.keys(users), ...throughTeams])];
  const visible = ({ owners }: CerbyAccount) => owners.includes('user-gateway');

  const routes = (): Route[] => {
    const route = (
      call: string,
      query: Expects['query'] | readonly Expects['query'][],
      answer: Route['answer'],
    ): Route => ({
      call,
      expects: [query].flat().map((one) => ({ headers: { 'x-api-key': API_KEY }, query: one ?? {} })),
      answer(request) {
        const isMissing = (SCOPES[call] ?? []).some((scope) => !data.scopes.has(scope));
        return request.headers['x-api-key'] !== API_KEY || isMissing ? UNAUTHORIZED : answer(request);
      },
    });
    const size = expect.stringMatching(/^\d+$/);
    const following = { 'page[number]': size, 'page[size]': size };
    const filtered = { filter: expect.stringMatching(/^(ada\.s3cret|gateway)@example\.com$/), 'page[size]': '100' };

    return [
      route(USERS, [filtered, { ...filtered, ...following }], (request) => {
        const text = (request.query.filter ?? '').toLowerCase();
        const found = data.users.filter(({ email, firstName, lastName }) =>
          [email, `${firstName} ${lastName}`].some((one) => one.toLowerCase().includes(text)),
        );
        return list(request, found.map(userResource));
      }),
      route(USERS_ACCOUNTS, [{}, following], (request) => {
        const [id = ''] = request.segments;
        if (!data.users.some((one) => one.id === id)) return NOT_FOUND;
        const of = data.accounts.filter((one) => usersOf(one).includes(id) || one.owners.includes(id));
        return list(
          request,
          of.map(({ id, application }) => ({ id, type: 'account', attributes: { application } })),
        );
      }),
      route(INTEGRATIONS, [{ 'page[size]': '100' }, following], (request) =>
        list(
          request,
          data.integrations.map(({ id, application }) => ({ id, type: 'account', attributes: { application } })),
        ),
      ),
      route(MEMBER, {}, ({ segments: [id = '', user = ''] }) => {
        for (const job of data.jobs) if (job.integration === id && job.user === user) look(job);
        const member = data.integrations.find((one) => one.id === id)?.members[user];
        const known = data.users.find((one) => one.id === user);
        if (!member || !known) return NOT_FOUND;
        const { email, firstName, lastName, isGuest, status } = known;
        const attributes = { email, firstName, lastName, isGuest, status, ...member };
        return {
          json: { data: { id: user, type: 'user', attributes, meta: { dynamicFields: { nickname: 's3cret' } } } },
        };
      }),
      route(REMOVE, {}, ({ segments: [integration = '', user = ''] }) => {
        if (!data.integrations.find(({ id }) => id === integration)?.members[user]) return NOT_FOUND;
        const job = { id: `job-${data.jobs.length + 1}`, integration, user, looks: 0 };
        data.jobs.push(job);
        return { json: { data: { id: job.id, type: 'job', attributes: { status: 'created' } } } };
      }),
      route(JOB, {}, ({ segments: [id = ''] }) => {
        const job = data.jobs.find((one) => one.id === id);
        if (!job) return NOT_FOUND;
        const status = look(job);
        const attributes = {
          ...{ status, workflowType: 'revoke_access', trigger: 'Cerby API', canRetry: data.canRetry },
          account: { entity: 'account', id: job.integration, name: 's3cret', provider: 'pinterest_tenant' },
          errorDetails: status === 'error' ? data.errorDetails : {},
        };
        return { json: { data: { id, type: 'job', attributes }, links: { self: `/api/v1/jobs/${id}` }, meta: {} } };
      }),
      route(ACCOUNT, {}, ({ segments: [id] }) => {
        const found = data.accounts.find((one) => one.id === id);
        if (!found || !visible(found)) return UNAUTHORIZED;
        const { application, rotatedAt, lastPasswordChange } = found;
        const attributes = { application, label: 's3cret', email: ADA, rotatedAt, lastPasswordChange };
        return { json: { data: { id, type: 'account', attributes } } };
      }),
      route(ACCOUNT_USERS, [{}, following], (request) => {
        const found = data.accounts.find(({ id }) => id === request.segments[0]);
        if (!found || !visible(found)) return UNAUTHORIZED;
        const users = usersOf(found).map((id) => ({
          id,
          type: 'user',
          attributes: { role: found.users[id] ?? 'collaborator' },
        }));
        return list(request, users);
      }),
      route(REMOVE_FROM_ACCOUNT, {}, ({ segments: [id = '', user = ''] }) => {
        const found = data.accounts.find((one) => one.id === id);
        if (!found || !visible(found)) return UNAUTHORIZED;
        if (!(user in found.users)) return NOT_FOUND;
        delete found.users[user];
        return { status: 204 };
      }),
    ];
  };

  return {
    data,
    routes,
    account,
    /** The public key as text, in the form that options have. */
    publicKey: `ed25519=${key.publicKey.export({ format: 'jwk' }).x}`,
    privateKey: key.privateKey,
    /** What Cerby's own Universal Logout does to the accounts of a user; answers the events that it then sends. */
    universalLogout(userId: string, now: Date): object[] {
      const able = data.accounts.filter((one) => usersOf(one).includes(userId) && one.application !== 'unmanaged');
      return able.flatMap((one) => {
        one.rotatedAt = now.toISOString();
        const data = { account_id: one.id, application: one.application };
        const job = { ...data, automation_job_id: randomUUID(), automation_link: 'https://acme.cerby.com/automation' };
        return [
          event('account.credentials.rotated', now, { ...data, credentials_identifier: ADA }),
          event('automation.password.rotated', now, job),
          event('automation.succeeded', now, { ...job, action: 'password_rotation' }),
        ];
      });
    },
  };
}

export function event(event_type: string, now: Date, data: object, more: object = {}): object {
  return {
    ...{ envelope_version: '1.0', event_id: randomUUID(), event_type, occurred_at: now.toISOString() },
    ...{ workspace_id: randomUUID(), data, trace_id: null, correlation_id: null, ...more },
  };
}

type SigningKey = ReturnType<typeof createCerby>['privateKey'] | string;

/** Headers as they come over the wire, one signature for each key: a private key signs Ed25519, a text HMAC. */
export function signedByCerby(body: string, now: Date, keys: readonly SigningKey[], attempt = 1): string[] {
  const timestamp = now.toISOString();
  const signed = Buffer.from(`${timestamp}.${body}`);
  const delivery = randomUUID();
  return [
    ...['Content-Type', 'application/json'],
    ...keys.flatMap((key) => [
      'X-Cerby-Signature',
      typeof key === 'string'
        ? `hmac-sha256=${createHmac('sha256', key).update(signed).digest('base64url')}`
        : `ed25519=${sign(null, signed, key).toString('base64url')}`,
    ]),
    ...keys.flatMap(() => ['X-Cerby-Signature-Key-Id', randomUUID()]),
    ...['X-Cerby-Signature-Timestamp', timestamp, 'X-Cerby-Delivery', delivery],
    ...['X-Cerby-Attempt', String(attempt), 'Idempotency-Key', delivery],
  ];
}
