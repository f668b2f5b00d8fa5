/** A running gateway seals what it writes to its audit trail, within seconds. */
import { join } from 'node:path';
import { createCheckpointReader } from '../../src/audit/checkpoint.js';
import { verifyTrail } from '../../src/audit/verify.js';
import { createWitnesses } from '../../src/audit/witnesses.js';
import { loadSigningKeys } from '../../src/outbound/signing-keys.js';
import { type Endpoint, startEndpoint } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';

let endpoint: Endpoint;

afterEach(() => endpoint.close());

async function verified() {
  const { redis, prefix, config } = endpoint.gateway;
  const { jwks } = await loadSigningKeys(join(config.dataDir, 'signing-keys.json'));
  const read = createCheckpointReader({ keys: jwks.keys });
  return verifyTrail({ redis, prefix, tenant: 'default', read, witnesses: createWitnesses() });
}

it('from acceptance to completion', async () => {
  endpoint = await startEndpoint();
  expect((await endpoint.post(await endpoint.sign())).status).toBe(204);
  const { audit } = endpoint.gateway;
  await eventually(audit, (entries) => entries.some(({ event }) => event === 'revocation.completed'));
  const { length } = await audit();
  expect(await eventually(verified, ({ records }) => records === length)).toMatchObject({ findings: [], unsealed: 0 });
});
