/** A provisioning client of a tenant: requests to the gateway's SCIM endpoint, with its bearer token. */
import request, { type Response } from 'supertest';

export const SCIM_TOKEN = 'a-scim-token-of-the-specs';
export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
export const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group';
export const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
export const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';
export const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';

type Headers = Record<string, string>;
export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export type ScimClient = ReturnType<typeof createScimClient>;

export function createScimClient(
  url: string,
  { tenant, token = SCIM_TOKEN }: { tenant?: string; token?: string } = {},
) {
  const root = tenant === undefined ? '/scim/v2' : `/tenants/${tenant}/scim/v2`;

  /** A string or a Buffer goes out as it is. */
  function send(method: Method, path: string, body?: unknown, headers: Headers = {}): Promise<Response> {
    const test = request(url)
      [method](root + path)
      .set('authorization', `Bearer ${token}`)
      .set(headers);
    if (body === undefined) return test.then();
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return test
      .set('content-type', 'application/scim+json')
      .serialize((raw) => raw as string)
      .send(bytes as unknown as object)
      .then();
  }

  return {
    send,
    get: (path: string, headers?: Headers) => send('get', path, undefined, headers),
    post: (path: string, body: unknown, headers?: Headers) => send('post', path, body, headers),
    put: (path: string, body: unknown, headers?: Headers) => send('put', path, body, headers),
    delete: (path: string, headers?: Headers) => send('delete', path, undefined, headers),
    /** A PatchOp of these operations. */
    patch: (path: string, operations: object[], headers?: Headers) =>
      send('patch', path, { schemas: [PATCH_OP], Operations: operations }, headers),
    list(resources: 'Users' | 'Groups', query: Record<string, string | number> = {}): Promise<Response> {
      const parameters = new URLSearchParams();
      for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
      return send('get', `/${resources}?${parameters}`);
    },
    /** The id of a new user with a userName; throws where none was made. */
    async createUser(userName: string, more: object = {}): Promise<string> {
      return created(await send('post', '/Users', { schemas: [USER], userName, ...more }));
    },
    async createGroup(displayName: string, members: string[] = []): Promise<string> {
      const body = { schemas: [GROUP], displayName, members: members.map((value) => ({ value })) };
      return created(await send('post', '/Groups', body));
    },
    /** The ids of a group's members. */
    async members(id: string): Promise<Set<string>> {
      const { body } = await send('get', `/Groups/${id}`);
      return new Set((body.members as { value: string }[]).map(({ value }) => value));
    },
  };
}

function created({ status, text, body }: Response): string {
  if (status !== 201) throw new Error(`not created: ${status} ${text}`);
  return body.id as string;
}

/** A person as Okta sends one. */
export function oktaPerson(number: number, more: object = {}) {
  const userName = `person-${number}@example.com`;
  return {
    schemas: [USER],
    userName,
    name: { givenName: 'Ada', familyName: 'King' },
    emails: [{ primary: true, value: userName, type: 'work' }],
    displayName: 'Ada King',
    locale: 'en-US',
    externalId: `00u${number}`,
    groups: [],
    active: true,
    ...more,
  };
}
