/** What a PATCH makes of a user (RFC 7644 §3.5.2). */
import { isDeepStrictEqual } from 'node:util';
import type { UserAttributes, UserResource } from '../directory/user.js';
import {
  type Attribute,
  checkCount,
  ENTERPRISE_SCHEMA,
  isAssigned,
  isObject,
  readValue,
  userAttributes,
} from './attributes.js';
import { type Filter, matches, termsOf } from './filter.js';
import { type Operation, readOperations } from './patch.js';
import { type Path, parsePath } from './path.js';
import { checkUser } from './schemas.js';
import { ScimError } from './scim-error.js';

const MAX_OPERATIONS = 100;

/** In all paths of a body: each is compared with each of up to a hundred values, while nobody else is served. */
const MAX_TERMS = 200;

type Complex = Record<string, unknown>;
type Change = { op: Operation['op']; value: unknown };

/** The user's attributes after the patch. Throws a ScimError; `before` is never changed. */
export function patchUser(before: UserResource, body: unknown): UserAttributes {
  const { id, meta: _meta, deletedAt: _deletedAt, ...attributes } = before;
  const user: Complex = attributes;
  const pathOf = createPaths();
  for (const operation of readOperations(body, MAX_OPERATIONS)) {
    if (operation.path !== undefined) {
      const path = pathOf(operation.path);
      if (path.attribute.readOnly || path.sub?.readOnly) {
        throw new ScimError(400, 'mutability', `${operation.path} cannot be changed.`);
      }
      applyTo(user, path, operation);
      continue;
    }
    for (const [name, value] of Object.entries(operation.value)) {
      if (name === 'id' && value !== id) throw new ScimError(400, 'mutability', 'id cannot be changed.');
      const path = knownPath(name, pathOf);
      if (path) applyTo(user, path, { op: operation.op, value });
    }
  }
  return checkUser(user as UserAttributes);
}

/** Reads the paths of one body, which have a limit in common. Throws a ScimError. */
function createPaths(): (text: string) => Path {
  let terms = 0;
  return (text) => {
    const path = parsePath(text, userAttributes);
    terms += path.filter ? termsOf(path.filter) : 0;
    if (terms > MAX_TERMS) throw new ScimError(400, 'tooMany', `The paths have more than ${MAX_TERMS} terms in all.`);
    return path;
  };
}

/** Okta sends the whole resource back; Entra has paths for names. What cannot be set is left out, as in a PUT. */
function knownPath(name: string, pathOf: (text: string) => Path): Path | undefined {
  try {
    const path = pathOf(name);
    return path.attribute.readOnly || path.sub?.readOnly ? undefined : path;
  } catch (error) {
    if (error instanceof ScimError && error.scimType === 'invalidPath') return undefined;
    throw error;
  }
}

function applyTo(user: Complex, path: Path, change: Change): void {
  if (path.attribute.ignored) return;
  if (!path.isEnterprise) {
    applyWithin(user, path, change);
    return;
  }
  const extension = isObject(user[ENTERPRISE_SCHEMA]) ? { ...user[ENTERPRISE_SCHEMA] } : {};
  applyWithin(extension, path, change);
  assign(user, ENTERPRISE_SCHEMA, Object.keys(extension).length > 0 ? extension : undefined);
}

function applyWithin(container: Complex, { attribute, filter, sub }: Path, change: Change): void {
  const { name, multiValued } = attribute;
  if (multiValued) {
    const values = (container[name] ?? []) as Complex[];
    const next =
      filter || sub ? changeSome(values, { attribute, filter, sub }, change) : changeAll(values, attribute, change);
    checkCount(name, next);
    assign(container, name, next.length > 0 ? next : undefined);
  } else if (sub) {
    const complex = isObject(container[name]) ? { ...container[name] } : {};
    assign(complex, sub.name, change.op === 'remove' ? undefined : readValue(sub, change.value));
    assign(container, name, isAssigned(attribute, complex) ? complex : undefined);
  } else {
    const value = change.op === 'remove' ? undefined : readValue(attribute, change.value);
    if (value === undefined && attribute.required) {
      throw new ScimError(400, 'mutability', `${name} is required and cannot be removed.`);
    }
    const merges = attribute.type === 'complex' && change.op !== 'remove' && change.value !== null;
    assign(container, name, merges ? merged(container[name], attribute, change) : value);
  }
}

