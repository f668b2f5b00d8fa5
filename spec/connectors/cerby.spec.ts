/** Cerby: what its public API can take away is taken away once, and can be put back; the rest is only looked at. */
import { cerby } from '../../src/connectors/cerby.js';
import type { Call, Outcome, Pending } from '../../src/connectors/connector.js';
import { createCalls } from '../support/call.js';
import {
  ACCOUNT,
  ACCOUNT_USERS,
  ADA,
  API_KEY,
  type Cerby,
  type CerbyUser,
  CONFLICT,
  createCerby,
  FORBIDDEN,
  INTEGRATIONS,
  JOB,
  KEY_OWNER,
  MEMBER,
  NOT_FOUND,
  REMOVE,
  REMOVE_FROM_ACCOUNT,
  TOO_MANY,
  UNAUTHORIZED,
  USERS,
  USERS_ACCOUNTS,
} from '../support/cerby.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Fault, give, startVendor, type Vendor } from '../support/vendor.js';

const optionsAt = (url: string, more: object = {}) => ({
  ...{ url, apiKey: API_KEY, keyOwner: KEY_OWNER, watchSeconds: 0 },
  ...more,
});

const SEEN_NOWHERE =
  'sessions live on where Cerby itself did not end them, of which there were signs at 0 of 1 accounts';
const SEAT = {
  integration: 'integration-1',
  application: 'pinterest_tenant',
  role: 'collaborator',
  entitlements: [{ group: 'primary', key: 'EMPLOYEE', value: 'EMPLOYEE' }],
};
const SHARE = { account: 'account-1', application: 'discord', role: 'collaborator' };

const CHECKED =
  'users, integrations and an account can be read; whether the key may remove shows at the first revocation';

keepsContract(cerby, {
  account: ADA,
  options: (url) => optionsAt(url, { does: 'revoke-grants' }),
  vendor: () => createCerby().routes(),
  calls: [
    ...[USERS, INTEGRATIONS, MEMBER, REMOVE, JOB, JOB, JOB, JOB, MEMBER],
    ...[USERS_ACCOUNTS, ACCOUNT_USERS, REMOVE_FROM_ACCOUNT, ACCOUNT_USERS, ACCOUNT],
  ],
  main: USERS,
  outcome: { state: 'revoked', what: ['access'], partial: SEEN_NOWHERE, removed: [SEAT, SHARE], verified: true },
  repeated: { state: 'none', what: [], partial: SEEN_NOWHERE.replace('0 of 1', '0 of 0') },
  reads: [REMOVE],
  pauseMs: 300_000,
  exceptions: {
    // The user of the key is no Owner of one integration or account: the others are gone on with.
    [MEMBER]: { 403: 'refused' },
    [REMOVE]: { 403: 'refused', 409: 'server' },
    [REMOVE_FROM_ACCOUNT]: { 403: 'refused', 409: 'server' },
    // And where it is an Owner of none, nothing can be done.
    [ACCOUNT_USERS]: { 404: 'auth', 410: 'auth' },
    [ACCOUNT]: { 401: 'revoked', 403: 'revoked', 404: 'revoked', 410: 'revoked' },
  },
  unknown: {
    'only others resemble it': () => {
      const fake = createCerby();
      fake.data.users.pop();
      return fake.routes();
    },
  },
  check: { ok: true, detail: CHECKED },
});

const T0 = Date.parse('2026-11-26T12:00:00Z');

let vendor: Vendor;
let fake: Cerby;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  vendor = await startVendor();
  calls = await createCalls();
});
beforeEach(() => {
  fake = createCerby();
  vendor.reset(fake.routes());
});
afterEach(() => expect(vendor.violations).toEqual([]));
afterAll(() => Promise.all([vendor.close(), calls.close()]));

class Killed extends Error {}

type Step = { answer?: Outcome | Pending | undefined; error?: unknown; atMs: number; calls: string[] };

/**
 * Drives the connector as the engine does: what it answers is kept, and given back when it is time; what a worker that
 * is killed had not answered yet is lost, but that it had begun is known. An error ends it, unless `retries` are left.
 */
