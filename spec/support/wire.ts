/** A wire to Redis that can fail as wires do: go dead, stall, be slow, hold something up, or lose replies. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Wire = Awaited<ReturnType<typeof startWire>>;

export async function startWire(port: number) {
  let isLast: (bytes: string) => boolean = () => false;
  let isHeld: (bytes: string) => boolean = () => false;
  let onHeld = (): void => {};
  let held: (() => void)[] | undefined;
  let dead = false;
  let stalled = false;
  let delayMs = 0;
  let losesReply: () => boolean = () => false;
  let lost = 0;
  let answersAs: ((bytes: string) => string) | undefined;
  const sockets = new Set<Socket>();
  const openedDead = new Set<Socket>();
  const forgotten = new WeakSet<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    if (dead) openedDead.add(near).add(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      if (stalled) from.pause();
      from.on('data', (data: Buffer) => {
        const bytes = from === far && answersAs ? Buffer.from(answersAs(data.toString('latin1')), 'latin1') : data;
        if (from === near && isLast(bytes.toString('latin1'))) dead = true;
        if (dead || forgotten.has(from)) return;
        if (from === near && isHeld(bytes.toString('latin1'))) {
          isHeld = () => false;
          held = [];
          onHeld();
        }
        if (from === near && held) return void held.push(() => to.write(bytes));
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
        openedDead.delete(from);
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
    /** Holds up the first message of this kind and all that follow it: `arrived` says when there is one. */
    holdFrom(choice: typeof isHeld): { arrived: Promise<void>; letGo(): void } {
      isHeld = choice;
      const arrived = new Promise<void>((resolve) => {
        onHeld = resolve;
      });
      return {
        arrived,
        letGo() {
          const waiting = held ?? [];
          held = undefined;
          for (const write of waiting) write();
        },
      };
    },
    /** Nothing comes through any more, and nothing of it is lost. */
    stall() {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    flow() {
      stalled = false;
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
    /** What Redis says comes as something else, of the same length. */
    answerAs(change: typeof answersAs) {
      answersAs = change;
    },
    /** New connections go through again. */
    mend() {
      dead = false;
      delayMs = 0;
      isLast = () => false;
      losesReply = () => false;
      cut();
    },
    /**
     * New connections go through again, and nobody tells those that were there before that they are of no use any more,
     * as a firewall does that has started anew. What came while the wire was dead would never have been opened.
     */
    forget() {
      for (const socket of openedDead) socket.destroy();
      for (const socket of sockets) if (!openedDead.has(socket)) forgotten.add(socket);
      dead = false;
      isLast = () => false;
    },
    async close(): Promise<void> {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
