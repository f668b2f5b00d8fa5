/** What every connector has to keep to, whatever its app answers: run by the spec of each over the app's documented calls. */
import { createServer, type Server } from 'node:net';
import { inspect } from 'node:util';
import { z } from 'zod';
import {
  type Account,
  type Call,
  type Check,
  type Connector,
  ConnectorError,
  type Outcome,
  type Pending,
  type Reason,
} from '../../src/connectors/connector.js';
import { createCalls } from './call.js';
import { freePort } from './redis-server.js';
import { give, type Route, startVendor, type Vendor } from './vendor.js';

/** What the statuses of one call mean where that is not what they mean for all: a reason, or the state of the outcome. */
type StatusExceptions = Readonly<Record<number, Reason | Outcome['state']>>;

export type ContractExpectation = {
  /** An account that the app knows; `ada.s3cret@example.com`, or whatever else holds `s3cret`, so that a leak is seen. */
  account: Account;
  /** Every credential in them has to hold `s3cret`, or be listed in `secrets`. */
  options: (url: string) => Record<string, unknown>;
  secrets?: readonly string[];
  /** The documented calls over a state of their own: a user who is signed in, wherever the app can say so. */
  vendor: (url: string) => readonly Route[];
  /** Every call that a revocation makes, in order, the first time. */
  calls: readonly string[];
  /** What the outcome is. */
  outcome: Outcome;
  /** The outcome when asked again, where it is another one: `none` where the app can tell. */
  repeated?: Outcome;
  /** By call: what its statuses mean. */
  exceptions?: Readonly<Record<string, StatusExceptions>>;
  /** Calls whose answer is read: without a body (204, 205) they have failed. All GETs are. */
  reads?: readonly string[];
  /** Of the calls, one that may fail in every way: the last one without it. */
  main?: string;
  /** How long the app wants to be left alone where it answers 429 and does not say. */
  pauseMs?: number;
  /** The app has never heard of the account, in its own dialect; several where it has several. */
  unknown?: Readonly<Record<string, (url: string) => readonly Route[]>>;
  /** What the check says where all is well. */
  check: Check;
  /** The check calls nobody, since the protocol has no call that changes nothing. */
  checksNothing?: true;
};

// Refused before any call, whatever the app would make of it.
const ODD_ACCOUNTS = [
  ...['', ' ', '.', '..', '...', 'all', 'ALL', '*', 'me', 'Me', 'self', 'everyone', 'null', 'undefined'],
  ...[
    'ada/../all',
    '../users',
    'ada/sessions',
    'ada?all=true',
    'ada#x',
    '%2e%2e',
    '%2e',
    'ada%2fall',
    'https://a/%2e%2e',
  ],
  ...[
    'ada\n',
    'ada\r\nx: y',
    ' ada',
    'ada ',
    'a\u0000b',
    '\u2028',
    'ada\u200b',
    'ada*',
    '*@example.com',
    'a'.repeat(600),
  ],
];

/** The statuses that stand for all others, for calls beside the main one. */
const TELLING = [
  301, 307, 400, 401, 402, 403, 404, 405, 408, 409, 410, 418, 422, 425, 429, 500, 501, 502, 503, 504, 505, 599,
];

/** Of an answer that says nothing in words: a 404 without the app's own word for an unknown user may be a wrong URL. */
function expectedReason(status: number): Reason {
  if ([401, 403].includes(status)) return 'auth';
  if ([408, 425].includes(status)) return 'timeout';
  if (status === 429) return 'rate_limited';
  if (status < 500 || [501, 505].includes(status)) return 'refused';
  return 'server';
}

const RETRYABLE: Record<Reason, boolean> = {
  auth: true,
  rate_limited: true,
  refused: false,
  not_found: false,
  server: true,
  network: true,
  timeout: true,
};