async function run(
  options: object,
  more: {
    over?: Partial<Call>;
    killed?: (request: number) => 'before' | 'after' | undefined;
    onStep?: (step: Step) => void;
    retries?: number;
    most?: number;
  } = {},
) {
  const parsed = cerby.options.parse(optionsAt(vendor.url, options));
  const steps: Step[] = [];
  let poll: unknown;
  let nowMs = T0 + 1_000;
  let requests = 0;
  let retries = more.retries ?? 0;
  for (let attempt = 1; attempt <= (more.most ?? 100); attempt += 1) {
    const before = vendor.requests.length;
    const { send } = calls.call();
    const call = calls.call({
      ...{ attempt, acceptedAt: T0, now: () => new Date(nowMs) },
      async send(url, request) {
        requests += 1;
        const kill = more.killed?.(requests);
        if (kill === 'before') throw new Killed();
        const response = await send(url, request);
        if (kill === 'after') throw new Killed();
        return response;
      },
      ...more.over,
    });
    const step: Step = { atMs: nowMs - T0, calls: [] };
    try {
      step.answer = await (poll === undefined ? cerby.revoke(ADA, parsed, call) : cerby.poll?.(poll, parsed, call));
    } catch (error) {
      step.error = error;
    }
    step.calls = vendor.requests.slice(before).map((one) => one.call);
    steps.push(step);
    more.onStep?.(step);
    if (step.answer && 'pending' in step.answer) {
      poll = JSON.parse(JSON.stringify(step.answer.pending.poll));
      nowMs += step.answer.pending.afterMs;
    } else if (step.answer) {
      return { outcome: step.answer, steps, poll };
    } else if (step.error instanceof Killed) nowMs += 6_000;
    else if (retries-- > 0) nowMs += 60_000;
    else return { error: step.error as Error, steps, poll };
  }
  throw new Error('it never ends');
}

const sent = (call: string) => vendor.requests.filter((one) => one.call === call);
const changing = () => vendor.requests.filter(({ call }) => !call.startsWith('GET ')).map(({ call }) => call);
const times = (n: number, fault: Fault): Fault => {
  let left = n;
  return (res, request, usual) => (left-- > 0 ? fault(res, request, usual) : give(res, usual()));
};

function addSeats(n: number) {
  for (let i = 2; i <= n; i += 1) {
    fake.data.integrations.push({
      id: `integration-${i}`,
      application: `app_${i}`,
      members: { 'user-ada': { role: 'owner', entitlements: [] } },
    });
  }
}

const SEATS = { does: 'deprovision-seats' };
const GRANTS = { does: 'revoke-grants' };

describe('whom it is about', () => {
  it.each([
    ['the user of the key', { keyOwner: ADA.toUpperCase() }],
    ['a protected one', { protectedUsers: ['root@example.com', 'Ada.S3cret@Example.com'] }],
  ])('%s is refused before any call', async (_whom, options) => {
    const { error } = await run(options);
    expect(error).toMatchObject({ reason: 'refused', retryable: false });
    expect(vendor.requests).toEqual([]);
  });

  it('several users of that address are nobody', async () => {
    fake.data.users.push({ ...(fake.data.users.at(-1) as CerbyUser), id: 'user-ada-2' });
    expect((await run(SEATS)).error).toMatchObject({ reason: 'refused' });
    expect(changing()).toEqual([]);
  });

  it('is found on whatever page, in whatever case, by the links that Cerby gives', async () => {
    fake.data.pageSize = 1;
    (fake.data.users.at(-1) as { email: string }).email = ADA.toUpperCase();
    addSeats(3);
    const { outcome } = await run(SEATS);
    expect(outcome).toMatchObject({ state: 'revoked' });
    expect(outcome?.removed).toHaveLength(3);
    expect(sent(USERS).map(({ query }) => query['page[number]'])).toEqual([undefined, '2', '3']);
  });

  it('pages without end are refused', async () => {
    vendor.failAt(USERS, (res, _request, usual) => {
      const json = usual().json as { links: object };
      give(res, {
        json: { ...json, links: { next: '/api/v1/users?filter=ada.s3cret%40example.com&page%5Bsize%5D=100' } },
      });
    });
    expect((await run({})).error).toMatchObject({ reason: 'refused' });
    expect(sent(USERS)).toHaveLength(20);
  });

  it.each([INTEGRATIONS, USERS_ACCOUNTS])('is known, whatever else Cerby does not know [%s]', async (call) => {
    vendor.failAt(call, (res) => give(res, NOT_FOUND));
    expect((await run(SEATS)).error).toMatchObject({ reason: 'refused' });
  });

  it('is gone on with where it is disabled: seats can outlive that', async () => {
    (fake.data.users.at(-1) as { status: string }).status = 'disabled';
    expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked' });
  });

  it('may be a guest, which is told', async () => {
    (fake.data.users.at(-1) as { isGuest: boolean }).isGuest = true;
    expect((await run({})).outcome?.partial).toMatch(/a guest/);
  });
});

