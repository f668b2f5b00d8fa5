/** What every connector of the registry has to keep to, whatever its app answers. */
import { createServer, type Server } from 'node:net';
import { inspect } from 'node:util';
import { type Call, ConnectorError, type Outcome, type Reason } from '../../src/connectors/connector.js';
import { registry } from '../../src/connectors/registry.js';
import { createCalls } from '../support/call.js';
import { freePort } from '../support/redis-server.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const ACCOUNT = 'ada.s3cret@example.com';

type Failure = { reason: Reason; retryable: boolean };

/** What a connector takes for options, and where a status means something else to it than to the others. */
type Expectation = { options: (url: string) => object; exceptions: Record<number, Failure | Outcome['state']> };

const expectations: Record<string, Expectation> = {
  webhook: {
    options: (url) => ({
      url,
      secret: `whsec_${Buffer.from('a s3cret of 24 bytes or more').toString('base64')}`,
      previousSecret: `whsec_${Buffer.from('an older s3cret of 24 bytes').toString('base64')}`,
    }),
    exceptions: {},
  },
  'oidc-backchannel-logout': {
    options: (url) => ({ url, clientId: 'intranet' }),
    // The relying party may not have fetched our key yet (Back-Channel Logout 1.0 §2.8).
    exceptions: { 400: { reason: 'server', retryable: true } },
  },
  'global-token-revocation': {
    options: (url) => ({ url, client: 'gateway' }),
    // GTR-16: the receiver knows no such user. 410 says that the endpoint itself has gone.
    exceptions: { 404: 'none', 410: { reason: 'refused', retryable: false } },
  },
};

let app: TargetApp;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  app = await startTargetApp();
  calls = await createCalls();
});
beforeEach(() => {
  app.calls.length = 0;
  app.answerWith(answer(200));
});
afterAll(() => Promise.all([app.close(), calls.close()]));

function expected(status: number): Failure | 'success' {
  if (status < 300) return 'success';
  if ([401, 403].includes(status)) return { reason: 'auth', retryable: true };
  if ([404, 410].includes(status)) return { reason: 'not_found', retryable: false };
  if ([408, 425].includes(status)) return { reason: 'timeout', retryable: true };
  if (status === 429) return { reason: 'rate_limited', retryable: true };
  if (status < 500 || [501, 505].includes(status)) return { reason: 'refused', retryable: false };
  return { reason: 'server', retryable: true };
}

it('has an expectation here for every connector', () => {
  expect(new Set(registry.map(({ name }) => name))).toEqual(new Set(Object.keys(expectations)));
});

