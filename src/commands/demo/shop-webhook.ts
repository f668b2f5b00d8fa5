/** The shop's end of the webhook connector: a message signed as Standard Webhooks asks, and the account it names. */
import { type Request, type RequestHandler, type Response, raw } from 'express';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { z } from 'zod';

const revocationRequested = z.object({
  type: z.literal('revocation.requested'),
  timestamp: z.string(),
  data: z.object({
    revocationId: z.string(),
    tenant: z.string(),
    app: z.string(),
    account: z.string(),
    mode: z.string(),
  }),
});

export function createShopWebhook(secret: string, revoke: (account: string) => Promise<void>): RequestHandler[] {
  const webhook = new Webhook(secret);

  async function receive(req: Request, res: Response) {
    let message: unknown;
    try {
      message = webhook.verify(req.body ?? '', {
        'webhook-id': req.get('webhook-id') ?? '',
        'webhook-timestamp': req.get('webhook-timestamp') ?? '',
        'webhook-signature': req.get('webhook-signature') ?? '',
      });
    } catch (error) {
      if (!(error instanceof WebhookVerificationError || error instanceof SyntaxError)) throw error;
      res.status(400).json({ error: error.message });
      return;
    }
    const parsed = revocationRequested.safeParse(message);
    if (!parsed.success) {
      res.status(400).json({ error: 'the message is not a revocation.requested' });
      return;
    }
    await revoke(parsed.data.data.account);
    res.status(204).end();
  }

  // The signature covers the bytes as they came.
  return [raw({ type: () => true, limit: '16kb' }), receive];
}