describe('observe', () => {
  it('is the default, and only looks', async () => {
    const { outcome } = await run({});
    expect(outcome).toEqual({ state: 'none', what: [], partial: SEEN_NOWHERE });
    expect(vendor.requests.map(({ call }) => call)).toEqual([USERS, USERS_ACCOUNTS, ACCOUNT]);
  });

  it.each([
    ['with an offset', '2026-11-26T12:00:30.123456+00:00', 1],
    ['without one, which is UTC', '2026-11-26T12:00:30', 1],
    ['in another zone', '2026-11-26T14:00:30+02:00', 1],
    ['from before', '2026-11-26T11:59:59Z', 0],
    ['that is none', 'lately', 0],
    ['that is not there', null, 0],
  ])('takes a new password for a sign of the Universal Logout [a time %s]', async (_what, time, signs) => {
    for (const member of ['rotatedAt', 'lastPasswordChange'] as const) {
      fake = createCerby();
      vendor.reset(fake.routes());
      Object.assign(fake.data.accounts[0] as object, { [member]: time });
      const { outcome } = await run({});
      expect(outcome).toMatchObject({ state: signs ? 'accepted' : 'none', what: [] });
      expect(outcome?.partial).toMatch(`signs at ${signs} of 1 accounts`);
    }
  });

  it('says which accounts it cannot see, and which Cerby cannot rotate; that is no failure', async () => {
    fake.data.accounts.push(
      fake.account('account-2', 'figma', { owners: [] }),
      fake.account('account-3', 'unmanaged'),
      fake.account('account-4', 'figma', { users: {}, throughTeams: ['user-ada'] }),
    );
    fake.universalLogout('user-ada', new Date(T0 + 500));
    expect((await run({})).outcome).toEqual({
      ...{ state: 'accepted', what: [] },
      partial: `${SEEN_NOWHERE.replace('0 of 1', '2 of 4')}; 1 are not visible to the key; 1 are none that Cerby can rotate`,
    });
  });

  it('looks in ever longer rounds until its time is over', async () => {
    const { steps, outcome } = await run({ watchSeconds: 600 });
    expect(outcome).toMatchObject({ state: 'none' });
    expect(steps.map(({ atMs }) => Math.round(atMs / 1_000))).toEqual([1, 2, 62, 124, 248, 496, 600]);
  });

  it('ends as soon as all are seen, and asks no account twice that was', async () => {
    for (let i = 2; i <= 12; i += 1) fake.data.accounts.push(fake.account(`account-${i}`, 'figma'));
    fake.universalLogout('user-ada', new Date(T0 + 500));
    (fake.data.accounts[7] as { rotatedAt: null }).rotatedAt = null;
    const { outcome } = await run(
      { watchSeconds: 600 },
      {
        onStep({ atMs }) {
          if (atMs > 60_000) fake.universalLogout('user-ada', new Date(T0 + atMs));
        },
      },
    );
    expect(outcome?.partial).toMatch('12 of 12');
    const asked = sent(ACCOUNT).map(({ segments }) => segments[0]);
    expect(asked.filter((id) => id === 'account-8').length).toBe(3);
    expect(asked.length).toBe(12 + 2);
  });

  it('believes what Cerby has reported, if it is of this account, newer and a success', async () => {
    for (let i = 2; i <= 5; i += 1) fake.data.accounts.push(fake.account(`account-${i}`, 'figma'));
    const type = 'automation.universal_logout.completed';
    const asked: unknown[] = [];
    const { outcome } = await run(
      {},
      {
        over: {
          async evidence(abouts) {
            asked.push(abouts);
            return [
              { about: 'account-1', type, at: T0 + 1, ok: true, eventId: '1' },
              { about: 'account-2', type, at: T0 - 1, ok: true, eventId: '2' },
              { about: 'account-3', type: 'account.credentials.rotation_failed', at: T0 + 1, ok: false, eventId: '3' },
              { about: 'account-4', type: 'account.created', at: T0 + 1, ok: true, eventId: '4' },
              { about: 'account-5', type, at: T0 + 1, ok: false, eventId: '6' },
              { about: 'account-9', type, at: T0 + 1, ok: true, eventId: '5' },
            ];
          },
        },
      },
    );
    expect(outcome).toMatchObject({ state: 'accepted' });
    expect(outcome?.partial).toMatch(/signs at 1 of 5 accounts; Cerby says that it failed at 2$/);
    expect(asked[0]).toEqual([1, 2, 3, 4, 5].map((i) => `account-${i}`));
    expect(sent(ACCOUNT).map(({ segments }) => segments[0])).not.toContain('account-1');
  });

  it('is refused credentials where users cannot be read, not where one account cannot', async () => {
    fake.data.scopes.delete('Read users');
    expect((await run({})).error).toMatchObject({ reason: 'auth' });
  });
});

