/** What a client gains that sends too much, too slowly, or what no client sends: nothing, and nobody else loses by it. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ADA, type Endpoint, PATH, startEndpoint } from './support/endpoint.js';

const GIGABYTE = 1024 ** 3;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

let endpoint: Endpoint;
let port: number;

beforeAll(async () => {
  endpoint = await startEndpoint();
  port = Number(new URL(endpoint.gateway.url).port);
});

afterAll(() => endpoint.close());

/** A connection, what came back on it, and when it was closed. */
function open() {
  const start = performance.now();
  const socket: Socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
  });
  socket.on('error', () => {
    // Being cut off is what is expected.
  });
  const closed = new Promise<number>((resolve) => {
    socket.once('close', () => resolve(performance.now() - start));
  });
  return { socket, closed, received: () => received };
}

/** Sends this text, and reads until the gateway hangs up. */
async function exchange(text: string): Promise<string> {
  const { socket, closed, received } = open();
  socket.write(text);
  await closed;
  return received();
}

/** The head of a request; a string that is not a header line belongs to the body. */
const head = (...lines: string[]) =>
  [`POST ${PATH} HTTP/1.1`, 'host: logout.example.com', ...lines, '', ''].join('\r\n');

/** What a good caller meets meanwhile. */
async function expectGoodService(): Promise<void> {
  const jwt = await endpoint.sign();
  const start = performance.now();
  const { status } = await endpoint.post(jwt);
  expect({ status, ms: performance.now() - start }).toEqual({ status: 204, ms: expect.any(Number) });
  expect(performance.now() - start).toBeLessThan(1_000);
}

/** Pushes chunks of a body until a gigabyte is sent or the connection is gone; tells how much went out. */
async function push(socket: Socket, frame: (chunk: Buffer) => Buffer): Promise<number> {
  let sent = 0;
  while (sent < GIGABYTE && !socket.destroyed) {
    const chunk = frame(CHUNK);
    sent += chunk.length;
    if (socket.write(chunk)) await delay(0);
    else {
      await new Promise((resolve) => {
        for (const event of ['drain', 'close']) socket.once(event, resolve);
      });
    }
  }
  return sent;
}

describe('a client that sends too much', () => {
  const chunked = (chunk: Buffer) =>
    Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);

  it.each<[string, string, (chunk: Buffer) => Buffer]>([
    ['in chunks', 'transfer-encoding: chunked', chunked],
    ['of a length that it tells', `content-length: ${GIGABYTE}`, (chunk) => chunk],
  ])('is cut off long before a body of 1 GB is there: %s', async (_, length, frame) => {
    for (const authorization of ['x-nobody: 1', `authorization: Bearer ${await endpoint.sign()}`]) {
      const { socket, closed, received } = open();
      socket.write(head('content-type: application/json', authorization, length));
      const [sent] = await Promise.all([push(socket, frame), expectGoodService()]);
      expect(await closed).toBeLessThan(5_000);
      expect(received()).toMatch(/^(HTTP\/1\.1 413 |$)/);
      expect(sent).toBeLessThan(GIGABYTE / 16);
    }
  });

  it('changes nothing by it, and its JWT is as good as before', async () => {
    const jwt = await endpoint.sign();
    const { response, audited, changed } = await endpoint.observe(() => endpoint.post(jwt, 'x'.repeat(16 * 1024 + 1)));
    expect(response.status).toBe(413);
    expect(audited).toEqual([
      { event: 'revocation.refused', tenant: 'default', status: '413', reason: 'body_too_large' },
    ]);
    expect(changed).toEqual([]);
    expect((await endpoint.post(jwt)).status).toBe(204);
  });

  it('is told 413 at once for a length beyond 16 kB, and hung up on', async () => {
    const answer = await exchange(head('content-type: application/json', `content-length: ${16 * 1024 + 1}`));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).toContain('"code":"body_too_large"');
  });

  it('may send 16 kB, not a byte more', async () => {
    const body = (size: number) => JSON.stringify(ADA).padEnd(size, ' ');
    expect((await endpoint.post(await endpoint.sign(), body(16 * 1024))).status).toBe(204);
    expect((await endpoint.post(await endpoint.sign(), body(16 * 1024 + 1))).status).toBe(413);
  });

  it.each([
    ['a header', () => head(`x-big: ${'x'.repeat(64 * 1024)}`)],
    ['headers', () => head(...Array.from({ length: 1_000 }, (_, index) => `x-${index}: ${'x'.repeat(64)}`))],
    ['a bearer token', () => head(`authorization: Bearer ${'x'.repeat(64 * 1024)}`)],
    ['a path', () => `POST ${PATH}?${'x'.repeat(64 * 1024)} HTTP/1.1\r\nhost: x\r\n\r\n`],
  ])('is told 431 for %s of 64 kB', async (_, text) => {
    expect(await exchange(text())).toMatch(/^HTTP\/1\.1 431 /);
    await expectGoodService();
  });
});

