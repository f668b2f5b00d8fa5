/** Apps as a bad day has them: one dead, one slow, one that answers 429 in bursts, one that drops half its connections. */
import { createServer, type Server } from 'node:http';
import { freePort } from './children.js';

export type Mood = 'healthy' | 'dead' | 'slow' | 'bursts of 429' | 'drops half';

const SLOW_MS = 500;
const BURST_EVERY_MS = 10_000;
const BURST_MS = 2_000;

export type MoodyApp = Awaited<ReturnType<typeof startMoodyApp>>;

/** What each account was answered: a success with its time, else what went wrong. */
export async function startMoodyApp(mood: Mood, random: () => number) {
  const port = await freePort();
  /** Times of the calls that were answered with success, by account. */
  const reached = new Map<string, number[]>();
  /** Accounts of calls that were done when the caller had hung up: its deadline was over, or it was dead. */
  const unheard = new Set<string>();
  const failed: Record<string, number> = {};
  let server: Server | undefined;
  let calm = false;

  async function start(): Promise<void> {
    server = createServer(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += chunk;
      const { account } = (JSON.parse(body) as { data: { account: string } }).data;
      const wrong = calm ? undefined : whatGoesWrong();
      if (wrong) failed[wrong] = (failed[wrong] ?? 0) + 1;
      if (wrong === 'reset') return void req.socket.destroy();
      if (wrong === '429') return void res.writeHead(429, { 'retry-after': '1' }).end();
      if (mood === 'slow' && !calm) await new Promise((done) => setTimeout(done, SLOW_MS));
      // It is done, whether or not the caller still listens.
      if (res.destroyed || req.socket.destroyed) unheard.add(account);
      reached.set(account, [...(reached.get(account) ?? []), performance.now()]);
      res.writeHead(204).end();
    }).on('connection', (socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
  }

  function whatGoesWrong(): 'reset' | '429' | undefined {
    if (mood === 'drops half' && random() < 0.5) return 'reset';
    if (mood === 'bursts of 429' && Date.now() % BURST_EVERY_MS < BURST_MS) return '429';
    return undefined;
  }

  if (mood !== 'dead') await start();
  return {
    mood,
    url: `http://127.0.0.1:${port}/`,
    reached,
    unheard,
    failed,
    /** All is well from here on; the dead come back to life. */
    async calmDown(): Promise<void> {
      calm = true;
      if (!server) await start();
    },
  };
}