describe('deprovision-seats', () => {
  it('keeps what was found of all seats before it removes the first, and each job before the next', async () => {
    addSeats(7);
    const seen: { removed: number; polls: string }[] = [];
    let before = '';
    const { outcome } = await run(SEATS, {
      onStep({ calls: made, answer }) {
        const removals = made.filter((call) => call === REMOVE).length;
        expect(removals).toBeLessThanOrEqual(1);
        if (removals > 0) {
          seen.push({ removed: sent(REMOVE).length, polls: before });
          expect(JSON.stringify(answer)).toContain(`job-${sent(REMOVE).length}`);
          expect((answer as Pending).pending.removed).toHaveLength(sent(REMOVE).length);
        }
        before = JSON.stringify(answer);
      },
    });
    expect(seen).toHaveLength(7);
    for (const { removed, polls } of seen) {
      for (let i = 1; i <= 7; i += 1) expect(polls).toContain(`"integration-${i}"`);
      expect(polls).toContain('EMPLOYEE');
      for (let i = 1; i < removed; i += 1) expect(polls).toContain(`"job-${i}"`);
      expect(polls).not.toMatch(/s3cret|@|Ada|PINTEREST/);
    }
    expect(outcome?.removed?.[0]).toEqual(SEAT);
    expect(outcome?.removed?.[6]).toEqual({ integration: 'integration-7', application: 'app_7', role: 'owner' });
    expect(outcome).toMatchObject({ state: 'revoked', what: ['access'], verified: true });
    expect(JSON.stringify(outcome)).not.toMatch(/s3cret|@|Ada/);
    expect(fake.data.integrations.flatMap(({ members }) => Object.keys(members))).toEqual(['user-eve']);
  });

  it('leaves accounts alone, and integrations that are not listed', async () => {
    addSeats(3);
    const { outcome } = await run({ ...SEATS, integrations: ['integration-2'] });
    expect(outcome?.removed).toHaveLength(1);
    expect(sent(MEMBER).every(({ segments }) => segments[0] === 'integration-2')).toBe(true);
    expect(changing()).toEqual([REMOVE]);
  });

  it('killed at any line, it removes each seat once and forgets none', async () => {
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; ; at += 1) {
        fake = createCerby();
        fake.data.looks = 1;
        addSeats(2);
        vendor.reset(fake.routes());
        let reached = false;
        const { outcome } = await run(SEATS, {
          killed(request) {
            if (request !== at) return undefined;
            reached = true;
            return when;
          },
        });
        expect([when, at, outcome?.state, outcome?.removed?.length]).toEqual([when, at, 'revoked', 2]);
        expect([when, at, changing()]).toEqual([when, at, [REMOVE, REMOVE]]);
        if (!reached) {
          expect(at).toBeGreaterThan(8);
          break;
        }
      }
    }
  }, 30_000);

  it('killed after Cerby was asked, it asks again where the user is still there a minute later, and once', async () => {
    fake.data.looks = 3;
    const kill = (request: number) => (request === 4 ? 'after' : undefined);
    const { outcome, steps } = await run(SEATS, { killed: kill });
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
    const removals = steps.filter((one) => one.calls.includes(REMOVE));
    expect(removals).toHaveLength(2);
    expect((removals[1]?.atMs ?? 0) - (removals[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(60_000);
  });

  it('killed after Cerby was asked and failed, it asks once more in all', async () => {
    vendor.failAt(REMOVE, (res) => give(res, { status: 502 }));
    const { error } = await run(SEATS, { killed: (request) => (request === 4 ? 'after' : undefined) });
    expect(error).toMatchObject({ reason: 'server' });
    expect(changing()).toEqual([REMOVE, REMOVE]);
  });

  it('killed while it only looks, it waits for nothing', async () => {
    addSeats(12);
    fake.data.looks = 1;
    const { steps } = await run(SEATS, { killed: (request) => (request === 9 ? 'after' : undefined) });
    const last = steps.filter((one) => one.calls.includes(REMOVE)).at(-1);
    expect(last?.atMs).toBeLessThan(45_000);
  });

  it('reads the membership where Cerby fails after it has begun', async () => {
    fake.data.looks = 1;
    vendor.failAt(REMOVE, (res, _request, usual) => {
      usual();
      give(res, { status: 500 });
    });
    expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked', removed: [SEAT], verified: true });
    expect(changing()).toEqual([REMOVE]);
  });

  it('asks once more where Cerby fails and nothing has come of it, and then only looks, however often it is retried', async () => {
    vendor.failAt(REMOVE, (res) => give(res, { status: 502 }));
    const { error, steps } = await run(SEATS, { retries: 5 });
    expect(error).toMatchObject({ reason: 'server', retryable: true });
    expect(changing()).toEqual([REMOVE, REMOVE]);
    expect(steps.filter((one) => one.error)).toHaveLength(6);
  });

  it('has succeeded where somebody has removed the user meanwhile', async () => {
    vendor.failAt(REMOVE, (res) => give(res, { status: 502 }));
    const { outcome } = await run(SEATS, {
      retries: 3,
      onStep({ error }) {
        if (error) delete fake.data.integrations[0]?.members['user-ada'];
      },
    });
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
  });

  it('asks again up to three times after a conflict, half a minute apart', async () => {
    vendor.failAt(
      REMOVE,
      times(3, (res) => give(res, CONFLICT)),
    );
    expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked' });
    expect(changing()).toHaveLength(4);
    fake = createCerby();
    vendor.reset(fake.routes());
    vendor.failAt(REMOVE, (res) => give(res, CONFLICT));
    expect((await run(SEATS)).error).toMatchObject({ reason: 'server' });
    expect(changing()).toHaveLength(4);
  });

  it('goes on with the others where one is refused, and is no success', async () => {
    addSeats(3);
    vendor.failAt(REMOVE, (res, { segments }, usual) =>
      give(res, segments[0] === 'integration-2' ? FORBIDDEN : usual()),
    );
    const { error, steps } = await run(SEATS);
    expect(error).toMatchObject({ reason: 'refused', message: 'cerby: 1 of 3 were not removed: Cerby refused' });
    expect(sent(REMOVE)).toHaveLength(3);
    const last = steps.at(-2)?.answer as Pending;
    expect(last.pending.removed?.map(({ integration }) => integration)).toEqual(['integration-1', 'integration-3']);
  });

  it('pauses five minutes where Cerby says that it is too much, and goes on where it was', async () => {
    vendor.failAt(
      JOB,
      times(1, (res) => give(res, TOO_MANY)),
    );
    const { outcome, steps } = await run(SEATS, { retries: 1 });
    expect(steps.find(({ error }) => error)?.error).toMatchObject({ reason: 'rate_limited', retryAfterMs: 300_000 });
    expect(outcome).toMatchObject({ state: 'revoked' });
    expect(changing()).toEqual([REMOVE]);
  });

  it('asks again after each pause where the removal itself is too much, however often, and knows that it was not done', async () => {
    addSeats(2);
    vendor.failAt(
      REMOVE,
      times(6, (res) => give(res, TOO_MANY)),
    );
    const { outcome, steps } = await run(SEATS, { retries: 6 });
    const errors = steps.flatMap(({ error }) => (error ? [error] : []));
    expect(errors).toHaveLength(6);
    for (const error of errors) {
      expect(error).toMatchObject({ reason: 'rate_limited', retryable: true, retryAfterMs: 300_000 });
    }
    expect(outcome).toMatchObject({ state: 'revoked', verified: true });
    expect(outcome?.removed).toHaveLength(2);
    // It was turned away: no doubt, and so no look whether the user is still there.
    const removals = steps.flatMap(({ calls: made }, index) => (made.includes(REMOVE) ? [index] : []));
    expect(removals.slice(0, 7).map((at) => at - (removals[0] ?? 0))).toEqual([0, 2, 4, 6, 8, 10, 12]);
    expect(changing()).toHaveLength(6 + 2);
    expect(fake.data.jobs).toHaveLength(2);
  });

  it('pauses for as long as Cerby says, where it says so of a removal', async () => {
    vendor.failAt(
      REMOVE,
      times(1, (res) => give(res, { ...TOO_MANY, headers: { 'retry-after': '7' } })),
    );
    const { outcome, steps } = await run(SEATS, { retries: 1 });
    expect(steps.find(({ error }) => error)?.error).toMatchObject({ reason: 'rate_limited', retryAfterMs: 7_000 });
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
  });

  it('turned away, and then killed after it has asked, it reads the membership first', async () => {
    fake.data.looks = 1;
    vendor.failAt(
      REMOVE,
      times(1, (res) => give(res, TOO_MANY)),
    );
    const killed = (request: number) => (request === 5 ? 'after' : undefined);
    const { outcome } = await run(SEATS, { retries: 1, killed });
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
    expect(changing()).toEqual([REMOVE, REMOVE]);
    expect(fake.data.jobs).toHaveLength(1);
  });

  it('is refused credentials where the key lacks a scope, however often, and goes on once it has it', async () => {
    fake.data.scopes.delete('Write automated jobs');
    let refusals = 0;
    const { outcome } = await run(SEATS, {
      retries: 5,
      onStep({ error }) {
        if (!error) return;
        expect(error).toMatchObject({ reason: 'auth', retryable: true });
        refusals += 1;
        if (refusals === 5) fake.data.scopes.add('Write automated jobs');
      },
    });
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
    expect(changing()).toHaveLength(5 + 1);
    expect(fake.data.jobs).toHaveLength(1);
  });

  describe('a job', () => {
    it.each(['paused', 'waiting_for_moon', ''])('of an unknown state is one that runs [%j]', async (status) => {
      let left = 3;
      vendor.failAt(JOB, (res, _request, usual) => {
        const answer = usual();
        if (left-- > 0) Object.assign((answer.json as { data: { attributes: object } }).data.attributes, { status });
        give(res, answer);
      });
      expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked' });
    });

    it('is asked about after 5 s, then less and less often', async () => {
      fake.data.looks = 100;
      const { steps } = await run(SEATS, { most: 100 }).catch(() => ({ steps: [] as Step[] }));
      const at = steps.filter((one) => one.calls.includes(JOB)).map(({ atMs }) => atMs);
      const gaps = at.slice(1).map((ms, index) => (ms - (at[index] ?? 0)) / 1_000);
      for (const [index, mean] of [10, 20, 40, 60, 60].entries()) {
        expect(gaps[index]).toBeGreaterThanOrEqual(mean * 0.79);
        expect(gaps[index]).toBeLessThanOrEqual(mean * 1.21);
      }
    });

    it('that runs for more than half an hour has timed out, and may still end', async () => {
      fake.data.looks = 1_000;
      const { outcome, steps } = await run(SEATS, {
        retries: 2,
        onStep({ error }) {
          if (error) delete fake.data.integrations[0]?.members['user-ada'];
        },
      });
      expect(steps.find(({ error }) => error)?.error).toMatchObject({ reason: 'timeout', retryable: true });
      expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT] });
      expect(changing()).toEqual([REMOVE]);
    });

    it.each([
      ['a known kind', { errorType: 'UnderpermissionedAccount', userRequired: true }, true, 'UnderpermissionedAccount'],
      ['an unknown one', { errorType: 'Ada s3cret', userRequired: true }, true, 'of another kind'],
      ['no kind', {}, false, 'of another kind'],
      ['none, which cannot be retried', { errorType: null, userRequired: null }, false, 'of another kind'],
    ])('that fails and needs a person is not begun again [%s]', async (_what, errorDetails, canRetry, word) => {
      Object.assign(fake.data, { ends: 'error', errorDetails, canRetry });
      const { error } = await run(SEATS);
      expect(error).toMatchObject({ reason: 'refused', retryable: false });
      expect(error?.message).toBe(`cerby: 1 of 1 were not removed: its job failed and needs a person (${word})`);
      expect(changing()).toEqual([REMOVE]);
    });

    it('that fails and can be retried is begun again twice', async () => {
      Object.assign(fake.data, { ends: 'error', canRetry: true });
      expect((await run(SEATS)).error).toMatchObject({ reason: 'refused' });
      expect(changing()).toHaveLength(3);
    });

    it('that fails although the user is gone has done what it should', async () => {
      Object.assign(fake.data, { ends: 'error' });
      vendor.failAt(JOB, (res, _request, usual) => {
        delete fake.data.integrations[0]?.members['user-ada'];
        give(res, usual());
      });
      expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked', verified: true });
    });

    it('that is not known yet is asked about again; one that never is leaves it to the membership', async () => {
      vendor.failAt(
        JOB,
        times(2, (res) => give(res, { status: 404, json: { errors: [{ code: 'not_found' }] } })),
      );
      expect((await run(SEATS)).outcome).toMatchObject({ state: 'revoked' });
      expect(changing()).toEqual([REMOVE]);
    });

    it('that has finished while the user is still there is no success', async () => {
      fake.data.stays = true;
      const { error } = await run(SEATS, { retries: 2 });
      expect(error).toMatchObject({ reason: 'server' });
      expect(changing()).toEqual([REMOVE]);
    });
  });
});

