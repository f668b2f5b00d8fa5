/** SCIM: an exact look-up, a PATCH, a look afterwards; and who may be activated again. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import SCIMMY from 'scimmy';
import SCIMMYRouters from 'scimmy-routers';
import type { Call, Outcome, Pending } from '../../src/connectors/connector.js';
import { scimDeactivate } from '../../src/connectors/scim-deactivate.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, ERROR, LIST, PATCH_OP, SCIM_TOKEN } from '../support/scim.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /scim/v2/Users';
const READ = 'GET /scim/v2/Users/{}';
const PATCH = 'PATCH /scim/v2/Users/{}';
const UNKNOWN = { status: 404, json: { schemas: [ERROR], status: '404', detail: 'Resource u-1 not found' } };
const authorization = 'Bearer a-s3cret-token';

type Person = {
  id: string;
  userName?: string;
  emails?: object[];
  externalId?: string;
  active?: unknown;
  meta?: object;
};

/** An app with one table of users; each change of a user gives it a version, as an ETag. */
function app({
  people = [{ id: 'u-1', userName: 'Ada.S3cret@example.com', active: true }],
  versions = true,
  filter = `userName eq "${ACCOUNT}"`,
  noPath = false,
}: {
  people?: Person[];
  versions?: boolean;
  filter?: string;
  noPath?: boolean;
} = {}) {
  const versionOf = new Map<string, number>(people.map(({ id }) => [id, 1]));
  const shown = (one: Person) =>
    versions
      ? { ...one, meta: { version: `W/"${versionOf.get(one.id)}"`, lastModified: '2026-01-01T00:00:00Z' } }
      : one;
  const headers = { authorization, accept: 'application/scim+json' };
  const change = (one: Person, active: unknown) => {
    one.active = active;
    versionOf.set(one.id, (versionOf.get(one.id) ?? 0) + 1);
  };
  const operation = (value: boolean) =>
    noPath ? { op: 'replace', value: { active: value } } : { op: 'replace', path: 'active', value };
  const routes: Route[] = [
    {
      call: FIND,
      expects: [
        { headers, query: { filter, startIndex: expect.stringMatching(/^\d+$/), count: '100' } },
        { headers, query: { count: '1' } }, // The check.
      ],
      answer: ({ query }) => {
        const from = Number(query.startIndex ?? 1) - 1;
        const Resources = people.slice(from, from + Number(query.count)).map(shown);
        return { json: { schemas: [LIST], totalResults: people.length, Resources } };
      },
    },
    {
      call: READ,
      expects: { headers },
      answer: ({ segments }) => {
        const one = people.find(({ id }) => id === segments[0]);
        return one ? { json: shown(one) } : UNKNOWN;
      },
    },
    {
      call: PATCH,
      expects: [true, false].flatMap((value) =>
        [{}, { 'if-match': expect.stringMatching(/^W\/"\d+"$/) }].map((more) => ({
          headers: { ...headers, 'content-type': 'application/scim+json', ...more },
          json: { schemas: [PATCH_OP], Operations: [operation(value)] },
        })),
      ),
      answer: ({ segments, headers: sent, json }) => {
        const one = people.find(({ id }) => id === segments[0]);
        if (!one) return UNKNOWN;
        const match = sent['if-match'];
        if (match !== undefined && match !== `W/"${versionOf.get(one.id)}"`) return { status: 412 };
        change(one, /"active":true|"value":true/.test(JSON.stringify(json)));
        return { status: 204 };
      },
    },
  ];
  return { routes, people, change };
}

const CHECK = {
  ok: true,
  detail: 'users can be read; whether they can be changed shows at the first revocation',
} as const;
const optionsAt = (url: string) => ({ url: `${url}/scim/v2`, token: 'a-s3cret-token' });
const unknown = {
  'nobody is found': () => app({ people: [] }).routes,
  'only others who resemble the account are found': () =>
    app({ people: [{ id: 'u-2', userName: `x${ACCOUNT}` }, { id: 'u-3' }] }).routes,
  'the list of nobody is left out': () => [
    { ...(app().routes[0] as Route), answer: () => ({ json: { schemas: [LIST], totalResults: 0 } }) },
  ],
  'the user has gone since': () => {
    const { routes, people } = app();
    const [find, ...others] = routes as [Route, ...Route[]];
    const found = find.answer({ query: {} } as never);
    people.length = 0;
    return [{ ...find, answer: () => found }, ...others];
  },
};

