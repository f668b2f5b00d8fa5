/** The vendors' own SDKs make the calls that our connectors make: what is sent has to be the same. */
import { readFileSync } from 'node:fs';
import { compare } from '../support/sdk-comparison.js';
import { APPS } from '../support/sdks-of-apps.js';
import { IDENTITY_PROVIDERS } from '../support/sdks-of-identity-providers.js';

const versionOf = (sdk: string): string =>
  JSON.parse(readFileSync(new URL(`../../node_modules/${sdk}/package.json`, import.meta.url), 'utf8')).version;

const rows = [...IDENTITY_PROVIDERS, ...APPS].map((row) => ({
  ...row,
  name: row.connector.name,
  how: row.way ?? row.mode ?? 'full',
  by: `${row.sdk} ${versionOf(row.sdk)}`,
}));

describe('what a connector sends is what the SDK of its vendor sends', () => {
  it.each(rows)('$name, $how, beside $by', async (row) => {
    const { connector, sdk, idle } = await compare(row);
    expect(connector).toEqual(sdk);
    expect(connector.length).toBeGreaterThan(0);
    expect(idle).toEqual([]);
  });
});
