/** Outbound calls against real servers that redirect, flood, hang, reset and drip. */
import { createHook } from 'node:async_hooks';
import { createServer as createHttpServer, type Server as HttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { parseSettings } from '../../src/config.js';
import {
  CONNECTIONS_PER_ORIGIN,
  createOutbound,
  OutboundError,
  type OutboundRequest,
} from '../../src/outbound/outbound.js';
import { eventually } from '../support/eventually.js';
import { withApp } from '../support/settings.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const LOOPBACK = ['127.0.0.0/8', '::1/128'];
const SECRETS = '/s3cret-path?token=s3cret-query';

const strict = createOutbound({ allowNetworks: [] });
const open = createOutbound({ allowNetworks: LOOPBACK });
const closers: (() => unknown)[] = [];
let app: TargetApp;

beforeAll(async () => {
  app = await startTargetApp(answer(200, {}, 'hello'));
});
beforeEach(() => {
  app.calls.length = 0;
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});
afterAll(() => Promise.all([app.close(), strict.close(), open.close()]));

/** A server that does with each connection what the spec says; answers its port. */
async function startRaw(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((closed) => server.close(closed));
  });
  return listen(server);
}

function listen(server: Server | HttpServer): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** The error of a call that has to fail, and how long it took. */
async function failure(url: string, call: OutboundRequest = {}, outbound = open) {
  const started = performance.now();
  const error = await outbound.send(url, call).then(
    ({ status }) => {
      throw new Error(`answered ${status}`);
    },
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OutboundError)) throw error;
  return { error, ms: performance.now() - started };
}

const portOf = (url: string) => new URL(url).port;

describe('the address policy', () => {
  it.each([
    ['a literal', '127.0.0.1'],
    ['a number', '2130706433'],
    ['IPv4-mapped', '[::ffff:127.0.0.1]'],
    ['a name', 'localhost'],
  ])('refuses loopback that is not listed, over both protocols [%s]', async (_what, host) => {
    for (const protocol of ['http', 'https']) {
      const { error } = await failure(`${protocol}://${host}:${portOf(app.url)}${SECRETS}`, {}, strict);
      expect(error.reason).toBe('refused_address');
      expect(error.message).toMatch(/listed/);
    }
    expect(app.calls).toEqual([]);
  });

  it('refuses plain http to a public address before it connects', async () => {
    const { error, ms } = await failure('http://203.0.114.1/', {}, strict);
    expect(error.reason).toBe('refused_address');
    expect(ms).toBeLessThan(500);
  });

  it.each(['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]'])('allows loopback that is listed [%s]', async (host) => {
    const response = await open.send(`http://${host}:${portOf(app.url)}/logout`);
    expect(response).toMatchObject({ status: 200, body: 'hello' });
  });

  it('judges every connection, also of those that ask for one name together', async () => {
    const calls = ['http', 'https', 'http'].flatMap((protocol) =>
      Array.from({ length: 5 }, () => failure(`${protocol}://localhost:${portOf(app.url)}/`, {}, strict)),
    );
    for (const { error } of await Promise.all(calls)) expect(error.reason).toBe('refused_address');
    expect(app.calls).toEqual([]);
  });

  it('opens nothing else by listing one network', async () => {
    const narrow = createOutbound({ allowNetworks: ['10.0.0.0/8'] });
    closers.push(narrow.close);
    expect((await failure(app.url, {}, narrow)).error.reason).toBe('refused_address');
  });
});

