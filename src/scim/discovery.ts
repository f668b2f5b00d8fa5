/** What the service provider says of itself: configuration, resource types and schemas (RFC 7644 §4). */
import SCIMMY from 'scimmy';
import { ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA } from './schemas.js';

export const MAX_RESULTS = 1_000;

export function serviceProviderConfig(base: string): object {
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: MAX_RESULTS },
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

export function resourceTypes(base: string): { id: string }[] {
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

export function schemas(base: string): { id: string }[] {
  const { User, EnterpriseUser, Group } = SCIMMY.Schemas;
  return [User, EnterpriseUser, Group].map(({ definition }) => ({
    ...(JSON.parse(JSON.stringify(definition.describe())) as { id: string }),
    meta: { resourceType: 'Schema', location: `${base}/Schemas/${definition.id}` },
  }));
}
