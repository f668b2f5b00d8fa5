/** The webhook connector, verified by the reference library of Standard Webhooks. */
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import type { Call } from '../../src/connectors/connector.js';
import { webhook } from '../../src/connectors/webhook.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { answer, type ReceivedCall, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.from('the first secret: 32 bytes long!').toString('base64')}`;
const OTHER = `whsec_${Buffer.from('another secret, also 32 bytes!!!').toString('base64')}`;

keepsContract(webhook, {
  account: 'ada.s3cret@example.com',
  options: (url) => ({ url: `${url}/logout`, secret: SECRET, previousSecret: OTHER }),
  secrets: [SECRET, OTHER],
  vendor: () => [
    {
      call: 'POST /logout',
      expects: {
        headers: {
          'content-type': 'application/json',
          'webhook-id': 'rev_0123456789abcdef_intranet',
          'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
          'webhook-signature': expect.stringMatching(/^v1,[\w+/]{43}= v1,[\w+/]{43}=$/),
        },
        json: {
          type: 'revocation.requested',
          timestamp: expect.any(String),
          data: expect.objectContaining({ account: 'ada.s3cret@example.com' }),
        },
      },
      answer: () => ({ status: 204 }),
    },
  ],
  calls: ['POST /logout'],
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens'] },
  // The app says by itself whom it knows, in whatever form.
  exceptions: { 'POST /logout': { 202: 'accepted', 404: 'not_found', 410: 'not_found' } },
  check: { ok: true, unasked: true, detail: 'nothing to ask: a webhook has no call that changes nothing' },
  checksNothing: true,
});

let app: TargetApp;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  app = await startTargetApp();
  calls = await createCalls();
});
beforeEach(() => {
  app.calls.length = 0;
  app.answerWith(answer(204));
});
afterAll(() => Promise.all([app.close(), calls.close()]));

const send = (over: Partial<Call> = {}, options: object = {}, account = 'ada@example.com') =>
  webhook.revoke(account, webhook.options.parse({ url: app.url, secret: SECRET, ...options }), calls.call(over));

const received = () => app.calls.at(-1) as ReceivedCall;
const verify = (secret: string, { headers, body } = received()) => new Webhook(secret).verify(body, headers as never);

describe('the message', () => {
  it('is exactly what the contract says, as JSON by POST', async () => {
    const now = new Date();
    await send({ now: () => now });
    expect(received()).toMatchObject({ method: 'POST', path: '/logout' });
    expect(received().headers['content-type']).toBe('application/json');
    expect(JSON.parse(received().body)).toEqual({
      type: 'revocation.requested',
      timestamp: now.toISOString(),
      data: {
        revocationId: 'rev_0123456789abcdef',
        tenant: 'default',
        app: 'intranet',
        account: 'ada@example.com',
        mode: 'full',
      },
    });
  });

  it('is signed so that the reference library verifies it', async () => {
    await send();
    expect(verify(SECRET)).toMatchObject({ type: 'revocation.requested' });
    expect(() => verify(OTHER)).toThrow('No matching signature');
    expect(() => verify(SECRET, { ...received(), body: received().body.replace('ada', 'eve') })).toThrow();
    const otherId = { ...received(), headers: { ...received().headers, 'webhook-id': 'another' } };
    expect(() => verify(SECRET, otherId)).toThrow();
  });

  it.each(['grâce@exämple.com', 'アダ@example.com', '"quoted\\"@example.com', '💥@example.com'])(
    'carries an account outside ASCII unharmed [%s]',
    async (account) => {
      await send({}, {}, account);
      expect(verify(SECRET)).toMatchObject({ data: { account } });
    },
  );

  it('says which mode is asked for, and claims to have ended no more [refresh-only]', async () => {
    expect(await send({ mode: 'refresh-only' })).toEqual({ state: 'revoked', what: ['refresh_tokens'] });
    expect(verify(SECRET)).toMatchObject({ data: { mode: 'refresh-only' } });
    expect(await send()).toEqual({ state: 'revoked', what: ['sessions', 'refresh_tokens'] });
  });
});

