/** The operations of a PATCH body (RFC 7644 §3.5.2), before anything of the resource is looked at. */
import { isObject } from './attributes.js';
import { readObject } from './schemas.js';
import { ScimError } from './scim-error.js';

const PATCH_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

/** Without a path, `value` names the attributes. */
export type Operation =
  | { op: 'add' | 'replace'; path: string; value: unknown }
  | { op: 'add' | 'replace'; path: undefined; value: Record<string, unknown> }
  | { op: 'remove'; path: string; value: unknown };

/** Throws a ScimError that says which operation is wrong. */
export function readOperations(body: unknown, max: number): Operation[] {
  const { Operations, operations = Operations } = readObject(body, [PATCH_SCHEMA]);
  if (!Array.isArray(operations) || operations.length === 0) {
    throw new ScimError(400, 'invalidSyntax', 'Operations needs to be an array with at least one operation.');
  }
  if (operations.length > max) {
    throw new ScimError(400, 'tooMany', `Operations has more than ${max} entries.`);
  }
  return operations.map((operation, index) => readOperation(operation, `Operations[${index}]`));
}

function readOperation(operation: unknown, where: string): Operation {
  if (!isObject(operation)) throw new ScimError(400, 'invalidSyntax', `${where} is not an object.`);
  const { path, value } = operation;
  // Some clients begin it with a capital.
  const op = typeof operation.op === 'string' ? operation.op.toLowerCase() : undefined;
  if (path !== undefined && (typeof path !== 'string' || path.trim() === '')) {
    throw new ScimError(400, 'invalidPath', `${where}.path needs to be a string.`);
  }
  if (op === 'remove') {
    if (path === undefined) throw new ScimError(400, 'noTarget', `${where} needs a path.`);
    return { op, path, value };
  }
  if (op !== 'add' && op !== 'replace') {
    throw new ScimError(400, 'invalidSyntax', `${where}.op needs to be add, remove or replace.`);
  }
  if (value === undefined) throw new ScimError(400, 'invalidValue', `${where} needs a value.`);
  if (path !== undefined) return { op, path, value };
  if (!isObject(value)) throw new ScimError(400, 'invalidValue', `${where} has no path: its value is no object.`);
  return { op, path, value };
}