describe('an answer', () => {
  it('is returned whatever its status, with method, headers and body as asked', async () => {
    app.answerWith(answer(418, { 'x-one': '1' }, 'short and stout'));
    const headers = { 'x-mine': 'yes' };
    const response = await open.send(app.url, { method: 'PUT', headers, body: 'tea' });
    expect(response).toMatchObject({ status: 418, headers: { 'x-one': '1' }, body: 'short and stout' });
    expect(app.calls[0]).toMatchObject({ method: 'PUT', body: 'tea', headers: { 'x-mine': 'yes' } });
  });

  it.each([301, 302, 303, 307, 308])('that redirects is not followed [%s]', async (status) => {
    const elsewhere = await startTargetApp();
    closers.push(elsewhere.close);
    app.answerWith(answer(status, { location: elsewhere.url }));
    expect((await open.send(app.url, { method: 'POST', body: 'x' })).status).toBe(status);
    expect(elsewhere.calls).toEqual([]);
    expect(app.calls).toHaveLength(1);
  });

  it('of 100 MB is cut at the cap, and the connection with it', async () => {
    let sent = 0;
    let closed = false;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const server = createHttpServer((_req, res) => {
      res.on('close', () => {
        closed = true;
      });
      const pump = () => {
        while (sent < 100 * 1024 * 1024 && !res.destroyed) {
          sent += chunk.length;
          if (!res.write(chunk)) return void res.once('drain', pump);
        }
        res.end();
      };
      pump();
    });
    const port = await listen(server);
    closers.push(
      () => server.closeAllConnections(),
      () => new Promise((done) => server.close(done)),
    );

    const { error, ms } = await failure(`http://127.0.0.1:${port}${SECRETS}`);
    expect(error.reason).toBe('too_large');
    expect(ms).toBeLessThan(2_000);
    await eventually(
      () => closed,
      (seen) => seen,
    );
    // What the sockets' buffers hold beyond the cap of one megabyte.
    expect(sent).toBeLessThan(20 * 1024 * 1024);
  });

  it('may be exactly as large as the cap, and one byte more is too much', async () => {
    app.answerWith(answer(200, {}, 'x'.repeat(1000)));
    expect((await open.send(app.url, { maxBytes: 1000 })).body).toHaveLength(1000);
    expect((await failure(app.url, { maxBytes: 999 })).error.reason).toBe('too_large');
  });

  it('that is compressed though nobody asked is not unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024));
    app.answerWith((res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    const response = await open.send(app.url);
    expect(app.calls[0]?.headers['accept-encoding']).toBe('identity');
    expect(response.body.length).toBeLessThanOrEqual(bomb.length);
  });

  it('with endless headers is refused', async () => {
    const port = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const flood = () => {
        while (!socket.destroyed && socket.write(`x-flood: ${'x'.repeat(8000)}\r\n`));
        socket.once('drain', flood);
      };
      flood();
    });
    const { error, ms } = await failure(`http://127.0.0.1:${port}/`);
    expect(error.reason).toBe('network');
    expect(ms).toBeLessThan(2_000);
  });

  it.each([102, 103])('comes after an interim one, which is waited out [%s]', async (status) => {
    const text = `HTTP/1.1 ${status} Wait\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`;
    const port = await startRaw((socket) => socket.once('data', () => socket.end(text)));
    expect(await open.send(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 200 });
  });

  it.each([
    ['a go-ahead', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('that nobody has asked for is a network failure [%s]', async (_what, text) => {
    const port = await startRaw((socket) => socket.once('data', () => socket.end(text)));
    const { error } = await failure(`http://127.0.0.1:${port}${SECRETS}`);
    expect(error.reason).toBe('network');
  });

  it('that is not HTTP is a network failure', async () => {
    const port = await startRaw((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'));
    expect((await failure(`http://127.0.0.1:${port}/`)).error.reason).toBe('network');
    expect((await failure(`https://127.0.0.1:${port}/`)).error.reason).toBe('network');
  });
});

describe('a deadline', () => {
  const DEADLINE_MS = 200;

  it.each<[string, (socket: Socket) => void]>([
    ['nothing is ever said', () => {}],
    ['the headers stop half-way', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-le')],
    ['the body stops half-way', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf')],
    [
      'the body drips, a byte at a time',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer));
      },
    ],
    [
      'the headers drip',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nx: ');
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer));
      },
    ],
  ])('ends the call where %s', async (_what, behave) => {
    let closed = false;
    const port = await startRaw((socket) => {
      socket.on('close', () => {
        closed = true;
      });
      socket.once('data', () => behave(socket));
    });
    const { error, ms } = await failure(`http://127.0.0.1:${port}${SECRETS}`, { timeoutMs: DEADLINE_MS });
    expect(error.reason).toBe('timeout');
    expect(ms).toBeGreaterThan(DEADLINE_MS - 20);
    expect(ms).toBeLessThan(DEADLINE_MS + 800);
    await eventually(
      () => closed,
      (seen) => seen,
    );
  });

  it('is also the caller’s: the call ends as soon as the signal is aborted', async () => {
    const port = await startRaw(() => {});
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    const { error, ms } = await failure(`http://127.0.0.1:${port}/`, { signal: controller.signal });
    expect(error.reason).toBe('timeout');
    expect(ms).toBeLessThan(900);
  });

  it('ends a call that still waits for a connection, which is then never made', async () => {
    let requests = 0;
    const waiting = new Set<Socket>();
    const port = await startRaw((socket) =>
      socket.on('data', () => {
        requests += 1;
        waiting.add(socket);
      }),
    );
    const url = `http://127.0.0.1:${port}/`;
    const first = Array.from({ length: CONNECTIONS_PER_ORIGIN }, () => open.send(url, { timeoutMs: 10_000 }));
    await eventually(
      () => requests,
      (seen) => seen === CONNECTIONS_PER_ORIGIN,
    );
    const { error, ms } = await failure(url, { timeoutMs: 200 });
    expect(error.reason).toBe('timeout');
    expect(ms).toBeLessThan(900);
    for (const socket of waiting) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    await Promise.all(first);
    const last = open.send(url);
    await eventually(
      () => requests,
      (seen) => seen === CONNECTIONS_PER_ORIGIN + 1,
    );
    for (const socket of waiting) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    expect((await last).status).toBe(204);
    expect(requests).toBe(CONNECTIONS_PER_ORIGIN + 1);
  });

  it('that has passed before the call lets nothing out', async () => {
    const { error } = await failure(app.url, { signal: AbortSignal.abort() });
    expect(error.reason).toBe('timeout');
    expect(app.calls).toEqual([]);
  });
});

