/** The load generator's process: writes ready-made requests to plain sockets, so that it takes little CPU itself. */
import { connect, type Socket } from 'node:net';
import type { RevocationRequest } from './requests.js';

const ANSWER_WITHIN_MS = 30_000;

export type LoadOrder = { url: string; path: string; from: number; count: number; connections: number };

export type LoadResult = {
  seconds: number;
  /** How many answers of each status. */
  statuses: Record<number, number>;
  /** Milliseconds, ascending. */
  latencies: number[];
};

let requests: readonly RevocationRequest[] = [];

process.on('message', (message: readonly RevocationRequest[] | LoadOrder) => {
  if ('url' in message) return void run(message).then((result) => process.send?.(result));
  requests = message;
  process.send?.('ready');
});

async function run({ url, path, from, count, connections }: LoadOrder): Promise<LoadResult> {
  const { hostname, port, host } = new URL(url);
  const messages = requests.slice(from, from + count).map((request) => encode(request, path, host));
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(hostname, Number(port))));
  const statuses: Record<number, number> = {};
  const latencies: number[] = [];
  let next = 0;

  async function drive(exchange: Exchange): Promise<void> {
    for (let message = messages[next++]; message; message = messages[next++]) {
      const sentAt = performance.now();
      const status = await exchange(message);
      latencies.push(performance.now() - sentAt);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  }

  const startedAt = performance.now();
  await Promise.all(sockets.map((socket) => drive(exchangeOver(socket))));
  const seconds = (performance.now() - startedAt) / 1000;
  for (const socket of sockets) socket.destroy();
  return { seconds, statuses, latencies: latencies.sort((a, b) => a - b) };
}

function encode({ jwt, body }: RevocationRequest, path: string, host: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${jwt}\r\ncontent-type: application/json\r\n` +
      `accept: */*\r\nuser-agent: Okta-Integrations\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => resolve(socket)).once('error', reject);
  });
}

type Exchange = (message: Buffer) => Promise<number>;

/** Sends one request and answers the status when the whole response is there; bodies come with a Content-Length. */
function exchangeOver(socket: Socket): Exchange {
  let received = '';
  let finish = (_status: number): void => {};
  let fail = (_error: Error): void => {};
  socket.setTimeout(ANSWER_WITHIN_MS, () => fail(new Error('no answer in time')));
  socket.on('error', (error) => fail(error));
  socket.on('close', () => fail(new Error('the connection was closed')));
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    const head = received.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(received.slice(0, head))?.[1] ?? 0;
    if (received.length < head + 4 + Number(length)) return;
    const status = Number(received.slice(9, 12));
    received = '';
    finish(status);
  });
  return (message) =>
    new Promise((resolve, reject) => {
      finish = resolve;
      fail = reject;
      socket.write(message);
    });
}
