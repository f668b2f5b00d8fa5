/** SCIM filters (RFC 7644 §3.4.2.2): how they are read, and what they match by the case rules of the schema. */
import { type Filter, parse } from 'scim2-parse-filter';
import { canonical } from '../directory/user.js';
import { type Attribute, ENTERPRISE_SCHEMA, GROUP_SCHEMA, isObject, USER_SCHEMA } from './attributes.js';
import { ScimError } from './scim-error.js';

export type { Filter } from 'scim2-parse-filter';

const MAX_LENGTH = 2_000;
const MAX_TERMS = 50;

type Comparison = 'eq' | 'co' | 'sw' | 'ew' | 'gt' | 'ge' | 'lt' | 'le';

/** `attribute` describes what is filtered, as in `matches`. Throws a ScimError invalidFilter. */
export function parseFilter(text: string, attribute: Attribute): Filter {
  if (text.length > MAX_LENGTH) throw invalid(`The filter is longer than ${MAX_LENGTH} characters.`);
  // The parser sees a number in the place of each string: by itself it misreads backslashes, and takes exponential
  // time on line breaks in a string that does not end.
  const strings: string[] = [];
  const outline = text.replace(/"(?:[^"\\]|\\.)*"/gs, (quoted) => `"${strings.push(unquoted(quoted)) - 1}"`);
  // The parser would take `emails[type eq "work"].value eq "x"` for two conditions on any two addresses.
  if (/\]\s*\./.test(outline) || outline.replace(/"\d+"/g, '').includes('"')) throw invalid();

  function checked(filter: Filter, within: Attribute): Filter {
    switch (filter.op) {
      case 'and':
      case 'or':
        return { ...filter, filters: filter.filters.map((one) => checked(one, within)) };
      case 'not':
        return { ...filter, filter: checked(filter.filter, within) };
      case '[]':
        return { ...filter, valFilter: checked(filter.valFilter, attributeAt(within, filter.attrPath) ?? within) };
      case 'pr':
        return filter;
      case 'eq':
      case 'ne':
      case 'co':
      case 'sw':
      case 'ew':
      case 'gt':
      case 'ge':
      case 'lt':
      case 'le': {
        const { op, attrPath } = filter;
        const compValue = typeof filter.compValue === 'string' ? strings[Number(filter.compValue)] : filter.compValue;
        // Booleans, binary values and null have no order and no substrings (RFC 7644 §3.4.2.2).
        const { type } = attributeAt(within, attrPath) ?? {};
        const hasOrder = typeof compValue === 'string' && type !== 'boolean' && type !== 'binary';
        const hasNumbers = typeof compValue === 'number' && /^[gl][te]$/.test(op);
        if (!['eq', 'ne'].includes(op) && !hasOrder && !hasNumbers)
          throw invalid(`${attrPath} has no ${op} with this.`);
        return { ...filter, compValue: compValue ?? null };
      }
      default:
        // The parser takes the names of Object's own members for logical operators.
        throw invalid();
    }
  }

  try {
    const filter = checked(parse(outline), attribute);
    if (termsOf(filter) > MAX_TERMS) throw invalid(`The filter has more than ${MAX_TERMS} terms.`);
    return filter;
  } catch (error) {
    throw error instanceof ScimError ? error : invalid(undefined, error);
  }
}

/** How many comparisons there are. */
export function termsOf(filter: Filter): number {
  switch (filter.op) {
    case 'and':
    case 'or':
      return filter.filters.reduce((sum, one) => sum + termsOf(one), 0);
    case 'not':
      return termsOf(filter.filter);
    case '[]':
      return termsOf(filter.valFilter);
    default:
      return 1;
  }
}

/** Some clients do not escape a backslash. */
function unquoted(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1).replaceAll('\\"', '"');
  }
}

function invalid(detail = 'The filter cannot be read (RFC 7644 §3.4.2.2).', cause?: unknown): ScimError {
  return new ScimError(400, 'invalidFilter', detail, cause);
}

/** `attribute` describes the resource, or one value of a multi-valued attribute. */
export function matches(resource: unknown, filter: Filter, attribute: Attribute): boolean {
  switch (filter.op) {
    case 'and':
      return filter.filters.every((one) => matches(resource, one, attribute));
    case 'or':
      return filter.filters.some((one) => matches(resource, one, attribute));
    case 'not':
      return !matches(resource, filter.filter, attribute);
    case '[]': {
      const within = attributeAt(attribute, filter.attrPath) ?? attribute;
      return valuesAt(resource, filter.attrPath).some((value) => matches(value, filter.valFilter, within));
    }
    case 'pr':
      return valuesAt(resource, filter.attrPath).some(isPresent);
    case 'ne':
      return !matches(resource, { ...filter, op: 'eq' }, attribute);
    default: {
      const { op, attrPath, compValue } = filter;
      const values = valuesAt(resource, attrPath);
      // An attribute that is not there equals null (RFC 7643 §2.5).
      if (op === 'eq' && compValue === null) return !values.some(isPresent);
      const described = attributeAt(attribute, attrPath);
      return values.some((value) => compare(op, value, compValue, described));
    }
  }
}

function compare(op: Comparison, actual: unknown, expected: unknown, attribute: Attribute | undefined): boolean {
  // A multi-valued complex attribute without a sub-attribute means its value.
  const value = isObject(actual) ? actual.value : actual;
  const described = isObject(actual) ? attribute?.sub.get('value') : attribute;
  if (typeof value === 'string' && typeof expected === 'string') {
    if (described?.type === 'dateTime') return isOrdered(op, Date.parse(value) - Date.parse(expected));
    return compareText(op, value, expected, described?.caseExact ?? false);
  }
  if (op === 'eq') return value === asBoolean(value, expected);
  if (typeof value === 'number' && typeof expected === 'number') return isOrdered(op, value - expected);
  return false;
}

function compareText(op: Comparison, value: string, expected: string, caseExact: boolean): boolean {
  const fold = (text: string) => (caseExact ? text : text.normalize('NFC').toLowerCase());
  const [a, b] = [fold(value), fold(expected)];
  switch (op) {
    case 'eq':
      // As the index compares: whoever finds no user by a name can create one of that name.
      return caseExact ? a === b : canonical('userName', value) === canonical('userName', expected);
    case 'co':
      return a.includes(b);
    case 'sw':
      return a.startsWith(b);
    case 'ew':
      return a.endsWith(b);
    default:
      return isOrdered(op, order(a, b));
  }
}

function isOrdered(op: Comparison, difference: number): boolean {
  if (difference === 0) return op === 'eq' || op === 'ge' || op === 'le';
  return difference > 0 ? op === 'gt' || op === 'ge' : op === 'lt' || op === 'le';
}

/** Some clients ask for `active eq "true"`. */
function asBoolean(actual: unknown, expected: unknown): unknown {
  if (typeof actual !== 'boolean' || typeof expected !== 'string') return expected;
  return /^(true|false)$/i.test(expected) ? expected.toLowerCase() === 'true' : expected;
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

/** What describes the values at a path; of a complex value compared as a whole, its `value`. */
export function attributeAt(attribute: Attribute, path: string): Attribute | undefined {
  return segments(path).reduce<Attribute | undefined>((at, name) => at?.sub.get(name.toLowerCase()), attribute);
}

/** `emails.value`, with or without the core schema's URN; the enterprise extension is a member of its own. */
export function segments(path: string): string[] {
  // Asked of each path for each value: most have no URN.
  if (!path.includes(':')) return path.split('.');
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

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
