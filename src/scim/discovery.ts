/** What the service provider says of itself: configuration, resource types and schemas (RFC 7644 §4). */
import { type Request, Router } from 'express';
import { describeSchemas, ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA } from './attributes.js';
import { methodNotAllowed, notFound, send, sendList } from './http.js';
import { MAX_COUNT } from './list.js';
import { ScimError } from './scim-error.js';

/** `baseOf` answers the address of the tenant's SCIM root. */
export function createDiscoveryRouter(baseOf: (req: Request) => string): Router {
  const router = Router({ mergeParams: true });
  router.use(['/ServiceProviderConfig', '/ResourceTypes', '/Schemas'], (req, _res, next) => {
    // RFC 7644 §4: the answer would tell less than there is.
    if (req.query.filter !== undefined) throw new ScimError(403, undefined, 'These resources cannot be filtered.');
    next();
  });
  router.get('/ServiceProviderConfig', (req, res) => send(res, 200, serviceProviderConfig(baseOf(req))));
  for (const [path, describe] of [
    ['/ResourceTypes', resourceTypes],
    ['/Schemas', schemas],
  ] as const) {
    router.get(path, (req, res) => {
      const resources = describe(baseOf(req));
      sendList(res, { resources, totalResults: resources.length, startIndex: 1 });
    });
    router.get(`${path}/:id`, (req, res) => {
      const found = describe(baseOf(req)).find(({ id }) => id === req.params.id);
      if (!found) throw notFound();
      send(res, 200, found);
    });
    router.all([path, `${path}/:id`], methodNotAllowed('GET'));
  }
  router.all('/ServiceProviderConfig', methodNotAllowed('GET'));
  return router;
}

function serviceProviderConfig(base: string): object {
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: MAX_COUNT },
    changePassword: { supported: false },
    sort: { supported: true },
    etag: { supported: true },
    authenticationSchemes: [
      {
        type: 'oauthbearertoken',
        name: 'Bearer token',
        description: 'A token from the settings of the tenant, in the Authorization header.',
        specUri: 'https://www.rfc-editor.org/rfc/rfc6750',
        primary: true,
      },
    ],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base}/ServiceProviderConfig` },
  };
}

function resourceTypes(base: string): { id: string }[] {
  const type = (id: string, schema: string, schemaExtensions: object[] = []) => ({
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],
    id,
    name: id,
    endpoint: `/${id}s`,
    schema,
    schemaExtensions,
    meta: { resourceType: 'ResourceType', location: `${base}/ResourceTypes/${id}` },
  });
  return [type('User', USER_SCHEMA, [{ schema: ENTERPRISE_SCHEMA, required: false }]), type('Group', GROUP_SCHEMA)];
}

function schemas(base: string): { id: string }[] {
  return describeSchemas().map((schema) => ({
    ...schema,
    meta: { resourceType: 'Schema', location: `${base}/Schemas/${schema.id}` },
  }));
}