describe('revoke-grants', () => {
  it('removes what is shared directly, and says what is shared otherwise', async () => {
    fake.data.accounts.push(
      fake.account('account-2', 'figma', { users: {}, throughTeams: ['user-ada'] }),
      fake.account('account-3', 'figma', { throughTeams: ['user-ada'] }),
      fake.account('account-4', 'figma', { owners: [] }),
      fake.account('account-5', 'figma', { users: { 'user-eve': 'owner' } }),
    );
    const { outcome } = await run(GRANTS);
    expect(outcome).toMatchObject({ state: 'revoked', what: ['access'], removed: [SEAT, SHARE] });
    expect(outcome).not.toHaveProperty('verified');
    expect(outcome?.partial).toMatch('1 are not visible to the key; 2 are still shared with the user');
    expect(fake.data.accounts.map(({ users }) => Object.keys(users))).toEqual([[], [], [], ['user-ada'], ['user-eve']]);
  });

  it('is not sure of what it could not see', async () => {
    fake.data.accounts.push(fake.account('account-2', 'figma', { owners: [] }));
    const { outcome } = await run(GRANTS);
    expect(outcome).toMatchObject({ state: 'revoked', removed: [SEAT, SHARE] });
    expect(outcome).not.toHaveProperty('verified');
    expect(outcome?.partial).toMatch('1 are not visible to the key');
  });

  it('is refused credentials where the key sees no account at all, and removes from all once it sees one', async () => {
    for (let i = 2; i <= 7; i += 1) fake.data.accounts.push(fake.account(`account-${i}`, 'figma'));
    for (const one of fake.data.accounts) one.owners = [];
    let refusals = 0;
    const { outcome } = await run(GRANTS, {
      retries: 3,
      onStep({ error }) {
        if (!error) return;
        refusals += 1;
        expect(error).toMatchObject({
          ...{ reason: 'auth', retryable: true, forbidden: true },
          message: expect.stringMatching(/^cerby: the key sees none of 7 accounts: it lacks a scope/),
        });
        expect(changing()).toEqual([REMOVE]);
        if (refusals === 3) for (const one of fake.data.accounts) one.owners = ['user-gateway'];
      },
    });
    expect(refusals).toBe(3);
    expect(outcome).toMatchObject({ state: 'revoked', verified: true });
    expect(outcome?.removed).toHaveLength(1 + 7);
  });

  it('is refused credentials where the key expires on the way, and goes on where it was', async () => {
    for (let i = 2; i <= 7; i += 1) fake.data.accounts.push(fake.account(`account-${i}`, 'figma'));
    let failures = 0;
    let expires: (() => void) | undefined = () => fake.data.scopes.clear();
    vendor.failAt(ACCOUNT_USERS, (res, { segments }, usual) => {
      if (segments[0] === 'account-4') expires?.();
      give(res, usual());
    });
    const scopes = [...fake.data.scopes];
    const { outcome, steps } = await run(GRANTS, {
      retries: 2,
      onStep({ error }) {
        if (!error) return;
        expires = undefined;
        failures += 1;
        if (failures > 1) for (const scope of scopes) fake.data.scopes.add(scope);
      },
    });
    expect(steps.flatMap(({ error }) => (error ? [error] : []))).toEqual(
      [1, 2].map(() => expect.objectContaining({ reason: 'auth' })),
    );
    expect(outcome).toMatchObject({ state: 'revoked', verified: true });
    expect(outcome?.removed).toHaveLength(1 + 7);
  });

  it('has nothing to say against a key where the user has no account', async () => {
    fake.data.accounts = [];
    expect((await run(GRANTS)).outcome).toMatchObject({ state: 'revoked', removed: [SEAT], verified: true });
  });

  it('has removed nothing where all comes from a team', async () => {
    fake.data.integrations = [];
    Object.assign(fake.data.accounts[0] as object, { users: {}, throughTeams: ['user-ada'] });
    expect((await run(GRANTS)).outcome).toMatchObject({ state: 'none', what: [] });
  });

  it.each([400, 403, 405, 501])(
    'is refused where the API has another form of it, and nothing else is tried [%d]',
    async (status) => {
      vendor.failAt(REMOVE_FROM_ACCOUNT, (res) => give(res, { status, json: { errors: [] } }));
      const { error } = await run(GRANTS);
      expect(error).toMatchObject({ reason: 'refused' });
      expect(changing()).toEqual([REMOVE, REMOVE_FROM_ACCOUNT]);
    },
  );

  it('never touches others who share the account', async () => {
    Object.assign(fake.data.accounts[0] as object, { users: { 'user-ada': 'collaborator', 'user-eve': 'owner' } });
    await run(GRANTS);
    expect(fake.data.accounts[0]?.users).toEqual({ 'user-eve': 'owner' });
    for (const { segments } of [...sent(REMOVE), ...sent(REMOVE_FROM_ACCOUNT)]) expect(segments[1]).toBe('user-ada');
  });
});

