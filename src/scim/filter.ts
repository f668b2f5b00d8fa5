/** SCIM filters (RFC 7644 §3.4.2.2): what they match, by the case rules of the schema, and what an index can answer. */
import { type Filter, parse } from 'scim2-parse-filter';
import type { Lookup } from '../directory/users.js';
import { ENTERPRISE_SCHEMA, GROUP_SCHEMA, isObject, USER_SCHEMA } from './schemas.js';
import { ScimError } from './scim-error.js';

const MAX_LENGTH = 2_000;
const MAX_TERMS = 50;

// RFC 7643 §4 and §3.1: these compare exactly, every other string without regard to case.
const CASE_EXACT = new Set(['id', 'externalid', 'value', 'version', 'location', 'resourcetype', 'schemas', '$ref']);

/** Throws a ScimError invalidFilter. */
export function parseFilter(text: string): Filter {
  if (text.length > MAX_LENGTH)
    throw new ScimError(400, 'invalidFilter', `The filter is longer than ${MAX_LENGTH} characters.`);
  let filter: Filter;
  try {
    filter = parse(text);
  } catch (error) {
    throw new ScimError(400, 'invalidFilter', 'The filter cannot be read (RFC 7644 §3.4.2.2).', error);
  }
  if (terms(filter) > MAX_TERMS)
    throw new ScimError(400, 'invalidFilter', `The filter has more than ${MAX_TERMS} terms.`);
  return filter;
}

function terms(filter: Filter): number {
  if ('filters' in filter) return filter.filters.reduce((sum, one) => sum + terms(one), 0);
  if ('filter' in filter) return terms(filter.filter);
  if ('valFilter' in filter) return terms(filter.valFilter);
  return 1;
}

export function matches(resource: unknown, filter: Filter, parent = ''): boolean {
  switch (filter.op) {
    case 'and':
      return filter.filters.every((one) => matches(resource, one, parent));
    case 'or':
      return filter.filters.some((one) => matches(resource, one, parent));
    case 'not':
      return !matches(resource, filter.filter, parent);
    case '[]':
      return valuesAt(resource, filter.attrPath).some((value) => matches(value, filter.valFilter, filter.attrPath));
    case 'pr':
      return valuesAt(resource, filter.attrPath).some(isPresent);
    case 'ne': {
      const values = valuesAt(resource, filter.attrPath);
      return !values.some((value) => compare('eq', value, filter.compValue, isCaseExact(filter.attrPath, parent)));
    }
    default: {
      const { op, attrPath, compValue } = filter;
      const values = valuesAt(resource, attrPath);
      // An attribute that is not there equals null (RFC 7643 §2.5).
      if (op === 'eq' && compValue === null) return !values.some(isPresent);
      return values.some((value) => compare(op, value, compValue, isCaseExact(attrPath, parent)));
    }
  }
}

type Comparison = 'eq' | 'co' | 'sw' | 'ew' | 'gt' | 'ge' | 'lt' | 'le';

function compare(op: Comparison, actual: unknown, expected: unknown, caseExact: boolean): boolean {
  // A multi-valued complex attribute without a sub-attribute means its value.
  const value = isObject(actual) && 'value' in actual ? actual.value : actual;
  const fold = (text: string) => (caseExact ? text : text.toLowerCase());
  if (typeof value === 'string' && typeof expected === 'string') {
    const [a, b] = [fold(value), fold(expected)];
    switch (op) {
      case 'eq':
        return a === b;
      case 'co':
        return a.includes(b);
      case 'sw':
        return a.startsWith(b);
      case 'ew':
        return a.endsWith(b);
      default:
        return isOrdered(
          op,
          isDate(value) && isDate(expected) ? Date.parse(value) - Date.parse(expected) : order(a, b),
        );
    }
  }
  if (op === 'eq') return value === asBoolean(value, expected);
  if (typeof value === 'number' && typeof expected === 'number') return isOrdered(op, value - expected);
  return false;
}

function isOrdered(op: Comparison, difference: number): boolean {
  switch (op) {
    case 'gt':
      return difference > 0;
    case 'ge':
      return difference >= 0;
    case 'lt':
      return difference < 0;
    case 'le':
      return difference <= 0;
    default:
      return false;
  }
}

/** Some clients ask for `active eq "true"`. */
function asBoolean(actual: unknown, expected: unknown): unknown {
  if (typeof actual !== 'boolean' || typeof expected !== 'string') return expected;
  return { true: true, false: false }[expected.toLowerCase()] ?? expected;
}

/** Every value that a path leads to, through arrays. */
export function valuesAt(resource: unknown, path: string): unknown[] {
  let values: unknown[] = [resource];
  for (const name of segments(path)) {
    values = values.flatMap((value) => {
      if (!isObject(value)) return [];
      const key = Object.keys(value).find((one) => one.toLowerCase() === name.toLowerCase());
      const next = key === undefined ? undefined : value[key];
      return Array.isArray(next) ? next : next === undefined || next === null ? [] : [next];
    });
  }
  return values;
}

/** `emails.value`, with or without the core schema's URN; the enterprise extension is a member of its own. */
export function segments(path: string): string[] {
  const lower = path.toLowerCase();
  for (const core of [USER_SCHEMA, GROUP_SCHEMA]) {
    if (lower.startsWith(`${core.toLowerCase()}:`)) return path.slice(core.length + 1).split('.');
  }
  if (lower === ENTERPRISE_SCHEMA.toLowerCase()) return [ENTERPRISE_SCHEMA];
  if (lower.startsWith(`${ENTERPRISE_SCHEMA.toLowerCase()}:`)) {
    return [ENTERPRISE_SCHEMA, ...path.slice(ENTERPRISE_SCHEMA.length + 1).split('.')];
  }
  return path.split('.');
}

/** E-mail addresses are in `value` too, but addresses are compared without regard to case (RFC 7643 §4.1.2). */
function isCaseExact(path: string, parent: string): boolean {
  const names = [...(parent === '' ? [] : segments(parent)), ...segments(path)].map((name) => name.toLowerCase());
  return names[0] !== 'emails' && CASE_EXACT.has(names.at(-1) as string);
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function isDate(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const INDEXED: Record<string, Lookup['kind']> = {
  id: 'id',
  externalid: 'externalId',
  username: 'userName',
  emails: 'email',
  'emails.value': 'email',
  phonenumbers: 'phone',
  'phonenumbers.value': 'phone',
};

/** A look-up whose users include every match of this filter, where there is one. */
export function lookupFor(filter: Filter): Lookup | undefined {
  if (filter.op === 'and') return filter.filters.map(lookupFor).find((lookup) => lookup !== undefined);
  if (filter.op === '[]') {
    const within = equalities(filter.valFilter).find(({ attrPath }) => attrPath.toLowerCase() === 'value');
    return within && lookupFor({ ...within, attrPath: `${filter.attrPath}.value` });
  }
  if (filter.op !== 'eq' || typeof filter.compValue !== 'string') return undefined;
  const kind = INDEXED[segments(filter.attrPath).join('.').toLowerCase()];
  return kind && { kind, value: filter.compValue };
}

function equalities(filter: Filter): { op: 'eq'; attrPath: string; compValue: boolean | null | number | string }[] {
  if (filter.op === 'and') return filter.filters.flatMap(equalities);
  return filter.op === 'eq' ? [filter as never] : [];
}
