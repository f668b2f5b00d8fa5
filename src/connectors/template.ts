/** Requests as a settings file describes them: paths, queries and bodies with `{account}` and `{id}` in them. */
import { z } from 'zod';
import type { Path } from './api.js';
import { ConnectorError, secret } from './connector.js';

/** What is filled in. */
export type Values = { account?: string; id?: string };
type Name = keyof Values;

const PLACEHOLDER = /\{(account|id)\}/g;

const MISTAKEN = /\{(?!(account|id)\})\w*\}/;

/** A text with placeholders; other braces are its own business, as in a query of GraphQL, but `{name}` is a mistake. */
export const textTemplate = z
  .string()
  .refine((text) => !MISTAKEN.test(text), 'has a placeholder that is not {account} or {id}');

export const namesIn = (text: string): Name[] => [...text.matchAll(PLACEHOLDER)].map(([, name]) => name as Name);

/** A path and a query below a base URL; placeholders stand in segments of the path and in values of the query. */
export const pathTemplate = z.string().superRefine((text, context) => {
  const problem = problemOf(text);
  if (problem) context.addIssue(problem);
});

function problemOf(text: string): string | undefined {
  const [path = '', query] = text.split(/\?(.*)/s);
  if (/[{}]/.test(text.replace(PLACEHOLDER, ''))) return 'has braces that are not {account} or {id}';
  if (!path.startsWith('/') || path.startsWith('//')) return 'must be a path that begins with one /';
  if (text.includes('#')) return 'must have no fragment';
  const sample = path.replace(PLACEHOLDER, 'x');
  // Dots that climb, also encoded ones, and what a URL cannot have as it is.
  if (new URL(`http://x${sample}`).pathname !== sample) return 'must be encoded as in a URL, and have no . or .. in it';
  const names = (query ?? '').split('&').map((pair) => pair.split('=')[0] as string);
  if (names.some((name) => name.includes('{')))
    return 'must have placeholders in values of the query, not in its names';
  if (new Set(names).size < names.length) return 'must name no parameter of the query twice';
  return undefined;
}

/** A whole URL with `{account}` as one segment of its path: nothing is filled in before the path. */
export const urlTemplate = z
  .string()
  .regex(
    /^https?:\/\/[^/?#{}@\s\\]+\/.*\/?\{account\}([/?]|$)/s,
    'must be a URL with /{account} as a segment of its path',
  )
  .superRefine((url, context) => {
    const { origin, path } = splitUrl(url);
    const problem = pathTemplate.safeParse(path).error?.issues[0]?.message;
    const others = namesIn(url).join() !== 'account' || !/\/\{account\}([/?]|$)/.test(path.split('?')[0] ?? '');
    if (!URL.canParse(origin)) context.addIssue('is not an http or https URL');
    else if (others) context.addIssue('must have {account} once, as a whole segment of the path');
    else if (problem) context.addIssue(problem);
  });

export function splitUrl(url: string): { origin: string; path: string } {
  const [, origin = '', path = ''] = /^(https?:\/\/[^/?#]*)(.*)$/s.exec(url) ?? [];
  return { origin, path };
}

/** For `createApi`: each value is one segment, or one value of the query. `operation` says what is called, in an error. */
export function fillPath(
  operation: string,
  text: string,
  values: Values,
): { path: Path; query: Record<string, string> } {
  const [path = '', query = ''] = text.split(/\?(.*)/s);
  const segments = path
    .split('/')
    .flatMap((segment) => namesIn(segment).map((name) => take(operation, segment, name, values)));
  return {
    path: { template: path, parts: path.split(/\{account\}|\{id\}/), segments },
    query: Object.fromEntries(
      [...new URLSearchParams(query)].map(([name, value]) => [name, fillText(operation, value, values)]),
    ),
  };
}

/** Every text of a JSON value; names of members are left as they are. */
export function fillJson(operation: string, json: unknown, values: Values): unknown {
  if (typeof json === 'string') return fillText(operation, json, values);
  if (Array.isArray(json)) return json.map((item) => fillJson(operation, item, values));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, fillJson(operation, value, values)]));
}

function fillText(operation: string, text: string, values: Values): string {
  return text.replace(PLACEHOLDER, (_, name: Name) => take(operation, text, name, values));
}

/**
 * A value that stands alone may be anything. Inside a longer text, which may be a query in some language, it must have
 * nothing that could end a string there.
 */
function take(operation: string, around: string, name: Name, values: Values): string {
  const value = values[name];
  if (value === undefined) throw new TypeError(`${operation}: nothing is there for {${name}}`);
  if (around !== `{${name}}` && !/^[\p{L}\p{N}._@+-]+$/u.test(value)) {
    throw new ConnectorError(
      'refused',
      `${operation} was not called, since {${name}} has characters that need quoting`,
    );
  }
  return value;
}

const OF_THE_MESSAGE =
  /^(host|connection|content-length|transfer-encoding|te|upgrade|trailer|expect|keep-alive|proxy-.*)$/;

export const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/, 'is not the name of a header in lower case')
  .refine((name) => !OF_THE_MESSAGE.test(name), 'is a header that the gateway itself sends');

export const headerValue = () =>
  secret(
    z
      .string()
      .regex(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, 'is not the value of a header')
      .refine((value) => namesIn(value).length === 0, 'must have no placeholder'),
  );

/** Headers of a request, each value a secret. */
export const headers = z.record(headerName, headerValue());

export function sent(given: Readonly<Record<string, () => string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value()]));
}
