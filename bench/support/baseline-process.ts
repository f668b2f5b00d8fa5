/** The baseline's process: nothing but Express, jose and ioredis with their defaults. */
import type { AddressInfo } from 'node:net';
import express, { type Request } from 'express';
import { Redis } from 'ioredis';
import { importJWK, type JWTPayload, jwtVerify } from 'jose';
import { CLIENT, TYP } from '../../spec/support/okta.js';
import type { BaselineOrder } from './baseline.js';

process.once('message', async ({ jwk, issuer, audience, redisUrl }: BaselineOrder) => {
  const key = await importJWK(jwk, 'RS256');
  const redis = new Redis(redisUrl);
  const app = express();
  app.use(express.json());

  async function verify(req: Request): Promise<JWTPayload> {
    const jwt = (req.headers.authorization ?? '').slice('Bearer '.length);
    const expected = { algorithms: ['RS256'], typ: TYP, issuer, audience, subject: CLIENT };
    return (await jwtVerify(jwt, key, expected)).payload;
  }

  app.post('/verify', async (req, res) => {
    await verify(req);
    res.status(204).end();
  });
  app.post('/verify-and-set', async (req, res) => {
    const { jti } = await verify(req);
    await redis.set(`baseline:${jti}`, JSON.stringify(req.body));
    res.status(204).end();
  });

  app.post('/set', async (req, res) => {
    await redis.set(`baseline:${req.body.userName}`, JSON.stringify(req.body));
    res.status(201).end();
  });

  const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit(0));
});