describe('a client that takes its time', () => {
  it('is cut off within 20 s, and a thousand like it keep nobody waiting', async () => {
    const idle = Array.from({ length: 1_000 }, open);
    const slow = [
      { ...open(), text: head(`authorization: Bearer ${'x'.repeat(100)}`) },
      { ...open(), text: head('content-type: application/json', 'content-length: 100') + 'x'.repeat(100) },
      {
        ...open(),
        text: head('content-type: application/json', 'transfer-encoding: chunked') + '1\r\nx\r\n'.repeat(20),
      },
    ];
    // The headers of the last two come at once: it is the body that drips.
    const start = [0, slow[1]?.text.indexOf('\r\n\r\n') ?? 0, slow[2]?.text.indexOf('\r\n\r\n') ?? 0].map(
      (at) => at && at + 4,
    );
    slow.forEach(({ socket, text }, index) => {
      socket.write(text.slice(0, start[index]));
    });
    await Promise.all(idle.map(({ socket }) => socket.connecting && once(socket, 'connect')));
    const all = Promise.all([...idle, ...slow].map(({ closed }) => closed));
    let over = false;
    void all.then(() => {
      over = true;
    });
    for (let second = 0; !over && second < 25; second++) {
      slow.forEach(({ socket, text }, index) => {
        const at = (start[index] as number) + second;
        if (!socket.destroyed) socket.write(text.slice(at, at + 1));
      });
      await Promise.all([expectGoodService(), delay(1_000)]);
    }
    const times = await all;
    expect(Math.max(...times)).toBeLessThan(20_000);
    for (const { received } of slow) expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  }, 60_000);
});