describe('a repeat', () => {
  it('has the same webhook-id, a fresh timestamp and a signature of its own', async () => {
    const start = Math.floor(Date.now() / 1000) * 1000;
    await send({ now: () => new Date(start) });
    await send({ now: () => new Date(start + 30_000) });
    const [first, second] = app.calls as [ReceivedCall, ReceivedCall];
    expect(first.headers['webhook-id']).toBe('rev_0123456789abcdef_intranet');
    expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(first.headers['webhook-timestamp']).toBe(String(start / 1000));
    expect(second.headers['webhook-timestamp']).toBe(String(start / 1000 + 30));
    expect(second.headers['webhook-signature']).not.toBe(first.headers['webhook-signature']);
    for (const call of [first, second]) expect(() => verify(SECRET, call)).not.toThrow();
  });
});

describe('a change of secrets', () => {
  it('signs with both, the new one first, so that the app may know either', async () => {
    await send({}, { secret: OTHER, previousSecret: SECRET });
    const signatures = String(received().headers['webhook-signature']).split(' ');
    expect(signatures).toHaveLength(2);
    for (const signature of signatures) expect(signature).toMatch(/^v1,[A-Za-z0-9+/]{43}=$/);
    for (const secret of [SECRET, OTHER]) expect(() => verify(secret)).not.toThrow();
    const firstOnly = { ...received().headers, 'webhook-signature': signatures[0] as string };
    expect(() => verify(OTHER, { ...received(), headers: firstOnly })).not.toThrow();
  });

  it('needs no second signature when it is over', async () => {
    await send();
    expect(String(received().headers['webhook-signature']).split(' ')).toHaveLength(1);
  });
});

describe('the outcome', () => {
  it.each([200, 201, 204])('is revoked when the app has done it [%s]', async (status) => {
    app.answerWith(answer(status));
    expect(await send()).toMatchObject({ state: 'revoked' });
  });

  it('is accepted when the app will see to it [202]', async () => {
    app.answerWith(answer(202));
    expect(await send()).toMatchObject({ state: 'accepted' });
  });
});

describe('a secret', () => {
  const accepts = (secret: string) => webhook.options.safeParse({ url: 'https://a.example.com', secret }).success;

  it.each([
    ['empty', ''],
    ['only the prefix', 'whsec_'],
    ['23 bytes', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['not base64', 'whsec_this is a sentence and no base64'],
    ['base64url', `whsec_${Buffer.alloc(24, 0xfb).toString('base64url')}`],
    ['cut off', `whsec_${Buffer.alloc(24).toString('base64')}A`],
    ['without its padding', `whsec_${Buffer.alloc(25).toString('base64').replace(/=+$/, '')}`],
    ['padded too much', `whsec_${Buffer.alloc(24).toString('base64')}=`],
    ['another prefix', `whpk_${Buffer.alloc(24).toString('base64')}`],
    ['a line break', `whsec_${Buffer.alloc(24).toString('base64')}\n`],
  ])('is refused where it cannot sign, or is too easy to guess [%s]', (_what, secret) => {
    expect(accepts(secret)).toBe(false);
  });

  it('that is accepted can sign: 24 bytes or more, with the prefix or without', () => {
    const secrets = fc.tuple(fc.constantFrom('whsec_', ''), fc.uint8Array({ minLength: 24, maxLength: 64 }));
    fc.assert(
      fc.property(secrets, ([prefix, bytes]) => {
        const secret = prefix + Buffer.from(bytes).toString('base64');
        expect(accepts(secret)).toBe(true);
        expect(new Webhook(secret).sign('id', new Date(), '{}')).toMatch(/^v1,/);
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^(whsec_)?[A-Za-z0-9+/]{30,40}={0,2}$/), (secret) => {
        if (accepts(secret)) new Webhook(secret).sign('id', new Date(), '{}');
      }),
    );
  });
});