describe.each(registry.map((connector) => [connector.name, connector] as const))(
  'the connector %s',
  (name, connector) => {
    const { options: optionsFor, exceptions } = expectations[name] as Expectation;
    const revoke = (over: Partial<Call> = {}, url = app.url): Promise<Outcome> =>
      connector.revoke(ACCOUNT, connector.options.parse(optionsFor(url)), calls.call(over)) as Promise<Outcome>;

    async function failure(over: Partial<Call> = {}, url = app.url): Promise<ConnectorError> {
      const thrown = await revoke(over, url).then(
        (outcome) => new Error(`answered ${outcome.state}`),
        (error: unknown) => error,
      );
      if (!(thrown instanceof ConnectorError)) throw thrown;
      expect(thrown.message.startsWith(`${name}: `)).toBe(true);
      return thrown;
    }

    /** Nothing of what the app was told, or was told with, may be in an error: it ends in a log. */
    function expectNoSecretIn(error: ConnectorError): void {
      const told = app.calls.flatMap(({ headers, body }) => [
        headers.authorization?.slice('Bearer '.length),
        ...String(headers['webhook-signature'] ?? '').split(' '),
        ...(body.match(/eyJ[\w.-]+/g) ?? []),
      ]);
      const secrets = Object.values(optionsFor('')).filter((value) => String(value).startsWith('whsec_'));
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
        const text = [inspect(cause, { depth: 6 }), cause.stack, JSON.stringify(cause)].join('\n');
        expect(text).not.toContain('s3cret');
        expect(text).not.toMatch(/eyJ[\w-]+\./);
        for (const secret of [...told, ...secrets]) if (secret) expect(text).not.toContain(secret);
      }
    }

    it('describes itself: what it revokes, what it cannot, and the page that says so', () => {
      expect(name).toMatch(/^[a-z][a-z-]*$/);
      expect(connector.docs).toMatch(/^Source: https:\/\/\S+$/m);
      expect(connector.docs).not.toMatch(/\s$/);
    });

    it('takes its options, and no others', () => {
      expect(connector.options.safeParse(optionsFor('https://app.example.com/logout')).success).toBe(true);
      for (const wrong of [undefined, null, {}, [], 'https://app.example.com']) {
        expect(connector.options.safeParse(wrong).success).toBe(false);
      }
      const more = { ...optionsFor('https://app.example.com/logout'), unknown: true };
      expect(connector.options.safeParse(more).success).toBe(false);
      for (const url of ['not a URL', '/logout', 'ftp://app.example.com/', 'javascript:alert(1)', 'data:,x']) {
        expect(connector.options.safeParse(optionsFor(url)).success).toBe(false);
      }
    });

    it('turns every status into success, or into a reason and whether to try again [200 to 599]', async () => {
      const wrong: string[] = [];
      for (let status = 200; status < 600; status += 1) {
        app.answerWith(answer(status));
        const want = exceptions[status] ?? expected(status);
        const got = await revoke().then(
          ({ state }) => (want === 'success' ? want : state),
          ({ reason, retryable }: ConnectorError) => ({ reason, retryable }),
        );
        if (inspect(got) !== inspect(want)) wrong.push(`${status}: ${inspect(got)}, not ${inspect(want)}`);
      }
      expect(wrong).toEqual([]);
      expect(app.calls).toHaveLength(400);
    });

    it.each([102, 103])('waits for the answer after an interim one [%s]', async (status) => {
      const raw = await startRaw(`HTTP/1.1 ${status} Wait\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`);
      await expect(revoke({}, raw.url)).resolves.toMatchObject({ what: expect.any(Array) });
      await raw.close();
    });

    it.each([
      ['a go-ahead', 'HTTP/1.1 100 Continue\r\n\r\n'],
      ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
    ])('takes what it has not asked for for a network failure [%s]', async (_what, text) => {
      const raw = await startRaw(text);
      expect(await failure({}, raw.url)).toMatchObject({ reason: 'network', retryable: true });
      await raw.close();
    });

    it('can be asked twice: the second success is like the first', async () => {
      expect(await revoke()).toEqual(await revoke());
    });

    it('says what has ended', async () => {
      const { state, what } = await revoke();
      expect(['revoked', 'accepted']).toContain(state);
      expect(what.length).toBeGreaterThan(0);
    });

    it.each([
      ['seconds', '7', 7_000],
      ['nothing to wait', '0', 0],
      ['decimals', '1.5', 1_500],
      ['a date', 'Wed, 21 Oct 2026 07:28:30 GMT', 30_000],
      ['a date that has passed', 'Wed, 21 Oct 2020 07:28:00 GMT', 0],
      ['words', 'soon', undefined],
      ['nothing', '', undefined],
      ['absent', undefined, undefined],
    ])('hands Retry-After on [%s: %j]', async (_what, header, retryAfterMs) => {
      const now = () => new Date('2026-10-21T07:28:00Z');
      for (const status of [429, 503]) {
        app.answerWith(answer(status, header === undefined ? {} : { 'retry-after': header }));
        expect(await failure({ now })).toMatchObject({ retryable: true, retryAfterMs });
      }
    });

    it('ends at the deadline when the app hangs', async () => {
      app.answerWith(() => {});
      const started = performance.now();
      const error = await failure({ signal: AbortSignal.timeout(150) });
      expect(error).toMatchObject({ reason: 'timeout', retryable: true });
      expect(performance.now() - started).toBeLessThan(1_000);
      expectNoSecretIn(error);
    });

    it('lets nothing out once it has been told to stop', async () => {
      expect((await failure({ signal: AbortSignal.abort() })).retryable).toBe(true);
      expect(app.calls).toEqual([]);
    });

    it('takes a reset or a closed port for a network failure that may pass', async () => {
      app.answerWith((res) => res.socket?.resetAndDestroy());
      const reset = await failure();
      const closed = await failure({}, `http://127.0.0.1:${await freePort()}/logout?token=s3cret`);
      for (const error of [reset, closed]) {
        expect(error).toMatchObject({ reason: 'network', retryable: true });
        expectNoSecretIn(error);
      }
    });

    it('refuses an answer that never ends', async () => {
      app.answerWith((res) => {
        const chunk = Buffer.alloc(64 * 1024, 's3cret ');
        const pump = () => {
          while (!res.destroyed && res.write(chunk));
          res.once('drain', pump);
        };
        pump();
      });
      const error = await failure();
      expect(error).toMatchObject({ reason: 'server', retryable: true });
      expectNoSecretIn(error);
    });

    it('follows no redirect', async () => {
      const elsewhere = await startTargetApp();
      for (const status of [301, 302, 303, 307, 308]) {
        app.answerWith(answer(status, { location: elsewhere.url }));
        expect(await failure()).toMatchObject({ reason: 'refused', retryable: false });
      }
      expect(elsewhere.calls).toEqual([]);
      await elsewhere.close();
    });

    it('goes to no private address that is not listed', async () => {
      const strict = await createCalls({ allowNetworks: [] });
      const { send } = strict.call();
      for (const url of [app.url, app.url.replace('127.0.0.1', 'localhost'), app.url.replace('http:', 'https:')]) {
        const error = await failure({ send }, `${url}?token=s3cret`);
        expect(error).toMatchObject({ reason: 'refused', retryable: false });
        expectNoSecretIn(error);
      }
      expect(app.calls).toEqual([]);
      await strict.close();
    });

    it('keeps credentials, JWTs and the account out of its errors, also where the app repeats them', async () => {
      for (const status of [302, 400, 401, 403, 409, 410, 429, 500, 503]) {
        app.answerWith((res, { headers, body }) =>
          res.writeHead(status, { 'x-echo': headers.authorization ?? '' }).end(JSON.stringify(headers) + body),
        );
        expectNoSecretIn(await failure({}, `${app.url}?token=s3cret`));
      }
    });

    it('changes nothing at the app when it is checked', async () => {
      const { send, signal } = calls.call();
      const check = await connector.check(connector.options.parse(optionsFor(app.url)), { send, signal });
      expect(check.ok ? check.detail : check.problem).toMatch(/\w/);
      expect(app.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
    });
  },
);

/** Answers each connection with exactly this text. */
async function startRaw(text: string) {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(text));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((closed) => server.close(closed)),
  };
}