/** §3.5.2.1 and §3.5.2.3: parts of a complex attribute that are not named stay as they are. */
function merged(before: unknown, attribute: Attribute, { op, value }: Change): Complex | undefined {
  const complex = isObject(before) ? { ...before } : {};
  const given = isObject(value) ? value : { value };
  for (const [name, one] of Object.entries(given)) {
    const sub = attribute.sub.get(name.toLowerCase());
    if (sub && !sub.ignored) applyWithin(complex, { attribute: sub, isEnterprise: false }, { op, value: one });
  }
  return isAssigned(attribute, complex) ? complex : undefined;
}

/** Every value of a multi-valued attribute. */
function changeAll(values: Complex[], attribute: Attribute, { op, value }: Change): Complex[] {
  if (op === 'remove' && (value === undefined || value === null)) return [];
  const given = (readValue(attribute, Array.isArray(value) || value === null ? value : [value]) ?? []) as Complex[];
  if (op === 'replace') return given;
  // Entra names the values to remove in `value`.
  if (op === 'remove') return values.filter((one) => !given.some((other) => contains(one, other)));
  const added = given.filter((one) => !values.some((other) => isDeepStrictEqual(one, other)));
  return withOnePrimary([...values, ...added], added);
}

/** The values that the filter selects, or every one; the whole of each, or one part. */
function changeSome(
  values: Complex[],
  { attribute, filter, sub }: { attribute: Attribute; filter: Filter | undefined; sub: Attribute | undefined },
  { op, value }: Change,
): Complex[] {
  const isMeant = (one: Complex) => !filter || matches(one, filter, attribute);
  const single = { ...attribute, multiValued: false };
  const given = op === 'remove' ? undefined : readValue(sub ?? single, value);
  if (op === 'remove' && !sub) return values.filter((one) => !isMeant(one));
  if (op !== 'remove' && !values.some(isMeant)) {
    // RFC 7644 does not say what adding to a value that is not there means; Entra expects the value to be made.
    const made = op === 'add' && filter ? describedBy(filter, attribute) : undefined;
    if (!made || !isMeant(made))
      throw new ScimError(400, 'noTarget', `The path selects no value of ${attribute.name}.`);
    return changeSome([...values, made], { attribute, filter, sub }, { op, value });
  }
  const touched: Complex[] = [];
  const next = values.flatMap((one) => {
    if (!isMeant(one)) return [one];
    const changed: Complex = op === 'replace' && !sub ? {} : { ...one };
    if (sub) assign(changed, sub.name, given);
    else Object.assign(changed, given);
    touched.push(changed);
    return isAssigned(attribute, changed) ? [changed] : [];
  });
  return withOnePrimary(next, touched);
}

/** §3.5.2: where a patch makes a value the primary one, the others no longer are. */
function withOnePrimary(values: Complex[], touched: Complex[]): Complex[] {
  if (!touched.some(({ primary }) => primary === true)) return values;
  return values.map((one) => (one.primary === true && !touched.includes(one) ? { ...one, primary: false } : one));
}

/** A value that a filter of equalities describes. */
function describedBy(filter: Filter, attribute: Attribute): Complex | undefined {
  const terms = filter.op === 'and' ? filter.filters : [filter];
  const made: Complex = {};
  for (const term of terms) {
    const sub = term.op === 'eq' ? attribute.sub.get(term.attrPath.toLowerCase()) : undefined;
    if (!sub || term.op !== 'eq') return undefined;
    assign(made, sub.name, readValue(sub, term.compValue));
  }
  return made;
}

function contains(value: Complex, part: Complex): boolean {
  return Object.entries(part).every(([name, one]) => isDeepStrictEqual(value[name], one));
}

function assign(target: Complex, name: string, value: unknown): void {
  if (value === undefined) delete target[name];
  else target[name] = value;
}
