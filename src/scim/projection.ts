/** `attributes` and `excludedAttributes` (RFC 7644 §3.9): which members of a resource an answer shows. */
import { isObject } from './attributes.js';
import { segments } from './filter.js';
import { ScimError } from './scim-error.js';

// RFC 7643 §3.1, §7: returned always, whatever was asked.
const ALWAYS = new Set(['schemas', 'id']);

export type Projection = (resource: object) => object;

/** Throws a ScimError where both are asked, which RFC 7644 §3.9 excludes. */
export function readProjection(query: Record<string, unknown>): Projection {
  const attributes = names(query.attributes);
  const excluded = names(query.excludedAttributes);
  if (attributes && excluded) {
    throw new ScimError(400, 'invalidValue', 'attributes and excludedAttributes exclude each other.');
  }
  if (attributes) return (resource) => pick(resource, attributes, true);
  if (excluded) return (resource) => omit(resource, excluded, true);
  return (resource) => resource;
}

/** Whether this member of a group is asked for: the list of its members may be very long. */
export function shows(query: Record<string, unknown>, attribute: string): boolean {
  const attributes = names(query.attributes);
  const excluded = names(query.excludedAttributes) ?? [];
  return (
    (attributes === undefined || attributes.some(([first]) => first === attribute)) &&
    !excluded.some((path) => path.length === 1 && path[0] === attribute)
  );
}

/** A parameter that comes twice is one list. */
function names(value: unknown): string[][] | undefined {
  const all = (Array.isArray(value) ? value : [value]).flatMap((one: unknown) =>
    typeof one === 'string' ? one.split(',') : [],
  );
  const given = all.map((name) => name.trim()).filter((name) => name !== '');
  if (given.length === 0) return undefined;
  return given.map((name) => segments(name).map((segment) => segment.toLowerCase()));
}

function pick(value: object, paths: string[][], isRoot: boolean): object {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => {
      if (isRoot && ALWAYS.has(name)) return [[name, item]];
      const within = paths.filter(([first]) => first === name.toLowerCase());
      if (within.length === 0) return [];
      const deeper = within.map(([, ...rest]) => rest);
      if (deeper.some((path) => path.length === 0)) return [[name, item]];
      if (!isObject(item) && !Array.isArray(item)) return [];
      return [[name, descend(item, (one) => pick(one, deeper, false))]];
    }),
  );
}

function omit(value: object, paths: string[][], isRoot: boolean): object {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => {
      const within = paths.filter(([first]) => first === name.toLowerCase());
      if (within.length === 0 || (isRoot && ALWAYS.has(name))) return [[name, item]];
      const deeper = within.map(([, ...rest]) => rest);
      if (deeper.some((path) => path.length === 0)) return [];
      return [[name, descend(item, (one) => omit(one, deeper, false))]];
    }),
  );
}

function descend(item: unknown, project: (one: object) => object): unknown {
  if (Array.isArray(item)) return item.map((one) => descend(one, project));
  return isObject(item) ? project(item) : item;
}
