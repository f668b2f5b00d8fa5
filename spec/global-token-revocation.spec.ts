/** The main story: Okta's request arrives, and every app that the person uses is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import request from 'supertest';
import { eventually } from './support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from './support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from './support/okta.js';
import { answer, startTargetApp, type TargetApp } from './support/target-app.js';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const PATH = '/global-token-revocation';

let okta: Okta;
let app: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;

beforeAll(async () => {
  [okta, app] = await Promise.all([startOkta(), startTargetApp()]);
  gateway = await startGateway({
    tenants: [
      {
        id: 'default',
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        apps: [
          { id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } },
          {
            id: 'build',
            connector: 'webhook',
            assignedTo: { groups: ['Engineering'] },
            account: 'externalId',
            options: { url: app.url, secret: SECRET },
          },
        ],
      },
    ],
  });
  await gateway.directory.put('default', {
    userName: 'ada@example.com',
    externalId: '00u1ada',
    active: true,
    emails: ['ada@example.com'],
    phoneNumbers: ['+441632960001'],
    groups: ['Engineering'],
  });
});

afterAll(async () => {
  await gateway.close();
  await Promise.all([okta.close(), app.close()]);
});

beforeEach(async () => {
  await eventually(list, ({ body }) =>
    body.revocations.every(({ status }: { status: string }) => status !== 'pending'),
  );
  app.calls.length = 0;
  app.answerWith(answer(204));
});

const list = () => request(gateway.url).get('/api/revocations').set('authorization', `Bearer ${ADMIN_TOKEN}`);

const sign = () => signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });

async function post(body: object, jwt?: string) {
  return request(gateway.url)
    .post(PATH)
    .set('authorization', `Bearer ${jwt ?? (await sign())}`)
    .send(body);
}

describe('an accepted revocation', () => {
  it('reaches every assigned app, signed, with the account that the app knows', async () => {
    const response = await post({ sub_id: { format: 'iss_sub', iss: okta.issuer, sub: '00u1ada' } });
    expect(response.status).toBe(204);
    expect(response.text).toBe('');
    const calls = await eventually(
      () => app.calls,
      (seen) => seen.length === 2,
    );
    const messages = calls.map(({ body, headers }) => new Webhook(SECRET).verify(body, headers as never));
    expect(messages).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'revocation.requested',
          data: expect.objectContaining({
            tenant: 'default',
            app: 'intranet',
            account: 'ada@example.com',
            mode: 'full',
          }),
        }),
        expect.objectContaining({ data: expect.objectContaining({ app: 'build', account: '00u1ada' }) }),
      ]),
    );
  });

  it('can be followed to its end', async () => {
    const before = (await list()).body.revocations.length;
    await post({ sub_id: { format: 'email', email: 'ADA@example.com' } });
    const { body } = await eventually(
      list,
      ({ body }) => body.revocations.length === before + 1 && body.revocations[0].status === 'completed',
    );
    expect(body.revocations[0]).toMatchObject({
      tenant: 'default',
      trust: 'okta',
      apps: expect.arrayContaining([
        expect.objectContaining({
          app: 'intranet',
          state: 'revoked',
          attempts: 1,
          what: ['sessions', 'refresh_tokens'],
        }),
      ]),
    });
  });

  it('is done once when the same request comes twice (JWT-18)', async () => {
    const jwt = await sign();
    const body = { sub_id: { format: 'email', email: 'ada@example.com' } };
    const answers = await Promise.all([post(body, jwt), post(body, jwt), post(body, jwt)]);
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 204]);
    await eventually(
      () => app.calls,
      (seen) => seen.length >= 2,
    );
    expect((await post(body, jwt)).status).toBe(204);
    await new Promise((done) => setTimeout(done, 300));
    expect(app.calls).toHaveLength(2);
  });

  it('is retried until the app answers', async () => {
    app.answerWith((res, _call, count) => res.writeHead(count < 3 ? 503 : 204).end());
    await post({ sub_id: { format: 'email', email: 'ada@example.com' } });
    const calls = await eventually(
      () => app.calls,
      (seen) => seen.length === 4,
    );
    expect(new Set(calls.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });
});
