/** A wire to Redis that can fail as wires do: go dead, stall, be slow, or lose replies. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Wire = Awaited<ReturnType<typeof startWire>>;

export async function startWire(port: number) {
  let isLast: (bytes: string) => boolean = () => false;
  let dead = false;
  let delayMs = 0;
  let losesReply: () => boolean = () => false;
  let lost = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes: Buffer) => {
        if (from === near && isLast(bytes.toString('latin1'))) dead = true;
        if (dead) return;
        if (from === far && losesReply()) {
          // Redis has done what it was told; whoever told it will never know.
          lost += 1;
          near.destroy();
          return;
        }
        if (delayMs === 0) to.write(bytes);
        else setTimeout(() => to.write(bytes), delayMs);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deadFrom(choice: typeof isLast) {
      isLast = choice;
    },
    /** Nothing comes through any more, and nothing of it is lost. */
    stall() {
      for (const socket of sockets) socket.pause();
    },
    flow() {
      for (const socket of sockets) socket.resume();
    },
    /** Each way. */
    slow(ms: number) {
      delayMs = ms;
    },
    /** Closes the connection in the place of a reply, with this probability; answers how often it has. */
    loseReplies(probability: number, random: () => number): () => number {
      losesReply = () => random() < probability;
      return () => lost;
    },
    /** New connections go through again. */
    mend() {
      dead = false;
      delayMs = 0;
      isLast = () => false;
      losesReply = () => false;
      cut();
    },
    async close(): Promise<void> {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
