/** The table of metrics in docs/operate.md is that of the code. */
import { readFileSync } from 'node:fs';
import { createMetrics } from '../src/metrics.js';

const DOC = readFileSync(new URL('../docs/operate.md', import.meta.url), 'utf8');

it('has every metric that is registered, and no other', () => {
  const rows = [...DOC.matchAll(/^\| `(universal_logout_\w+)` \| (.*) \|$/gm)].map(([row]) => row);
  const registered = createMetrics().registry.getMetricsAsArray() as unknown as {
    name: string;
    type: string;
    labelNames: string[];
    help: string;
  }[];
  expect(rows).toEqual(
    registered.map(({ name, type, labelNames, help }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
    }),
  );
});