describe('a connection', () => {
  it('that is reset is a network failure', async () => {
    const port = await startRaw((socket) => socket.once('data', () => socket.resetAndDestroy()));
    expect((await failure(`http://127.0.0.1:${port}/`)).error.reason).toBe('network');
  });

  it('that announces its answer first gives that answer', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';
    const port = await startRaw((socket) =>
      socket.once('data', () => socket.write(`${hints}HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\nok`)),
    );
    expect(await open.send(`http://127.0.0.1:${port}/`)).toMatchObject({
      status: 200,
      headers: { x: 'y' },
      body: 'ok',
    });
  });

  it('that closes without an answer is a network failure', async () => {
    const port = await startRaw((socket) => socket.once('data', () => socket.end()));
    expect((await failure(`http://127.0.0.1:${port}/`)).error.reason).toBe('network');
  });

  it('that nobody accepts is a network failure, told with its code', async () => {
    const port = await startRaw(() => {});
    await closers.pop()?.();
    const { error } = await failure(`http://127.0.0.1:${port}/`);
    expect(error).toMatchObject({ reason: 'network', message: expect.stringContaining('ECONNREFUSED') });
  });

  it('is there for every call that the settings let an app have at once', async () => {
    const withConcurrency = (concurrency: number) => {
      const problems: string[] = [];
      parseSettings(withApp({ delivery: { concurrency } }), 'spec.yaml', {}, problems);
      return problems;
    };
    expect(withConcurrency(CONNECTIONS_PER_ORIGIN)).toEqual([]);
    expect(withConcurrency(CONNECTIONS_PER_ORIGIN + 1)).not.toEqual([]);

    const held: ServerResponse[] = [];
    app.answerWith((res) => {
      held.push(res);
      if (held.length === CONNECTIONS_PER_ORIGIN) for (const one of held) one.writeHead(204).end();
    });
    const calls = Array.from({ length: CONNECTIONS_PER_ORIGIN }, () => open.send(app.url, { timeoutMs: 20_000 }));
    expect(new Set((await Promise.all(calls)).map(({ status }) => status))).toEqual(new Set([204]));
  });

  it('is made without a look-up of its own where the name is being looked up already', async () => {
    let lookUps = 0;
    const count = createHook({
      init: (_id, type) => {
        if (type === 'GETADDRINFOREQWRAP') lookUps += 1;
      },
    }).enable();
    closers.push(() => count.disable());
    const url = `http://localhost:${portOf(app.url)}/`;
    app.answerWith((res) => setTimeout(() => res.end(), 200));
    const answers = await Promise.all(Array.from({ length: 20 }, () => open.send(url)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(lookUps).toBe(1);
  });

  it('to a name that does not exist is a network failure', async () => {
    expect((await failure('https://does-not-exist.invalid/', { timeoutMs: 5_000 })).error.reason).toMatch(
      /^(network|timeout)$/,
    );
  });
});

describe('an error', () => {
  it('names the host, and neither path, query, header nor body, down to its last cause', async () => {
    const hang = await startRaw(() => {});
    const reset = await startRaw((socket) => socket.once('data', () => socket.resetAndDestroy()));
    app.answerWith(answer(200, {}, 's3cret-answer'.repeat(100)));
    const failures = [
      failure(`http://127.0.0.1:${hang}${SECRETS}`, { ...secretCall, timeoutMs: 100 }),
      failure(`http://127.0.0.1:${reset}${SECRETS}`, secretCall),
      failure(`http://127.0.0.1:${portOf(app.url)}${SECRETS}`, { ...secretCall, maxBytes: 10 }),
      failure(`http://user:s3cret-password@127.0.0.1:${reset}${SECRETS}`, secretCall),
      failure(`http://127.0.0.1:1${SECRETS}`, secretCall),
      failure(`http://127.0.0.1:${hang}${SECRETS}`, secretCall, strict),
    ];
    const reasons = [];
    for (const { error } of await Promise.all(failures)) {
      reasons.push(error.reason);
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
        expect(`${cause.message} ${cause.stack} ${JSON.stringify(cause)}`).not.toContain('s3cret');
      }
    }
    expect(reasons).toEqual(['timeout', 'network', 'too_large', 'network', 'network', 'refused_address']);
  });

  const secretCall: OutboundRequest = {
    method: 'POST',
    headers: { authorization: 'Bearer s3cret-header' },
    body: 's3cret-body',
  };
});
