/** What operators do: pause, resume, retry, check, and begin a revocation by hand; and what they must not be able to. */
import request from 'supertest';
import { digestOf } from '../../src/fanout/job.js';
import { expectDocumented } from '../support/documented.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from '../support/gateway.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'operators').toString('base64')}`;

let intranet: TargetApp;
let wiki: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;
const others: { close(): Promise<void> }[] = [];

function settings() {
  const app = (id: string, { url }: TargetApp) => ({ id, connector: 'webhook', options: { url, secret: SECRET } });
  return { tenants: [{ id: 'default', apps: [app('intranet', intranet), app('wiki', wiki)] }, { id: 'acme' }] };
}

beforeEach(async () => {
  [intranet, wiki] = await Promise.all([startTargetApp(), startTargetApp()]);
  gateway = await startGateway(settings());
  for (const name of ['ada', 'grace']) {
    await gateway.directory.put('default', { userName: name, emails: [`${name}@example.com`, 'both@example.com'] });
  }
});
afterEach(async () => {
  for (const other of others.splice(0).reverse()) await other.close();
  await gateway.close();
  await Promise.all([intranet.close(), wiki.close()]);
});

const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };
const get = (path: string) => request(gateway.url).get(path).set(bearer);
const post = (path: string, body?: object | string) =>
  request(gateway.url)
    .post(path)
    .set({ ...bearer, 'content-type': 'application/json' })
    .send(typeof body === 'object' ? JSON.stringify(body) : body);

async function start(name = 'ada'): Promise<string> {
  const response = await post('/api/revocations', { email: `${name}@example.com` });
  expect(response.status).toBe(202);
  return response.body.revocationId;
}

type View = {
  status: string;
  summary: string;
  apps: { app: string; state: string; attempts: number; failures?: object[]; nextAttemptAt?: string }[];
};

const revocation = (id: string, holds: (view: View) => boolean) =>
  eventually(async () => (await get(`/api/revocations/${id}`)).body as View, holds, 15_000);

const appOf = ({ apps }: View, app: string) => apps.find((one) => one.app === app);

const ACTIONS = ['pause', 'resume', 'retry', 'check'];

describe('who bears no ADMIN_TOKEN', () => {
  it.each([
    ['get', '/api/apps'],
    ['post', '/api/revocations'],
    ['post', '/api/revocations/rev_1/retry'],
    ...ACTIONS.map((action) => ['post', `/api/apps/default/intranet/${action}`]),
  ] as ['get' | 'post', string][])('is refused: %s %s', async (method, path) => {
    const before = await gateway.state();
    for (const authorization of ['', 'Bearer x', `Basic ${ADMIN_TOKEN}`]) {
      const response = await request(gateway.url)[method](path).set({ authorization });
      expect(response.status).toBe(401);
    }
    expect(await gateway.state()).toEqual(before);
  });
});

describe('a revocation by hand', () => {
  it.each([
    ['no body', undefined],
    ['no JSON', '{'],
    ['no object', '[]'],
    ['nobody', {}],
    ['two ways at once', { email: 'ada@example.com', userName: 'ada' }],
    ['an empty name', { email: '' }],
    ['something unknown', { email: 'ada@example.com', force: true }],
    ['another mode', { email: 'ada@example.com', mode: 'all' }],
    ['a number', { id: 1 }],
  ])('is refused with %s', async (_what, body) => {
    const response = await post('/api/revocations', body);
    expectDocumented('startRevocation', 400, response, 'malformed_request');
    expect(response.text).not.toContain('@');
  });

  it('is refused for nobody, for somebody of another tenant, and where several are meant', async () => {
    for (const body of [
      { email: 'nobody@example.com' },
      { id: '1' },
      { email: 'ada@example.com', tenant: 'acme' },
      { email: 'ada@example.com', tenant: 'nowhere' },
    ]) {
      expectDocumented('startRevocation', 404, await post('/api/revocations', body), 'user_not_found');
    }
    const several = await post('/api/revocations', { email: 'both@example.com' });
    expectDocumented('startRevocation', 422, several, 'ambiguous_subject');
    expectDocumented('startRevocation', 413, await post('/api/revocations', 'x'.repeat(20_000)), 'body_too_large');
    expect(intranet.calls).toEqual([]);
  });

  it('reaches every app, and says so in one sentence', async () => {
    const response = await post('/api/revocations', { userName: 'ADA' });
    expectDocumented('startRevocation', 202, response);
    expect(response.body.apps).toEqual(['intranet', 'wiki']);
    const view = await revocation(response.body.revocationId, ({ status }) => status === 'completed');
    expect(view).toMatchObject({ trust: 'operator', mode: 'full' });
    expect(view.summary).toMatch(/^2 of 2 apps in \d+(\.\d+)? m?s$/);
    expectDocumented('readRevocation', 200, await get(response.headers.location as string));
    expect((await gateway.audit()).map(({ event }) => event)).toContain('revocation.accepted');
  });
});

describe('an app that is paused', () => {
  it('is called no more, however often it is paused, and gets everything when it is resumed', async () => {
    expectDocumented('pauseApp', 200, await post('/api/apps/default/intranet/pause'));
    const paused = await post('/api/apps/default/intranet/pause');
    expect(paused.body).toMatchObject({ app: 'intranet', state: 'paused' });
    const ids = [await start('ada'), await start('grace')];
    const [view] = await Promise.all(ids.map((id) => revocation(id, (one) => appOf(one, 'wiki')?.state === 'revoked')));
    expect(view?.summary).toMatch(/^1 of 2 apps in .*, intranet paused since \d\d:\d\d UTC$/);
    const { apps } = (await get('/api/apps')).body;
    expect(apps).toMatchObject([
      { app: 'intranet', state: 'paused', waiting: 2, since: paused.body.since },
      { app: 'wiki', state: 'moving', waiting: 0 },
    ]);
    expect(Date.parse(apps[0].oldestAcceptedAt)).toBeLessThanOrEqual(Date.now());
    expectDocumented('listApps', 200, await get('/api/apps'));
    expect(intranet.calls).toEqual([]);

    expectDocumented('resumeApp', 200, await post('/api/apps/default/intranet/resume'));
    for (const id of ids) await revocation(id, ({ status }) => status === 'completed');
    expect(intranet.calls).toHaveLength(2);
    const events = (await gateway.audit()).map(({ event }) => event);
    expect(events.filter((event) => event === 'app.paused')).toHaveLength(2);
    expect(events).toContain('app.resumed');
  });
});

describe('another try', () => {
  it('of one app of a revocation that has failed: it is completed, and the others are not called again', async () => {
    intranet.answerWith(answer(400));
    const id = await start();
    const failed = await revocation(id, ({ status }) => status === 'failed');
    expect(failed.summary).toMatch(/^1 of 2 apps in .*, intranet failed \(refused\)$/);
    expect(appOf(failed, 'intranet')).toMatchObject({ fault: 'app', reason: 'refused' });
    intranet.answerWith(answer(204));
    const response = await post(`/api/revocations/${id}/retry`);
    expectDocumented('retryRevocation', 202, response);
    expect(response.body).toEqual({ apps: [{ app: 'intranet', result: 'retried' }] });
    const done = await revocation(id, ({ status }) => status === 'completed');
    expect(appOf(done, 'intranet')).toMatchObject({ attempts: 2, failures: [{ reason: 'refused' }] });
    expect([intranet.calls.length, wiki.calls.length]).toEqual([2, 1]);
    expect((await post(`/api/revocations/${id}/retry`)).body).toEqual({ apps: [] });
  });

  it('comes instead of the automatic one', async () => {
    intranet.answerWith((res, _call, count) => res.writeHead(count <= 3 ? 503 : 204).end());
    const id = await start();
    const waiting = await revocation(id, (view) => appOf(view, 'intranet')?.attempts === 3);
    expect(Date.parse(appOf(waiting, 'intranet')?.nextAttemptAt ?? '') - Date.now()).toBeGreaterThan(15_000);
    expect(waiting.summary).toMatch(/intranet tried again in /);
    const response = await post(`/api/revocations/${id}/retry?app=intranet`);
    expect(response.body).toEqual({ apps: [{ app: 'intranet', result: 'retried' }] });
    await revocation(id, ({ status }) => status === 'completed');
    expect(intranet.calls).toHaveLength(4);
  });

  it('of everything that an app is owed', async () => {
    intranet.answerWith(answer(400));
    const ids = [await start('ada'), await start('grace')];
    for (const id of ids) await revocation(id, ({ status }) => status === 'failed');
    intranet.answerWith(answer(204));
    expectDocumented('retryApp', 200, await post('/api/apps/default/intranet/retry'));
    for (const id of ids) await revocation(id, ({ status }) => status === 'completed');
    expect(intranet.calls).toHaveLength(4);
  });

  it('at an app whose breaker is open needs no waiting', async () => {
    intranet.answerWith(answer(401));
    const id = await start();
    const held = await revocation(id, ({ summary }) => summary.includes('intranet held since'));
    expect(held.status).toBe('pending');
    expect((await get('/api/apps')).body.apps[0]).toMatchObject({ state: 'held', why: 'auth' });
    expectDocumented('listApps', 200, await get('/api/apps'));
    intranet.answerWith(answer(204));
    await post('/api/apps/default/intranet/retry');
    await revocation(id, ({ status }) => status === 'completed');
    expect((await get('/api/apps')).body.apps[0]).toMatchObject({ state: 'moving' });
  });
});

describe('where Redis fails half-way', () => {
  it('what has been accepted is answered so, though there is no record yet', async () => {
    const api = await startGateway(settings(), { roles: ['api'] });
    others.push(api);
    const { user } = await api.directory.put('default', { userName: 'ada', emails: ['ada@example.com'] });
    const who = { user: user.id, mode: 'full' as const, via: [PUBLIC_URL] };
    // The record cannot be opened over it.
    const account = `${api.prefix}:{default}:account:intranet:${digestOf(who, 'ada@example.com')}`;
    await api.redis.set(account, 'in the way');
    const response = await request(api.url).post('/api/revocations').set(bearer).send('{"email":"ada@example.com"}');
    expectDocumented('startRevocation', 202, response);
    await api.redis.del(account);
    others.push(await startGateway(settings(), { roles: ['worker'], prefix: api.prefix }));
    await eventually(
      async () =>
        (
          await request(api.url)
            .get(response.headers.location as string)
            .set(bearer)
        ).body.status,
      (status) => status === 'completed',
    );
    expect(intranet.calls).toHaveLength(1);
  });

  it('what was asked for is in the audit trail, and the answer does not say that nothing was done', async () => {
    await gateway.redis.set(`${gateway.prefix}:{default}:lane:intranet`, 'in the way');
    const response = await post('/api/apps/default/intranet/retry');
    expectDocumented('retryApp', 503, response, 'redis_unavailable');
    expect(response.body.detail).toMatch(/out of reach\. Do not take it as done: send it again\.$/);
    expect(await gateway.audit()).toMatchObject([{ event: 'job.retried', tenant: 'default', app: 'intranet' }]);
  });
});

it('what there is not is not found, and changes nothing', async () => {
  const before = await gateway.state();
  for (const action of ACTIONS) {
    for (const place of ['default/nothing', 'acme/intranet', 'nowhere/intranet']) {
      const response = await post(`/api/apps/${place}/${action}`);
      expectDocumented(`${action}App`, 404, response, 'not_found');
    }
  }
  expectDocumented('retryRevocation', 404, await post('/api/revocations/rev_1/retry'), 'not_found');
  expect(await gateway.state()).toEqual(before);
  expectDocumented('checkApp', 200, await post('/api/apps/default/intranet/check'));
});
