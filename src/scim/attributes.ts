/** The attributes of users and groups as their schemas describe them (RFC 7643 §7), and values read accordingly. */
import SCIMMY from 'scimmy';
import { ScimError } from './scim-error.js';

export const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const GROUP_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Group';
export const ENTERPRISE_SCHEMA = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

const MAX_VALUES = 100;

type Description = {
  name: string;
  type: string;
  multiValued?: boolean;
  mutability?: string;
  caseExact?: boolean;
  required?: boolean;
  subAttributes?: Description[];
};

export type Attribute = {
  name: string;
  type: string;
  multiValued: boolean;
  /** A client's value is neither read nor kept. */
  ignored: boolean;
  readOnly: boolean;
  required: boolean;
  caseExact: boolean;
  /** By their names in lower case, in the order of the schema. */
  sub: ReadonlyMap<string, Attribute>;
};

// RFC 7643 §3.1, which no schema lists.
const COMMON: Description[] = [
  { name: 'schemas', type: 'reference', multiValued: true, mutability: 'readOnly', caseExact: true },
  { name: 'id', type: 'string', mutability: 'readOnly', caseExact: true },
  { name: 'externalId', type: 'string', caseExact: true },
  {
    name: 'meta',
    type: 'complex',
    mutability: 'readOnly',
    subAttributes: [
      { name: 'resourceType', type: 'string', mutability: 'readOnly', caseExact: true },
      { name: 'created', type: 'dateTime', mutability: 'readOnly' },
      { name: 'lastModified', type: 'dateTime', mutability: 'readOnly' },
      { name: 'location', type: 'reference', mutability: 'readOnly', caseExact: true },
      { name: 'version', type: 'string', mutability: 'readOnly', caseExact: true },
    ],
  },
];

/** The three schemas as `/Schemas` shows them. */
export function describeSchemas(): (Description & { id: string; attributes: Description[] })[] {
  const { User, EnterpriseUser, Group } = SCIMMY.Schemas;
  return [User, EnterpriseUser, Group].map(({ definition }) => JSON.parse(JSON.stringify(definition.describe())));
}

const [user, enterpriseUser, group] = describeSchemas().map(({ attributes }) => attributes);
const enterprise = { name: ENTERPRISE_SCHEMA, type: 'complex', subAttributes: enterpriseUser ?? [] };

export const userAttributes = toAttribute(resource([...(user ?? []), enterprise]));
export const groupAttributes = toAttribute(resource(group ?? []));

function resource(subAttributes: Description[]): Description {
  return { name: '', type: 'complex', subAttributes: [...COMMON, ...subAttributes] };
}

function toAttribute(description: Description): Attribute {
  const { name, type, multiValued = false, mutability, required = false, caseExact = false } = description;
  return {
    name,
    type,
    multiValued,
    ignored: mutability === 'readOnly' || mutability === 'writeOnly',
    readOnly: mutability === 'readOnly',
    required,
    caseExact,
    sub: new Map((description.subAttributes ?? []).map((one) => [one.name.toLowerCase(), toAttribute(one)])),
  };
}

/**
 * The value in the schema's spelling and order, or undefined where nothing is assigned (RFC 7643 §2.5). What the schema
 * does not know or a client may not set is left out. Throws a ScimError invalidValue that names the attribute.
 */
export function readValue(attribute: Attribute, value: unknown, where = attribute.name): unknown {
  if (value === undefined || value === null) return undefined;
  if (!attribute.multiValued) return readSingle(attribute, value, where);
  if (!Array.isArray(value)) throw wrong(where, 'an array');
  checkCount(where, value);
  const values = value.map((one) => readSingle(attribute, one, where)).filter((one) => one !== undefined);
  return values.length === 0 ? undefined : values;
}

function readSingle(attribute: Attribute, value: unknown, where: string): unknown {
  switch (attribute.type) {
    case 'complex':
      return readComplex(attribute, value, where);
    case 'boolean':
      // Some clients send booleans as strings.
      if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
      if (typeof value !== 'boolean') throw wrong(where, 'true or false');
      return value;
    default:
      if (typeof value !== 'string') throw wrong(where, 'a string');
      return value;
  }
}

function readComplex(attribute: Attribute, value: unknown, where: string): Record<string, unknown> | undefined {
  const { sub, multiValued } = attribute;
  // Some clients send the manager's id alone.
  const source = typeof value === 'string' && sub.has('value') && !multiValued ? { value } : value;
  if (!isObject(source)) throw wrong(where, 'an object');
  const given = new Map(Object.entries(source).map(([name, one]) => [name.toLowerCase(), one]));
  const entries = [...sub].flatMap(([key, one]) => {
    if (one.ignored) return [];
    const read = readValue(one, given.get(key), where === '' ? one.name : `${where}.${one.name}`);
    return read === undefined ? [] : [[one.name, read] as const];
  });
  const complex = Object.fromEntries(entries);
  return isAssigned(attribute, complex) ? complex : undefined;
}

/** A complex value without any part is none; one of several that has lost its `value` is none either. */
export function isAssigned({ sub, multiValued }: Attribute, complex: Record<string, unknown>): boolean {
  if (multiValued && sub.has('value')) return complex.value !== undefined && complex.value !== '';
  return Object.keys(complex).length > 0;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Throws a ScimError. */
export function checkCount(name: string, values: readonly unknown[]): void {
  if (values.length <= MAX_VALUES) return;
  throw new ScimError(400, 'invalidValue', `${name} has more than ${MAX_VALUES} values.`);
}

function wrong(where: string, wanted: string): ScimError {
  return new ScimError(400, 'invalidValue', `${where} needs to be ${wanted}.`);
}