keepsContract(scimDeactivate, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => app().routes,
  calls: [FIND, PATCH, READ],
  main: PATCH,
  outcome: {
    state: 'revoked',
    what: ['access'],
    partial: 'whether its sessions end is up to the app',
    verified: true,
  },
  unknown,
  exceptions: { [PATCH]: { 412: 'server' } },
  check: CHECK,
});

describe('with reactivate', () => {
  keepsContract(scimDeactivate, {
    account: ACCOUNT,
    options: (url) => ({ ...optionsAt(url), reactivate: true, ends: ['sessions'] }),
    vendor: () => app().routes,
    calls: [FIND, READ, PATCH, READ, READ, PATCH],
    main: PATCH,
    outcome: { state: 'revoked', what: ['sessions'], partial: 'it is active again' },
    unknown,
    exceptions: { [PATCH]: { 412: 'server' } },
    check: CHECK,
  });
});

describe('scim-deactivate', () => {
  let vendor: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  const closers: (() => unknown)[] = [];

  beforeAll(async () => {
    vendor = await startVendor();
    calls = await createCalls();
  });
  afterEach(() => Promise.all(closers.splice(0).map((close) => close())));
  afterAll(() => Promise.all([vendor.close(), calls.close()]));

  const optionsOf = (over: object = {}) => scimDeactivate.options.parse({ ...optionsAt(vendor.url), ...over });
  const revoke = (over: object = {}, account = ACCOUNT) =>
    scimDeactivate.revoke(account, optionsOf(over), calls.call()) as Promise<Outcome>;
  const changed = () => vendor.requests.filter(({ call }) => call === PATCH).map(({ json }) => json);

  describe('the look-up', () => {
    it('writes the account as a string of the filter’s grammar, so that it cannot end it', async () => {
      const account = 'ada"or(active-eq-true)or"';
      const { routes } = app({ filter: 'userName eq "ada\\"or(active-eq-true)or\\""' });
      vendor.reset(routes);
      expect(await revoke({}, account)).toEqual({ state: 'none', what: [] });
      expect(vendor.violations).toEqual([]);
    });

    it.each([
      [
        'emails',
        { emails: [{ value: 'other@example.com' }, { value: ACCOUNT.toUpperCase() }] },
        `emails.value eq "${ACCOUNT}"`,
      ],
      ['externalId', { externalId: ACCOUNT }, `externalId eq "${ACCOUNT}"`],
    ])('is by the attribute that the options name [%s]', async (lookUp, one, filter) => {
      vendor.reset(app({ people: [{ id: 'u-1', active: true, ...one }], filter }).routes);
      expect(await revoke({ lookUp })).toMatchObject({ state: 'revoked', what: ['access'] });
      expect(vendor.violations).toEqual([]);
    });

    it('takes no other case for the same externalId', async () => {
      const people = [{ id: 'u-1', externalId: ACCOUNT.toUpperCase() }];
      vendor.reset(app({ people, filter: `externalId eq "${ACCOUNT}"` }).routes);
      expect(await revoke({ lookUp: 'externalId' })).toEqual({ state: 'none', what: [] });
      expect(changed()).toEqual([]);
    });

    it('changes nobody where several are called so', async () => {
      vendor.reset(app({ people: ['u-1', 'u-2'].map((id) => ({ id, userName: ACCOUNT, active: true })) }).routes);
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
      expect(changed()).toEqual([]);
    });

    it('goes through every page of an app that ignores the filter, and gives up on an endless one', async () => {
      const others = Array.from({ length: 250 }, (_, index) => ({
        id: `o-${index}`,
        userName: `o-${index}`,
        active: true,
      }));
      const people = [...others, { id: 'u-1', userName: ACCOUNT, active: true }];
      vendor.reset(app({ people }).routes);
      expect(await revoke()).toMatchObject({ state: 'revoked' });
      expect(people.filter(({ active }) => active !== true).map(({ id }) => id)).toEqual(['u-1']);
      expect(vendor.requests.filter(({ call }) => call === FIND)).toHaveLength(3);

      const [find, ...rest] = app().routes as [Route, ...Route[]];
      const endless = () => ({ json: { totalResults: 1e9, Resources: [{ id: 'o-1' }] } });
      vendor.reset([{ ...find, answer: endless }, ...rest]);
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('20 pages') });
    });
  });

  describe('the PATCH', () => {
    it('has no path where the app wants none', async () => {
      vendor.reset(app({ noPath: true }).routes);
      expect(await revoke({ patchOp: 'no-path' })).toMatchObject({ state: 'revoked', verified: true });
      expect(vendor.violations).toEqual([]);
    });

    it('that is answered by success and changes nothing is a failure', async () => {
      vendor.reset(app().routes);
      vendor.failAt(PATCH, (res) => give(res, { json: { active: true } }));
      await expect(revoke()).rejects.toMatchObject({
        reason: 'server',
        message: expect.stringContaining('still active'),
      });
    });

    it('is not said to be verified where the app does not show `active`', async () => {
      const { routes } = app();
      vendor.reset(routes);
      vendor.failAt(READ, (res) => give(res, { json: { id: 'u-1' } }));
      expect(await revoke({ ends: ['sessions'] })).toEqual({ state: 'revoked', what: ['access', 'sessions'] });
    });

    it('understands `active` as a word', async () => {
      vendor.reset(app().routes);
      vendor.failAt(READ, (res) => give(res, { json: { id: 'u-1', active: 'True' } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      vendor.failAt(READ, (res) => give(res, { json: { id: 'u-1', active: 'False' } }));
      expect(await revoke()).toMatchObject({ verified: true });
    });
  });

  describe('activating again', () => {
    const bounce = { reactivate: true, ends: ['sessions'] };
    const begin = async (attempt = 1) =>
      (await scimDeactivate.revoke(ACCOUNT, optionsOf(bounce), calls.call({ attempt }))) as Pending;
    const goOn = ({ pending }: Pending, over: Partial<Call> = {}) =>
      scimDeactivate.poll?.(
        JSON.parse(JSON.stringify(pending.poll)),
        optionsOf(bounce),
        calls.call(over),
      ) as Promise<Outcome>;

    it('is off by default, and says what it is good for', () => {
      const problems = (over: object) =>
        scimDeactivate.options.safeParse({ ...optionsAt('https://a.example.com'), ...over }).error?.issues;
      expect(optionsOf().reactivate).toBe(false);
      expect(problems({ reactivate: true })).toMatchObject([{ path: ['ends'] }]);
      expect(problems({ ...bounce, afterMs: 10 })).toMatchObject([{ path: ['afterMs'] }]);
    });

    it('comes after a while, of a user who was active and has not been changed since', async () => {
      const { routes, people } = app();
      vendor.reset(routes);
      const pending = await begin();
      expect(pending).toEqual({
        pending: {
          poll: { id: 'u-1', version: 'W/"2"', lastModified: '2026-01-01T00:00:00Z' },
          afterMs: 60_000,
          removed: [{ deactivated: 'u-1' }],
        },
      });
      expect(people[0]?.active).toBe(false);
      expect(await goOn(pending)).toEqual({ state: 'revoked', what: ['sessions'], partial: 'it is active again' });
      expect(people[0]?.active).toBe(true);
      expect(vendor.violations).toEqual([]);
    });

    it('never comes for somebody who was inactive before', async () => {
      const { routes, people } = app({ people: [{ id: 'u-1', userName: ACCOUNT, active: false }] });
      vendor.reset(routes);
      expect(await revoke(bounce)).toEqual({
        ...{ state: 'revoked', what: ['access', 'sessions'], verified: true },
        partial: 'it is not activated again: it was inactive before',
      });
      expect(people[0]?.active).toBe(false);
    });

    it('never comes where the gateway died between the PATCH and keeping what it had found', async () => {
      const { routes, people } = app();
      vendor.reset(routes);
      await begin(); // Its answer is lost.
      expect(await begin(2)).toMatchObject({
        state: 'revoked',
        partial: 'it is not activated again: it was inactive already, by an earlier attempt or by somebody else',
        removed: [{ deactivated: 'u-1', by: 'an earlier attempt or somebody else' }],
      });
      expect(people[0]?.active).toBe(false);
    });

    it.each([
      ['an address', 'ada.s3cret@example.org'],
      ['the account', ACCOUNT.toUpperCase()],
    ])('leaves an id that is %s out of the record', async (_what, id) => {
      vendor.reset(app({ people: [{ id, userName: ACCOUNT, active: true }] }).routes);
      expect((await begin()).pending.removed).toEqual([{ deactivated: 'the account' }]);
    });

    it('says so where nothing tells whether the user was active', async () => {
      vendor.reset(app().routes);
      vendor.failAt(READ, (res) => give(res, { json: { id: 'u-1' } }));
      expect(await begin()).toEqual({
        ...{ state: 'revoked', what: ['access', 'sessions'] },
        partial: 'it is not activated again: nothing tells whether it was active',
      });
    });

    it('comes once where the gateway died after it', async () => {
      const { routes, people, change } = app();
      vendor.reset(routes);
      const pending = await begin();
      await goOn(pending);
      expect(await goOn(pending)).toMatchObject({ state: 'revoked', partial: 'it is active again' });
      change(people[0] as Person, false); // By somebody else.
      expect(await goOn(pending)).toMatchObject({ partial: expect.stringContaining('changed by somebody else') });
      expect(people[0]?.active).toBe(false);
    });

    it('never comes where somebody else has deactivated the user too', async () => {
      const { routes, people, change } = app();
      vendor.reset(routes);
      const pending = await begin();
      change(people[0] as Person, false);
      expect(await goOn(pending)).toEqual({
        state: 'revoked',
        what: ['access', 'sessions'],
        partial: 'it was changed by somebody else meanwhile, and is left as it is',
      });
      expect(people[0]?.active).toBe(false);
    });

    it('is not even sent after the last look: the app itself refuses it (If-Match)', async () => {
      const { routes, people, change } = app();
      vendor.reset(routes);
      const pending = await begin();
      vendor.failAt(PATCH, (res, _request, usual) => {
        change(people[0] as Person, false);
        give(res, usual());
      });
      expect(await goOn(pending)).toMatchObject({
        what: ['access', 'sessions'],
        partial: expect.stringContaining('somebody else'),
      });
      expect(people[0]?.active).toBe(false);
    });

    it('never comes where the user has gone, or was deleted between the two', async () => {
      const { routes, people } = app();
      vendor.reset(routes);
      const pending = await begin();
      people.length = 0;
      expect(await goOn(pending)).toMatchObject({ state: 'revoked', partial: 'it was removed meanwhile' });
    });

    it('never comes where nothing tells a change, and the check says so', async () => {
      const { routes, people } = app({ versions: false });
      vendor.reset(routes);
      expect(await revoke(bounce)).toMatchObject({
        ...{ state: 'revoked', partial: 'it is not activated again: it has no version to tell by' },
        removed: [{ deactivated: 'u-1' }],
      });
      expect(people[0]?.active).toBe(false);
      const check = await scimDeactivate.check(optionsOf(bounce), calls.call());
      expect(check).toEqual({ ok: false, problem: expect.stringContaining('meta.version') });
    });

    it('that fails is tried again with what was kept', async () => {
      const { routes, people } = app();
      vendor.reset(routes);
      const pending = await begin();
      vendor.failAt(PATCH, (res) => give(res, { status: 503 }));
      await expect(goOn(pending)).rejects.toMatchObject({ reason: 'server' });
      vendor.reset(routes);
      expect(await goOn(pending)).toMatchObject({ what: ['sessions'], partial: 'it is active again' });
      expect(people[0]?.active).toBe(true);
    });
  });

  it('works with our own SCIM endpoint', async () => {
    const gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
    closers.push(gateway.close);
    const client = createScimClient(gateway.url);
    const id = await client.createUser('ada@example.com', { active: true, externalId: '00u1' });
    await client.createUser('grace@example.com', { active: true });
    const target = { url: `${gateway.url}/scim/v2`, token: SCIM_TOKEN };
    const end = (over: object, account: string) =>
      revokeToTheEnd(scimDeactivate as never, account, optionsOf({ ...target, ...over }) as never, () => calls.call());

    expect(await scimDeactivate.check(optionsOf(target), calls.call())).toMatchObject({ ok: true });
    expect(await end({ reactivate: true, ends: ['sessions'], lookUp: 'externalId' }, '00u1')).toMatchObject({
      what: ['sessions'],
      partial: 'it is active again',
    });
    expect((await client.get(`/Users/${id}`)).body.active).toBe(true);
    expect(await end({}, 'ADA@example.com')).toMatchObject({ what: ['access'], verified: true });
    expect((await client.get(`/Users/${id}`)).body.active).toBe(false);
    expect(await end({}, 'alan@example.com')).toEqual({ state: 'none', what: [] });
  });

  it.each([{}, { patchOp: 'no-path' }])(
    'works with a SCIM server that others wrote: scimmy-routers [%j]',
    async (over) => {
      const store = new Map<string, Record<string, unknown>>([
        ['1', { userName: 'ada@example.com', emails: [{ value: 'ada@work.example.com', type: 'work' }], active: true }],
        [
          '2',
          { userName: 'grace@example.com', emails: [{ value: 'grace@work.example.com', type: 'work' }], active: true },
        ],
      ]);
      const shown = ([id, one]: [string, object]) => ({ id, ...one });
      const users = SCIMMY.Resources.User as unknown as {
        egress(handler: (resource: { id?: string }) => Promise<object>): void;
        ingress(handler: (resource: { id: string }, data: object) => Promise<object>): void;
      };
      SCIMMY.Resources.declare(users as never);
      users.egress(async ({ id }) => {
        if (id === undefined) return [...store].map(shown);
        const one = store.get(id);
        if (!one) throw new SCIMMY.Types.Error(404, null as never, `Resource ${id} not found`);
        return shown([id, one]);
      });
      users.ingress(async ({ id }, data) => {
        const { id: _, ...one } = JSON.parse(JSON.stringify(data));
        store.set(id, one);
        return shown([id, one]);
      });
      const site = express().use(
        '/scim/v2',
        new SCIMMYRouters({
          type: 'bearer',
          handler: (req: { headers: { authorization?: string } }) => {
            if (req.headers.authorization !== authorization) throw new Error('Unauthorized');
            return 'gateway';
          },
        } as never),
      );
      const server = createServer(site);
      closers.push(() => server.close().closeAllConnections());
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/scim/v2`;
      const go = (more: object, account: string) =>
        scimDeactivate.revoke(account, optionsOf({ url, ...over, ...more }), calls.call());

      expect(await scimDeactivate.check(optionsOf({ url }), calls.call())).toMatchObject({ ok: true });
      expect(await scimDeactivate.check(optionsOf({ url, token: 'wrong' }), calls.call())).toMatchObject({ ok: false });
      expect(await go({}, 'alan@example.com')).toEqual({ state: 'none', what: [] });
      expect(await go({}, 'ada@example.com')).toMatchObject({ state: 'revoked', verified: true });
      expect([store.get('1')?.active, store.get('2')?.active]).toEqual([false, true]);
      expect(await go({ lookUp: 'emails' }, 'grace@work.example.com')).toMatchObject({
        state: 'revoked',
        verified: true,
      });
      expect(store.get('2')?.active).toBe(false);
    },
  );
});
