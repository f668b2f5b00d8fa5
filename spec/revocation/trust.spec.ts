/** What the log says of an issuer whose keys cannot be had: so much that it is seen, and no more however many ask. */
import { Writable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Router } from 'express';
import pino from 'pino';
import request from 'supertest';
import { createApp } from '../../src/app.js';
import { createMetrics } from '../../src/metrics.js';
import { createOutbound } from '../../src/outbound/outbound.js';
import { Unavailable } from '../../src/request-error.js';
import { createTrusts } from '../../src/revocation/trust.js';
import { configOf } from '../support/gateway.js';
import { type Okta, startOkta } from '../support/okta.js';

const MINUTE = 60_000;

const outbound = createOutbound({ allowNetworks: ['127.0.0.0/8'] });
let okta: Okta;
let lines: { level: number; msg: string; [fact: string]: unknown }[];
let nowMs = Date.now();

const logger = pino(
  { serializers: { error: pino.stdSerializers.err } },
  new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(JSON.parse(line.toString('utf8')));
      done();
    },
  }),
);

beforeAll(async () => {
  okta = await startOkta();
});
beforeEach(() => {
  lines = [];
  okta.state.status = 500;
});
afterAll(() => Promise.all([okta.close(), outbound.close()]));

function newTrusts() {
  const trust = (id: string) => ({
    ...{ id, client: id, issuers: [okta.issuer] },
    keys: { jwksUri: `${okta.issuer}/keys?s3cret=${id}` },
  });
  const { settings } = configOf({ tenants: [{ id: 'default', trusts: [trust('one'), trust('two')] }] });
  const find = createTrusts(settings, { send: outbound.send, now: () => nowMs, metrics: createMetrics(), logger });
  return async (client: string, kid?: string) => {
    const keys = await find('default', okta.issuer, client)?.keys.candidates({ alg: 'RS256', kid });
    return keys?.length;
  };
}

describe('keys that cannot be had', () => {
  it('are told of once a minute for each trust, with the cause', async () => {
    const ask = newTrusts();
    const refuses = (client: string) => expect(ask(client)).rejects.toThrow(Unavailable);
    for (let seconds = 0; seconds < 60; seconds += 10) {
      for (let i = 0; i < 20; i++) await refuses('one');
      nowMs += MINUTE / 6;
    }
    await refuses('two');
    const told = { level: 50, msg: 'keys.not_fetched', tenant: 'default' };
    expect(lines).toEqual([
      expect.objectContaining({ ...told, trust: 'one' }),
      expect.objectContaining({ ...told, trust: 'two' }),
    ]);
    await refuses('one');
    expect(lines.map(({ trust }) => trust)).toEqual(['one', 'two', 'one']);
    expect(JSON.stringify(lines)).toContain('answered 500');
    expect(JSON.stringify(lines)).not.toContain('s3cret');
  });

  it('are told of also while those of before still serve', async () => {
    const ask = newTrusts();
    okta.state.status = 200;
    expect(await ask('one')).toBe(1);
    expect(lines).toEqual([]);
    okta.state.status = 500;
    nowMs += 10 * MINUTE;
    expect(await ask('one')).toBe(1);
    expect(lines.map(({ msg }) => msg)).toEqual(['keys.not_fetched']);
  });
});

describe('a request that fails', () => {
  const failing = (error: Error) =>
    createApp(
      Router().get('/', () => {
        throw error;
      }),
      [],
      logger,
    );

  it('for want of the keys has no line of its own', async () => {
    const app = failing(new Unavailable('keys_unavailable', new Error('x')));
    expect((await request(app).get('/')).status).toBe(503);
    expect(lines).toEqual([]);
  });

  it.each<[string, Error, number]>([
    ['for want of Redis', new Unavailable('redis_unavailable', new Error('x')), 503],
    ['for what nobody foresaw', new Error('x'), 500],
  ])('%s has one', async (_, error, status) => {
    expect((await request(failing(error)).get('/')).status).toBe(status);
    expect(lines).toEqual([expect.objectContaining({ msg: 'request.failed', status })]);
  });
});