describe('the check', () => {
  const check = (options: object) => cerby.check(cerby.options.parse(optionsAt(vendor.url, options)), calls.call());

  it('reads no integrations where none are touched', async () => {
    fake.data.scopes.delete('Read integrations');
    expect(await check({})).toMatchObject({ ok: true });
    expect(await check(SEATS)).toMatchObject({ ok: false, problem: expect.stringMatching('integrations') });
  });

  it('finds a keyOwner who is not there, or disabled', async () => {
    const [owner] = fake.data.users;
    Object.assign(owner as object, { status: 'disabled' });
    expect(await check({})).toEqual({ ok: false, problem: 'cerby: the user of keyOwner is not live' });
    fake.data.users.shift();
    expect(await check({})).toMatchObject({ ok: false });
  });

  it.each([
    ['is an Owner of none', { owners: [] }],
    ['has none', { owners: ['user-eve'], users: {} }],
  ])(
    'reads one of the accounts of keyOwner, where they are to be revoked, and finds that it %s',
    async (_what, over) => {
      Object.assign(fake.data.accounts[0] as object, over);
      if ('users' in over === false) fake.data.accounts[0]?.throughTeams.push('user-gateway');
      expect(await check(SEATS)).toMatchObject({ ok: true });
      expect(await check(GRANTS)).toEqual({
        ok: false,
        problem: expect.stringMatching(/^cerby: the key sees none of the accounts of its own user/),
      });
      fake.data.accounts.push(fake.account('account-2', 'figma'));
      expect(await check(GRANTS)).toEqual({ ok: true, detail: CHECKED });
    },
  );

  it('finds a bad key', async () => {
    vendor.failAt(USERS, (res) => give(res, UNAUTHORIZED));
    expect(await check({})).toMatchObject({ ok: false, problem: expect.stringMatching('401') });
  });
});