describe('a client that sends what none sends', () => {
  it.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'])(
    'is told 405 and what is allowed: %s (GTR-02)',
    async (method) => {
      const authorization = `Bearer ${await endpoint.sign()}`;
      await endpoint.rest();
      const before = await endpoint.gateway.state();
      for (const path of [
        PATH,
        '/tenants/default/global-token-revocation',
        '/tenants/nobody/global-token-revocation',
      ]) {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          httpRequest(endpoint.gateway.url + path, { method, headers: { authorization } }, resolve)
            .on('error', reject)
            .end();
        });
        response.resume();
        expect({ status: response.statusCode, allow: response.headers.allow }).toEqual({ status: 405, allow: 'POST' });
      }
      expect(await endpoint.gateway.state()).toEqual(before);
    },
  );

  const good = JSON.stringify(ADA);
  const length = `content-length: ${good.length}`;

  it.each<[string, string]>([
    ['two lengths', head(length, 'content-length: 3') + good],
    [
      'a length and chunks',
      `${head(length, 'transfer-encoding: chunked')}${good.length.toString(16)}\r\n${good}\r\n0\r\n\r\n`,
    ],
    ['an encoding of its own', head('transfer-encoding: xchunked') + good],
    ['chunks within chunks', head('transfer-encoding: chunked, identity') + good],
    ['a length below nothing', head('content-length: -1') + good],
    ['a length that is no number', head('content-length: 0x10') + good],
    ['a chunk of no size', `${head('transfer-encoding: chunked')}zz\r\n${good}\r\n0\r\n\r\n`],
    ['a header without a colon', head('x-folded', length) + good],
    ['a header with a NUL', head('x-nul: a\0b', length) + good],
    ['no host', head(length).replace('host: logout.example.com\r\n', '') + good],
    ['another protocol', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['noise', '\0\0\0\0\r\n\r\n'],
  ])('is told 400 and hung up on: %s', async (_, text) => {
    const authorized = text.replace('host:', `authorization: Bearer ${await endpoint.sign()}\r\nhost:`);
    await endpoint.rest();
    const before = await endpoint.gateway.state();
    expect(await exchange(authorized)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await endpoint.gateway.state()).toEqual(before);
    await expectGoodService();
  });

  it.each([
    undefined,
    '',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jwt',
    'application/secevent+jwt',
    'application/jsonp',
    'application/vnd.api+json',
    'text/json',
    'application/json, text/plain',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8x',
  ])('is told 415 for %s, once it is known, and 401 before', async (type) => {
    const send = (jwt: string) => {
      const post = endpoint.post(jwt);
      return type === undefined ? post.unset('content-type') : post.set('content-type', type);
    };
    const jwt = await endpoint.sign();
    const { response, audited, changed } = await endpoint.observe(() => send(jwt));
    expect(response.status).toBe(415);
    expect(response.body.code).toBe('unsupported_media_type');
    expect(audited).toEqual([
      expect.objectContaining({ trust: 'okta', status: '415', reason: 'unsupported_media_type' }),
    ]);
    expect(changed).toEqual([]);
    expect((await send('x')).status).toBe(401);
    expect((await endpoint.post(jwt)).status).toBe(204);
  });

  it.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
  ])('is heard when it says %s', async (type) => {
    const response = await endpoint.post(await endpoint.sign()).set('content-type', type);
    expect(response.status).toBe(204);
  });

  it.each(['gzip', 'deflate', 'br', 'zstd', 'x'])(
    'is told 415 for a body in %s, which nobody unpacks',
    async (encoding) => {
      for (const body of [gzipSync(good), gzipSync(Buffer.alloc(10 * 1024 * 1024))]) {
        const jwt = await endpoint.sign();
        const send = () => endpoint.post(jwt, body).set('content-encoding', encoding);
        const { response, audited, changed } = await endpoint.observe(send);
        expect(response.status).toBe(415);
        expect(audited).toEqual([expect.objectContaining({ status: '415', reason: 'unsupported_media_type' })]);
        expect(changed).toEqual([]);
      }
    },
  );

  it('is heard with a body that is encoded as it is', async () => {
    expect((await endpoint.post(await endpoint.sign()).set('content-encoding', 'Identity')).status).toBe(204);
  });

  it('hangs up in the middle of its body: that is all', async () => {
    const jwt = await endpoint.sign();
    const { audited, changed } = await endpoint.observe(async () => {
      const { socket, closed } = open();
      socket.write(`${head('content-type: application/json', `authorization: Bearer ${jwt}`, length)}{"sub_id":`);
      await delay(100);
      socket.resetAndDestroy();
      await closed;
      return { status: 0 } as never;
    });
    expect(audited).toEqual([expect.objectContaining({ status: '400', reason: 'body_cut_off' })]);
    expect(changed).toEqual([]);
    expect((await endpoint.post(jwt)).status).toBe(204);
  });

  it('is told 400 for a path that cannot be decoded', async () => {
    const response = await endpoint.post(await endpoint.sign(), ADA, '/tenants/%ff/global-token-revocation');
    expect(response.status).toBe(400);
    expect(response.body.code).toBe('malformed_request');
  });

  it('is told nothing of the inside: no answer names a file, a line or a version', async () => {
    const answers = await Promise.all([
      endpoint.post('x'),
      endpoint.post(await endpoint.sign(), '['.repeat(5_000)),
      endpoint.post(await endpoint.sign(), ADA, '/tenants/%ff/global-token-revocation'),
      endpoint.post(await endpoint.sign(), ADA, '/nowhere'),
    ]);
    for (const { text, headers } of answers) {
      expect(text).not.toMatch(/node_modules|\.ts\b|\.js\b|\bat /);
      expect(headers['x-powered-by']).toBeUndefined();
      expect(headers.server).toBeUndefined();
    }
  });
});
