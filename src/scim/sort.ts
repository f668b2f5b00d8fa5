/** `sortBy` and `sortOrder` (RFC 7644 §3.4.2.3). */
import { type Attribute, isObject } from './attributes.js';
import { attributeAt, valuesAt } from './filter.js';

export type Order = { sortBy?: string | undefined; sortOrder: 'ascending' | 'descending' };

/** Equal ones stay in the order in which they came. */
export function sorted<R>(resources: R[], { sortBy, sortOrder }: Order, attribute: Attribute): R[] {
  if (sortBy === undefined) return resources;
  const described = attributeAt(attribute, sortBy);
  const sign = sortOrder === 'ascending' ? 1 : -1;
  const keyed = resources.map((resource) => ({ resource, key: keyOf(resource, sortBy, described) }));
  // Those without a value come last when ascending, first when descending.
  keyed.sort(({ key: a }, { key: b }) => {
    if (a === b) return 0;
    if (a === undefined) return sign;
    if (b === undefined) return -sign;
    return a < b ? -sign : sign;
  });
  return keyed.map(({ resource }) => resource);
}

/** Of several values the primary one counts, else the first. */
function keyOf(resource: unknown, path: string, described: Attribute | undefined): string | undefined {
  const values = valuesAt(resource, path);
  const chosen = values.find((value) => isObject(value) && value.primary === true) ?? values[0];
  const value = isObject(chosen) ? chosen.value : chosen;
  if (value === undefined) return undefined;
  const caseExact = (isObject(chosen) ? described?.sub.get('value') : described)?.caseExact ?? false;
  return caseExact ? String(value) : String(value).normalize('NFC').toLowerCase();
}
