/** A revocation that takes too long is reported once, with the apps that it waits for. */
import { Webhook } from 'standardwebhooks';
import { createDataKeys, newDataKey } from '../../src/data-key.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, startGateway } from '../support/gateway.js';
import { answer, startTargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'overdue').toString('base64')}`;

it('and one that is over is not, nor is it reported twice', async () => {
  const [slow, quick, operators] = await Promise.all([startTargetApp(answer(503)), startTargetApp(), startTargetApp()]);
  const app = (id: string, url: string, assignedTo: object) => ({
    ...{ id, assignedTo, connector: 'webhook', options: { url, secret: SECRET } },
  });
  const gateway = await startGateway({
    tenants: [
      {
        id: 'default',
        apps: [app('slow', slow.url, { users: ['ada'] }), app('quick', quick.url, { users: ['ada', 'grace'] })],
      },
    ],
    alerts: { webhook: { url: operators.url, secret: SECRET }, overdueAfter: '1s' },
  });
  const revoke = async (userName: string) => {
    await gateway.directory.put('default', { userName, emails: [`${userName}@example.com`] });
    const response = await fetch(`${gateway.url}/api/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      body: JSON.stringify({ userName }),
    });
    return ((await response.json()) as { revocationId: string }).revocationId;
  };
  await revoke('grace');
  const revocationId = await revoke('ada');
  await eventually(
    () => operators.calls.length,
    (calls) => calls === 1,
    15_000,
  );
  // It looks every five seconds.
  await new Promise((done) => setTimeout(done, 6_000));
  expect(operators.calls).toHaveLength(1);
  const [{ body, headers } = { body: '', headers: {} }] = operators.calls;
  expect(new Webhook(SECRET).verify(body, headers as never)).toMatchObject({
    type: 'revocation.overdue',
    data: { tenant: 'default', revocationId, waitingFor: ['slow'] },
  });
  expect(body).not.toContain('@');
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('universal_logout_open_revocations{tenant="default"} 1');
  await gateway.close();
  await Promise.all([slow.close(), quick.close(), operators.close()]);
});

it('also where it is accepted and does not get as far as its apps', async () => {
  const operators = await startTargetApp();
  const gateway = await startGateway({
    tenants: [{ id: 'default', apps: [] }],
    alerts: { webhook: { url: operators.url, secret: SECRET }, overdueAfter: '1s' },
  });
  // Sealed by a key that this gateway does not have.
  const enqueue = createEnqueue(gateway.redis, gateway.prefix, createDataKeys([newDataKey()]));
  const revocation = {
    ...{ tenant: 'default', trust: 'okta', user: 'ada', mode: 'full' as const, via: [], accounts: [] },
    acceptedAt: Date.now(),
  };
  await enqueue.add({ ...revocation, revocationId: 'rev_stuck' });
  await eventually(
    () => operators.calls.length,
    (calls) => calls === 1,
    15_000,
  );
  await new Promise((done) => setTimeout(done, 6_000));
  expect(operators.calls).toHaveLength(1);
  expect(JSON.parse(operators.calls[0]?.body ?? '')).toMatchObject({
    type: 'revocation.overdue',
    data: { tenant: 'default', revocationId: 'rev_stuck' },
  });
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('universal_logout_open_revocations{tenant="default"} 1');
  await enqueue.close();
  await gateway.close();
  await operators.close();
});
