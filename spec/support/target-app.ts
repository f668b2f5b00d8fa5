/** An app that is told to revoke: a real HTTP server that remembers each call and answers as the spec says. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ReceivedCall = { method: string; path: string; headers: IncomingHttpHeaders; body: string; at: number };

export type Answer = (res: ServerResponse, call: ReceivedCall, count: number) => void;

export const answer =
  (status: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (res) =>
    res.writeHead(status, headers).end(body);

export async function startTargetApp(initial: Answer = answer(204)) {
  const calls: ReceivedCall[] = [];
  let respond = initial;
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const call = {
        method: req.method ?? '',
        path: req.url ?? '',
        headers: req.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        at: Date.now(),
      };
      calls.push(call);
      respond(res, call, calls.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/logout`,
    calls,
    answerWith(next: Answer) {
      respond = next;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type TargetApp = Awaited<ReturnType<typeof startTargetApp>>;
