/** Apps that note which account they were told to revoke, and when. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type CountingApp = Awaited<ReturnType<typeof startCountingApp>>;

export async function startCountingApp() {
  const calls = new Map<string, number[]>();
  let total = 0;
  const server = createServer(async (req, res) => {
    const at = performance.now();
    total++;
    let body = '';
    for await (const chunk of req) body += chunk;
    const { account } = (JSON.parse(body) as { data: { account: string } }).data;
    calls.set(account, [...(calls.get(account) ?? []), at]);
    res.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    /** The account of each call, with the times at which it came. */
    calls,
    total: () => total,
  };
}
