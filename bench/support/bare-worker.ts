/** The baseline of a delivery: a BullMQ worker with its defaults that makes the same HTTP call, and nothing else. */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Agent } from 'undici';

export type BareOrder = { redisUrl: string; queue: string; url: string; concurrency: number };

process.once('message', ({ redisUrl, queue, url, concurrency }: BareOrder) => {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const agent = new Agent();
  const { origin, pathname } = new URL(url);
  const headers = {
    'content-type': 'application/json',
    'webhook-id': 'x'.repeat(44),
    'webhook-timestamp': '1700000000',
    'webhook-signature': `v1,${'x'.repeat(44)}`,
  };
  const worker = new Worker(
    queue,
    async ({ data }) => {
      const body = JSON.stringify(data.message);
      const response = await agent.request({ origin, path: pathname, method: 'POST', headers, body });
      await response.body.dump();
    },
    { connection, concurrency },
  );
  worker.on('ready', () => process.send?.('ready'));
  process.once('disconnect', () => process.exit(0));
});
