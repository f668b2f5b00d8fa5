/** The document openapi.yaml: where it is, what is in it, and whether an answer keeps to it. */
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

const ID = 'https://logout.example.com/openapi.yaml';
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'options', 'head'] as const;

type Json = Readonly<Record<string, unknown>>;
type MediaType = { schema?: object; example?: unknown; examples?: Record<string, { value: unknown }> };
type Header = { required?: boolean; schema: { type?: string }; example?: unknown };
type Described = { headers?: Record<string, Header>; content?: Record<string, MediaType> };
type Operation = { responses: Record<string, Described>; requestBody?: Described; operationId: string };

const text = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8');

/** An object of its own for every place, aliases too, so that a checker may take it apart. */
export const openapi = JSON.parse(JSON.stringify(parse(text))) as Json & {
  info: { version: string };
  paths: Record<string, Json & { servers?: { url: string }[] }>;
};

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
addFormats.default(ajv);
ajv.addSchema(openapi, ID);

/** Why `value` is not what the schema at this place says; nothing where it is. */
export function mismatches(pointer: string, value: unknown): string[] {
  const validate = ajv.getSchema(`${ID}#${pointer}`) ?? ajv.compile({ $ref: `${ID}#${pointer}` });
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);
}

export function pointerOf(...path: string[]): string {
  return path.map((part) => `/${encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('');
}

/** Follows a `$ref`, and says where that leads. */
export function follow<T>(pointer: string, value: T & { $ref?: string }): { pointer: string; value: T } {
  if (value.$ref === undefined) return { pointer, value };
  const path = value.$ref.replace(/^#\//, '').split('/');
  const found = path.reduce<unknown>((at, part) => (at as Json)[part], openapi);
  return follow(pointerOf(...path), found as T & { $ref?: string });
}

/** Every operation with the paths under which a server has it, as Express writes them. */
export function operations() {
  return Object.entries(openapi.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => ({
      method,
      paths: (item.servers ?? [{ url: '' }]).map(({ url }) =>
        (url.replace('{publicUrl}', '') + path).replace(/\{(\w+)\}/g, ':$1'),
      ),
      pointer: pointerOf('paths', path, method),
      operation: item[method] as Operation,
    })),
  );
}

/** Why an answer is not one that the document has for this operation. */
export function undocumented(
  operationId: string,
  answer: { status: number; headers: Record<string, string>; text: string; body: unknown },
): string[] {
  const found = operations().find(({ operation }) => operation.operationId === operationId);
  const stub = found?.operation.responses[String(answer.status)];
  if (!found || !stub) return [`${operationId} has no ${answer.status}`];
  const { value: described, pointer } = follow(`${found.pointer}/responses/${answer.status}`, stub);

  const headers = Object.entries(described.headers ?? {}).flatMap(([name, stubbed]) => {
    const header = follow(`${pointer}${pointerOf('headers', name)}`, stubbed);
    const given = answer.headers[name.toLowerCase()];
    if (given === undefined) return header.value.required ? [`the header ${name} is missing`] : [];
    const value = header.value.schema.type === 'integer' ? Number(given) : given;
    return mismatches(`${header.pointer}/schema`, value).map((problem) => `${name}: ${problem}`);
  });

  const types = Object.keys(described.content ?? {});
  const [type = ''] = (answer.headers['content-type'] ?? '').split(';');
  if (types.length === 0) return [...headers, ...(answer.text === '' ? [] : ['there is a body'])];
  if (!types.includes(type)) return [...headers, `the content type is ${type}, not ${types.join(' or ')}`];
  const body = type.endsWith('json') ? answer.body : answer.text;
  return [...headers, ...mismatches(`${pointer}${pointerOf('content', type, 'schema')}`, body)];
}

/** Every example in the document, with the schema that it has to fit. */
export function examples(): { pointer: string; schema: string; value: unknown }[] {
  const found: { pointer: string; schema: string; value: unknown }[] = [];
  const visit = (value: unknown, pointer: string): void => {
    if (value === null || typeof value !== 'object') return;
    const { schema, example, examples: several } = value as MediaType;
    if (schema !== undefined) {
      const add = (place: string, one: unknown) =>
        found.push({ pointer: place, schema: `${pointer}/schema`, value: one });
      if (example !== undefined) add(`${pointer}/example`, example);
      for (const [name, one] of Object.entries(several ?? {})) add(`${pointer}/examples/${name}`, one.value);
    }
    for (const [name, child] of Object.entries(value)) visit(child, pointer + pointerOf(name));
  };
  visit(openapi, '');
  return found;
}
