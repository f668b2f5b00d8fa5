/** openapi.yaml is a valid document, names every route and no other, and shows examples that are right. */
import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { Express } from 'express';
import { openGateway } from '../src/gateway.js';
import { configOf } from './support/gateway.js';
import { examples, mismatches, openapi, operations } from './support/openapi.js';

type Layer = {
  route?: { path: string | string[]; methods: Record<string, boolean> };
  handle: { stack?: Layer[] };
  slash: boolean;
  match(path: string): boolean;
};

/** Where routers may be mounted: Express does not tell, but answers whether one matches. */
const MOUNTS = ['/scim/v2', '/tenants/:tenant/scim/v2'];

function routesOf(stack: Layer[], prefixes: string[]): string[] {
  return stack.flatMap((layer) => {
    const { route, handle } = layer;
    if (route) {
      const methods = Object.keys(route.methods).filter((method) => method !== '_all');
      const paths = [route.path].flat().flatMap((path) => prefixes.map((prefix) => prefix + path));
      return methods.flatMap((method) => paths.map((path) => `${method} ${path}`));
    }
    if (!handle.stack) return [];
    const mounts = layer.slash ? [''] : MOUNTS.filter((mount) => layer.match(mount));
    if (mounts.length === 0) throw new Error('a router is mounted where this spec does not look');
    const within = prefixes.flatMap((prefix) => mounts.map((mount) => prefix + mount));
    return routesOf(handle.stack, within);
  });
}

describe('the document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(openapi));
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
    expect(openapi.openapi).toMatch(/^3\.1\.\d+$/);
  });

  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    expect(openapi.info.version).toBe(version);
  });

  it('names each operation once', () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has only references that lead somewhere', () => {
    const references = JSON.stringify(openapi).matchAll(/"\$ref":"#\/([^"]+)"/g);
    for (const [, path = ''] of references) {
      const target = path.split('/').reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], openapi);
      expect([path, typeof target]).toEqual([path, 'object']);
    }
  });

  it('has every component in use', () => {
    const document = JSON.stringify(openapi);
    const { securitySchemes, ...components } = openapi.components as Record<string, Record<string, unknown>>;
    const unused = Object.entries(components).flatMap(([kind, named]) =>
      Object.keys(named).filter((name) => !document.includes(`"#/components/${kind}/${name}"`)),
    );
    expect(unused).toEqual([]);
    for (const name of Object.keys(securitySchemes ?? {})) expect(document).toContain(`{"${name}":[]}`);
  });
});

describe('the routes', () => {
  let gateway: Awaited<ReturnType<typeof openGateway>>;

  beforeAll(async () => {
    gateway = await openGateway(configOf({ tenants: [{ id: 'default' }] }), { roles: ['api'], prefix: 'spec-routes' });
  });
  afterAll(() => gateway.close());

  it('are all in the document, and every operation of the document is a route', () => {
    const { stack } = (gateway.app as Express & { router: { stack: Layer[] } }).router;
    const routes = routesOf(stack, ['']);
    const documented = operations().flatMap(({ method, paths }) => paths.map((path) => `${method} ${path}`));
    const sorted = (list: string[]) => [...new Set(list)].toSorted((a, b) => a.localeCompare(b));
    expect(routes).toContain('post /global-token-revocation');
    expect(sorted(routes)).toEqual(sorted(documented));
  });
});

describe('the examples', () => {
  it.each(examples().map(({ pointer, schema, value }) => [decodeURIComponent(pointer), schema, value] as const))(
    'are right [%s]',
    (_pointer, schema, value) => {
      expect(mismatches(schema, value)).toEqual([]);
    },
  );

  it('show every format of a subject identifier, and every code of an error', () => {
    const values = JSON.stringify(examples().map(({ value }) => value));
    const { schemas } = openapi.components as { schemas: Record<string, { properties: Record<string, { enum: [] }> }> };
    for (const code of schemas.Problem?.properties.code?.enum ?? []) expect(values).toContain(`"code":"${code}"`);
    for (const format of ['email', 'iss_sub', 'opaque', 'phone_number', 'account', 'uri', 'did', 'aliases']) {
      expect(values).toContain(`"format":"${format}"`);
    }
  });
});
