/** Paths of PATCH (RFC 7644 §3.5.2): an attribute, which of its values, and a part of each. */
import { type Attribute, ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA } from './attributes.js';
import { type Filter, parseFilter } from './filter.js';
import { ScimError } from './scim-error.js';

const MAX_LENGTH = 2_000;

export type Path = {
  attribute: Attribute;
  /** Whether the attribute is one of the enterprise extension. */
  isEnterprise: boolean;
  /** Which values are meant, of a multi-valued attribute. */
  filter?: Filter;
  sub?: Attribute;
};

/** `root` describes the resource. Throws a ScimError invalidPath or invalidFilter. */
export function parsePath(text: string, root: Attribute): Path {
  if (text.length > MAX_LENGTH) throw invalid(`A path is longer than ${MAX_LENGTH} characters.`);
  const { local, within, isEnterprise } = strip(text.trim(), root);
  if (local === '' && isEnterprise) return { attribute: within, isEnterprise: false };
  const [, name = '', filterText, subName] = /^([^.[\]]+)(?:\[(.*)\])?(?:\.([^.[\]]+))?$/s.exec(local) ?? [];
  const attribute = within.sub.get(name.trim().toLowerCase());
  if (!attribute) throw invalid(`There is no attribute ${shown(text)}.`);
  const sub = subName === undefined ? undefined : attribute.sub.get(subName.trim().toLowerCase());
  if (subName !== undefined && !sub) throw invalid(`There is no attribute ${shown(text)}.`);
  if (filterText !== undefined && !attribute.multiValued) throw invalid(`${attribute.name} has one value: no filter.`);
  return {
    attribute,
    isEnterprise,
    ...(filterText !== undefined && { filter: parseFilter(filterText, attribute) }),
    ...(sub && { sub }),
  };
}

/** The path without the URN of a schema, and the attribute that it is within. */
function strip(text: string, root: Attribute): { local: string; within: Attribute; isEnterprise: boolean } {
  const after = (urn: string) =>
    text.toLowerCase().startsWith(urn.toLowerCase()) && /^(:|$)/.test(text.slice(urn.length))
      ? text.slice(urn.length + 1)
      : undefined;
  const enterprise = root.sub.get(ENTERPRISE_SCHEMA.toLowerCase());
  const extended = enterprise && after(ENTERPRISE_SCHEMA);
  if (extended !== undefined) return { local: extended, within: enterprise as Attribute, isEnterprise: true };
  return { local: after(USER_SCHEMA) ?? after(GROUP_SCHEMA) ?? text, within: root, isEnterprise: false };
}

function invalid(detail: string): ScimError {
  return new ScimError(400, 'invalidPath', detail);
}

function shown(path: string): string {
  return path.length > 100 ? `${path.slice(0, 100)}…` : path;
}
