/** What of a filter an index of the directory can answer, so that nobody else needs to be looked at. */
import type { Lookup } from '../directory/users.js';
import { type Filter, segments } from './filter.js';

const USER_INDEXES = new Map<string, Lookup['kind']>([
  ['id', 'id'],
  ['externalid', 'externalId'],
  ['username', 'userName'],
  ['emails', 'email'],
  ['emails.value', 'email'],
  ['phonenumbers', 'phone'],
  ['phonenumbers.value', 'phone'],
]);

/** Look-ups whose users include every match of this filter, where there are such. */
export function lookupsFor(filter: Filter): Lookup[] | undefined {
  return indexed(filter, (path, value) => {
    const kind = USER_INDEXES.get(path);
    return kind && { kind, value };
  });
}

export type GroupLookup = { kind: 'id' | 'displayName' | 'member'; value: string };

const GROUP_INDEXES = new Map<string, GroupLookup['kind']>([
  ['id', 'id'],
  ['displayname', 'displayName'],
  ['members', 'member'],
  ['members.value', 'member'],
]);

/** The same for groups. */
export function groupLookupsFor(filter: Filter): GroupLookup[] | undefined {
  return indexed(filter, (path, value) => {
    const kind = GROUP_INDEXES.get(path);
    return kind && { kind, value };
  });
}

function indexed<L>(filter: Filter, lookup: (path: string, value: string) => L | undefined): L[] | undefined {
  switch (filter.op) {
    case 'and':
      return filter.filters.map((one) => indexed(one, lookup)).find((found) => found !== undefined);
    case 'or': {
      const found = filter.filters.map((one) => indexed(one, lookup));
      return found.includes(undefined) ? undefined : found.flatMap((one) => one ?? []);
    }
    case '[]': {
      const { attrPath } = filter;
      return indexed(filter.valFilter, (path, value) => lookup(`${pathOf(attrPath)}.${path}`, value));
    }
    case 'eq': {
      const { attrPath, compValue } = filter;
      const found = typeof compValue === 'string' ? lookup(pathOf(attrPath), compValue) : undefined;
      return found && [found];
    }
    default:
      return undefined;
  }
}

/** Every comparison in a filter with this attribute or one of its parts. */
export function comparisonsWith(attribute: string, filter: Filter, parent = ''): Filter[] {
  switch (filter.op) {
    case 'and':
    case 'or':
      return filter.filters.flatMap((one) => comparisonsWith(attribute, one, parent));
    case 'not':
      return comparisonsWith(attribute, filter.filter, parent);
    case '[]':
      return comparisonsWith(attribute, filter.valFilter, pathOf(filter.attrPath));
    default: {
      const path = [parent, pathOf(filter.attrPath)].filter((part) => part !== '').join('.');
      return path.split('.')[0] === attribute ? [{ ...filter, attrPath: path }] : [];
    }
  }
}

function pathOf(attrPath: string): string {
  return segments(attrPath).join('.').toLowerCase();
}
