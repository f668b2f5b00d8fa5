/** A server on the loopback address whose URL is known before anything answers on it, so that the port may be 0. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where `port` is taken, any free one will do. */
export async function listenOnLoopback(port: number) {
  const server = createServer();
  const listenOn = async (number: number) => {
    server.listen(number, '127.0.0.1');
    await once(server, 'listening');
  };
  await listenOn(port).catch(async (error: { code?: string }) => {
    if (error.code !== 'EADDRINUSE') throw error;
    await listenOn(0);
  });
  const { port: own } = server.address() as AddressInfo;
  return {
    server,
    port: own,
    url: `http://127.0.0.1:${own}`,
    async close(): Promise<void> {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
