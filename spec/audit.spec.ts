/** Where the records of the audit trail go. */
import request from 'supertest';
import { auditKey, NO_TENANT } from '../src/audit.js';
import { type Endpoint, PATH, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';

let endpoint: Endpoint;

beforeAll(async () => {
  endpoint = await startEndpoint();
});
afterAll(() => endpoint.close());

it('gives a caller who invents tenants no key in Redis for each', async () => {
  const { gateway } = endpoint;
  const invented = Array.from({ length: 20 }, (_, index) => `nobody-${index}`);
  for (const tenant of [...invented, 'Ada', '_']) {
    const { status } = await request(gateway.url).post(`/tenants/${tenant}${PATH}`).send('{}');
    expect(status).toBeGreaterThanOrEqual(400);
  }
  await request(gateway.url).post(PATH).send('{}').expect(401);
  await eventually(gateway.audit, ({ length }) => length >= 23);
  const keys = await gateway.redis.keys(`${gateway.prefix}:{*}:audit`);
  const trail = (tenant: string) => auditKey(gateway.prefix, tenant);
  expect(keys.toSorted((a, b) => a.localeCompare(b))).toEqual(
    [trail(NO_TENANT), trail('default')].toSorted((a, b) => a.localeCompare(b)),
  );
  // What was asked for is still written down.
  const named = (await gateway.audit()).map(({ tenant }) => tenant);
  expect(named).toEqual(expect.arrayContaining(invented));
  expect(await gateway.redis.xlen(trail('default'))).toBe(1);
});