/** Revokes, and asks for as long as the app has only begun: not before it is time, by the clock that the calls have. */
export async function revokeToTheEnd(
  connector: Connector<never>,
  account: Account,
  options: never,
  call: () => Call,
): Promise<Outcome> {
  let waitedMs = 0;
  let attempt = 0;
  const next = (): Call => {
    const { now, ...rest } = call();
    const after = waitedMs;
    attempt += 1;
    return { ...rest, attempt, now: () => new Date(now().getTime() + after) };
  };
  let answer: Outcome | Pending = await connector.revoke(account, options, next());
  for (let asked = 0; 'pending' in answer; asked += 1) {
    if (asked > 50 || !connector.poll) throw new Error('it never ends');
    // What is kept is JSON.
    const poll: unknown = JSON.parse(JSON.stringify(answer.pending.poll));
    expect(JSON.stringify(poll).length).toBeLessThan(100_000);
    waitedMs += answer.pending.afterMs;
    answer = await connector.poll(poll, options, next());
  }
  return answer;
}

// biome-ignore lint/suspicious/noExplicitAny: each connector has options of its own.
export function keepsContract(connector: Connector<any>, expectation: ContractExpectation): void {
  const { name, docs, options: schema } = connector;
  const { account, exceptions = {}, calls: documented } = expectation;
  const main = expectation.main ?? (documented.at(-1) as string);
  let vendor: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;

  beforeAll(async () => {
    vendor = await startVendor();
    calls = await createCalls();
  });
  beforeEach(() => vendor.reset(expectation.vendor(vendor.url)));
  afterAll(() => Promise.all([vendor.close(), calls.close()]));

  // Of each app the gateway has one such object, from its start to its end.
  const optionsAt = (url: string) => schema.parse(expectation.options(url));

  function revoke(over: Partial<Call> = {}, url = vendor.url, options = optionsAt(url)): Promise<Outcome> {
    return revokeToTheEnd(connector as never, account, options as never, () => calls.call(over));
  }

  async function failure(over: Partial<Call> = {}, url = vendor.url): Promise<ConnectorError> {
    const thrown = await revoke(over, url).then(
      (outcome) => new Error(`answered ${outcome.state}`),
      (error: unknown) => error,
    );
    if (!(thrown instanceof ConnectorError)) throw thrown;
    expect(thrown.message.startsWith(`${name}: `)).toBe(true);
    return thrown;
  }

  /** Nothing of what the app was told, or was told with, may be in an error: it ends in a log. */
  function expectNoSecretIn(error: unknown): void {
    const told = vendor.requests.flatMap(({ headers, body }) => [
      headers.authorization?.replace(/^\S+ /, ''),
      ...String(headers['webhook-signature'] ?? '').split(' '),
      ...(body.match(/eyJ[\w.-]+/g) ?? []),
    ]);
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      const text = [inspect(cause, { depth: 6 }), cause.stack, JSON.stringify(cause)].join('\n');
      expect(text).not.toContain('s3cret');
      expect(text).not.toContain(encodeURIComponent(account));
      expect(text).not.toMatch(/eyJ[\w-]+\./);
      for (const secret of [...told, ...(expectation.secrets ?? [])]) if (secret) expect(text).not.toContain(secret);
    }
  }

  describe(`the contract of ${name}: its page and its options`, () => {
    it('says in sentences what it ends, what lives on, for how long, by which right, and where that is written', () => {
      expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
      for (const text of [docs.does, docs.livesOn, docs.lingers, docs.permission, docs.rateLimit]) {
        expect(text).toMatch(/^[\s\S]{8,}[.)]$/);
      }
      for (const text of [...docs.credential, ...(docs.unknown ?? [])]) expect(text).toMatch(/\S.*[.)]$/);
      expect(docs.credential.length).toBeGreaterThan(0);
      expect(docs.sources.length).toBeGreaterThan(0);
      for (const source of docs.sources) expect(new URL(source).protocol).toBe('https:');
      if (docs.coverage !== 'observe') expect(docs.ends.length).toBeGreaterThan(0);
      expect(JSON.stringify(docs)).not.toContain('s3cret');
    });

    it('takes its options, and no others', () => {
      expect(schema.safeParse(expectation.options('https://app.example.com')).error).toBeUndefined();
      for (const wrong of [undefined, null, {}, [], 'https://app.example.com']) {
        expect(schema.safeParse(wrong).success).toBe(false);
      }
      const more = { ...expectation.options('https://app.example.com'), unknown: true };
      expect(schema.safeParse(more).success).toBe(false);
      for (const url of [
        ...['not a URL', '/logout', 'ftp://app.example.com/', 'javascript:alert(1)', 'data:,x', ''],
        ...['https://app.example.com/#/', 'https://app.example.com#', 'https://ada:s3cret@app.example.com/'],
      ]) {
        expect(schema.safeParse({ ...expectation.options('https://app.example.com'), url }).success).toBe(false);
      }
    });

    it('describes each option, and marks what is a secret so that nothing shows it', () => {
      const { properties } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
        properties: Record<string, { description?: string; writeOnly?: boolean; type?: string }>;
      };
      for (const [option, { description, writeOnly, type }] of Object.entries(properties)) {
        expect([option, description]).toEqual([option, expect.stringMatching(/\.$/)]);
        // A switch that is about secrets, such as `appPasswords: true`, is none.
        if (type !== 'boolean' && /secret|password|private|^(api)?(token|key)$/i.test(option))
          expect([option, writeOnly]).toEqual([option, true]);
      }
      const parsed = optionsAt('https://app.example.com');
      const shown = `${inspect(parsed, { depth: 9 })}${JSON.stringify(parsed)}`;
      expect(shown).not.toContain('s3cret');
      for (const secret of expectation.secrets ?? []) expect(shown).not.toContain(secret);
    });
  });

  describe(`the contract of ${name}: what it sends`, () => {
    it('is what is documented, in this order, and the outcome says what has ended', async () => {
      const outcome = await revoke();
      expect(vendor.violations).toEqual([]);
      expect(vendor.requests.map(({ call }) => call)).toEqual(documented);
      expect(outcome).toEqual(expectation.outcome);
      for (const what of outcome.what) expect(docs.ends).toContain(what);
    });

    it('may be sent twice: the second time is a success too', async () => {
      const options = optionsAt(vendor.url);
      await revoke({}, vendor.url, options);
      expect(await revoke({}, vendor.url, options)).toEqual(expectation.repeated ?? expectation.outcome);
      expect(vendor.violations).toEqual([]);
    });

    if (expectation.repeated?.state === 'none' && !connector.poll) {
      it('says what it ends where a retry finds nothing left, since an attempt that failed may have ended it', async () => {
        const options = optionsAt(vendor.url);
        await revoke({}, vendor.url, options);
        expect(await connector.revoke(account, options, calls.call({ attempt: 2 }))).toEqual(expectation.outcome);
        expect(vendor.violations).toEqual([]);
      });
    }

    it.each(ODD_ACCOUNTS)('is nothing where the account is odd [%j]', async (odd) => {
      const asked = Promise.resolve().then(() => connector.revoke(odd, optionsAt(vendor.url), calls.call()));
      await expect(asked).rejects.toMatchObject({ name: 'ConnectorError', reason: 'refused', retryable: false });
      expect(vendor.requests).toEqual([]);
    });

    it('is nothing where sessions are to be left alone and the app has no word for that', async () => {
      if (connector.modes.includes('refresh-only')) {
        expect((await revoke({ mode: 'refresh-only' })).what).not.toContain('sessions');
        expect(vendor.violations).toEqual([]);
        return;
      }
      expect(await failure({ mode: 'refresh-only' })).toMatchObject({ reason: 'refused', retryable: false });
      expect(vendor.requests).toEqual([]);
    });

    it('is nothing once it has been told to stop', async () => {
      expect((await failure({ signal: AbortSignal.abort() })).retryable).toBe(true);
      expect(vendor.requests).toEqual([]);
    });

    for (const [dialect, routes] of Object.entries(expectation.unknown ?? {})) {
      it(`changes nothing where the app does not know the account [${dialect}]`, async () => {
        vendor.reset(routes(vendor.url));
        expect(await revoke()).toMatchObject({ state: 'none', what: [] });
        expect(vendor.violations).toEqual([]);
      });
    }
  });

  describe(`the contract of ${name}: what it makes of an answer`, () => {
    const readsBody = (call: string) => call.startsWith('GET ') || (expectation.reads ?? []).includes(call);

    async function wrongOnes(call: string, statuses: readonly number[]): Promise<string[]> {
      const wrong: string[] = [];
      // One app over all of them, so that token and user id are there already; where the call gets those, each time anew.
      const one = optionsAt(vendor.url);
      const isMadeAgain = call === main && (await isTheOnlyOne(call, one));
      for (const status of statuses) {
        const options = isMadeAgain ? one : optionsAt(vendor.url);
        vendor.reset(expectation.vendor(vendor.url));
        vendor.failAt(call, (res, _request, usual) => {
          if (status < 300) give(res, { ...usual(), status });
          else give(res, { status, text: 'something went wrong' });
        });
        const want = exceptions[call]?.[status] ?? usually(call, status);
        const got = await revoke({}, vendor.url, options).then(
          ({ state }) => state,
          (error: unknown) => (error instanceof ConnectorError ? `${error.reason} ${error.retryable}` : inspect(error)),
        );
        const wanted = want in RETRYABLE ? `${want} ${RETRYABLE[want as Reason]}` : want;
        if (got !== wanted) wrong.push(`${call} ${status}: ${got}, not ${wanted}`);
      }
      return wrong;
    }

    /** Whether the call is made once, and also where everything that can be kept has been kept. */
    async function isTheOnlyOne(call: string, options: unknown): Promise<boolean> {
      for (let round = 0; round < 2; round += 1) {
        vendor.reset(expectation.vendor(vendor.url));
        await revoke({}, vendor.url, options);
        if (vendor.requests.filter((request) => request.call === call).length !== 1) return false;
      }
      return true;
    }

    function usually(call: string, status: number): Reason | Outcome['state'] {
      if (status >= 300) return expectedReason(status);
      const isEmpty = status === 204 || status === 205;
      return isEmpty && readsBody(call) ? 'server' : expectation.outcome.state;
    }

    it('turns every status of its main call into success, or into a reason [200 to 599]', async () => {
      expect(
        await wrongOnes(
          main,
          Array.from({ length: 400 }, (_, index) => 200 + index),
        ),
      ).toEqual([]);
    }, 60_000);

    it('turns the statuses of its other calls into a reason', async () => {
      const wrong: string[] = [];
      for (const call of new Set(documented)) if (call !== main) wrong.push(...(await wrongOnes(call, TELLING)));
      expect(wrong).toEqual([]);
    }, 60_000);

    it.each([...new Set(documented)])(
      'takes garbage for a failure, where it reads the answer at all [%s]',
      async (call) => {
        for (const text of ['', '<html>s3cret</html>', '{', 'null', '[]', '"s3cret"', '{"s3cret":1}']) {
          vendor.reset(expectation.vendor(vendor.url));
          vendor.failAt(call, (res) => res.writeHead(200, { 'content-type': 'application/json' }).end(text));
          const outcome = await revoke().catch((error: unknown) => error);
          if (outcome instanceof Error) {
            expect([text, outcome]).toEqual([text, expect.objectContaining({ name: 'ConnectorError' })]);
            expectNoSecretIn(outcome);
          } else expect([text, readsBody(call) && !['{"s3cret":1}', '[]'].includes(text)]).toEqual([text, false]);
        }
      },
    );

    it.each([
      ['seconds', { 'retry-after': '7' }, 7_000],
      ['nothing to wait', { 'retry-after': '0' }, 0],
      ['decimals', { 'retry-after': '1.5' }, 1_500],
      ['a date', { 'retry-after': 'Wed, 21 Oct 2026 07:28:30 GMT' }, 30_000],
      ['a date that has passed', { 'retry-after': 'Wed, 21 Oct 2020 07:28:00 GMT' }, 0],
      ['words', { 'retry-after': 'soon' }, expectation.pauseMs],
      ['absent', {}, expectation.pauseMs],
    ])('hands on when the app wants to be called again [%s]', async (_what, headers, retryAfterMs) => {
      const now = () => new Date('2026-10-21T07:28:00Z');
      vendor.failAt(main, (res) => give(res, { status: 429, headers: headers as Record<string, string> }));
      expect(await failure({ now })).toMatchObject({ reason: 'rate_limited', retryable: true, retryAfterMs });
    });

    it.each([...new Set(documented)])('ends at the deadline when the app hangs [%s]', async (call) => {
      vendor.failAt(call, () => {});
      const started = performance.now();
      const error = await failure({ signal: AbortSignal.timeout(250) });
      expect(error).toMatchObject({ reason: 'timeout', retryable: true });
      expect(performance.now() - started).toBeLessThan(1_500);
      expectNoSecretIn(error);
    });

    it('takes a reset, a closed port or an answer to nothing for a network failure that may pass', async () => {
      vendor.failAt(main, (res) => res.socket?.resetAndDestroy());
      const reset = await failure();
      const closed = await failure({}, `http://127.0.0.1:${await freePort()}`);
      const raw = await startRaw('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
      const switched = await failure({}, raw.url);
      await raw.close();
      for (const error of [reset, closed, switched]) {
        expect(error).toMatchObject({ reason: 'network', retryable: true });
        expectNoSecretIn(error);
      }
    });

    it('refuses an answer that never ends', async () => {
      vendor.failAt(main, (res) => {
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

    it.each([...new Set(documented)])('follows no redirect [%s]', async (call) => {
      const elsewhere = await startVendor();
      for (const status of [301, 302, 303, 307, 308]) {
        vendor.reset(expectation.vendor(vendor.url));
        vendor.failAt(call, (res) => give(res, { status, headers: { location: `${elsewhere.url}/` } }));
        expect(await failure()).toMatchObject({ reason: 'refused', retryable: false });
      }
      expect(elsewhere.requests).toEqual([]);
      await elsewhere.close();
    });

    it('goes to no private address that is not listed', async () => {
      const strict = await createCalls({ allowNetworks: [] });
      const { send } = strict.call();
      for (const url of [
        vendor.url,
        vendor.url.replace('127.0.0.1', 'localhost'),
        vendor.url.replace('http:', 'https:'),
      ]) {
        const error = await failure({ send }, url);
        expect(error).toMatchObject({ reason: 'refused', retryable: false });
        expectNoSecretIn(error);
      }
      expect(vendor.requests).toEqual([]);
      await strict.close();
    });

    it.each([...new Set(documented)])(
      'keeps credentials, JWTs and the account out of its errors, also where the app repeats them [%s]',
      async (call) => {
        for (const status of [200, 302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503]) {
          vendor.reset(expectation.vendor(vendor.url));
          vendor.failAt(call, (res, { headers, body, query, segments }) =>
            give(res, {
              status,
              headers: { 'x-echo': encodeURIComponent(headers.authorization ?? '') },
              json: {
                ...headers,
                query,
                segments,
                body,
                error: account,
                message: account,
                errors: [{ code: account }],
              },
            }),
          );
          const error = await revoke().catch((thrown: unknown) => thrown);
          if (error instanceof Error) expectNoSecretIn(error);
          else expect(JSON.stringify(error)).not.toContain('s3cret');
        }
      },
    );
  });

  describe(`the contract of ${name}: the check`, () => {
    const check = (url = vendor.url) => connector.check(optionsAt(url), calls.call());

    it('says that all is well, and changes nothing', async () => {
      expect(await check()).toEqual(expectation.check);
      expect(vendor.violations).toEqual([]);
      const harmless = expectation
        .vendor(vendor.url)
        .filter(({ call, changesNothing }) => changesNothing || call.startsWith('GET '))
        .map(({ call }) => call);
      for (const { call } of vendor.requests) expect(harmless).toContain(call);
      expect(vendor.requests.length > 0).toBe(!expectation.checksNothing);
    });

    if (!expectation.checksNothing) {
      it('says what is wrong where the app refuses, is away or answers nonsense, and no secret', async () => {
        await check();
        const asked = vendor.requests.at(-1)?.call as string;
        for (const status of [401, 403, 404, 429, 500]) {
          vendor.reset(expectation.vendor(vendor.url));
          vendor.failAt(asked, (res, { headers }) => give(res, { status, json: headers }));
          expect([status, await check()]).toEqual([
            status,
            { ok: false, problem: expect.stringMatching(`^${name}: `) },
          ]);
        }
        const away = await check(`http://127.0.0.1:${await freePort()}`);
        expect(away).toMatchObject({ ok: false });
        expect(JSON.stringify(away)).not.toContain('s3cret');
      });
    }
  });
}

/** Answers each connection with exactly this text. */
async function startRaw(text: string) {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(text));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((closed) => server.close(closed)),
  };
}
