/** `universal-logout connectors list`: which apps can be told, and how much each ends. */
import { registry } from '../../connectors/registry.js';

export function listConnectors(): void {
  const width = Math.max(...registry.map(({ name }) => name.length));
  for (const { name, docs } of registry.toSorted((a, b) => a.name.localeCompare(b.name))) {
    const ends = docs.ends.length === 0 ? 'nothing by itself' : docs.ends.join(', ').replaceAll('_', ' ');
    console.log(`${name.padEnd(width)}  ${docs.coverage.padEnd(7)}  ${docs.app}: ${ends}`);
  }
}
