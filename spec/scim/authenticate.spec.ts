/** Who may provision: bearers of a token of this tenant, of which two may be valid at once; everybody else gets one answer. */
import request from 'supertest';
import { startGateway } from '../support/gateway.js';
import { createScimClient, ERROR } from '../support/scim.js';

const OLD = 'the-old-token-of-tenant-one';
const NEW = 'the-new-token-of-tenant-one';
const OTHER = 'the-token-of-another-tenant';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let user: string;

beforeAll(async () => {
  gateway = await startGateway({
    tenants: [{ id: 'one', scim: { tokens: [OLD, NEW] } }, { id: 'two', scim: { tokens: [OTHER] } }, { id: 'three' }],
  });
  user = await createScimClient(gateway.url, { tenant: 'one', token: OLD }).createUser('ada');
});
afterAll(() => gateway.close());

const root = '/tenants/one/scim/v2';

it.each([
  ['the old token', `Bearer ${OLD}`],
  ['the new token', `Bearer ${NEW}`],
  ['another spelling of Bearer', `bEARER  ${NEW}`],
])('lets %s in', async (_, authorization) => {
  const { status, body } = await request(gateway.url).get(`${root}/Users/${user}`).set('authorization', authorization);
  expect([status, body.id]).toEqual([200, user]);
});

const wrong: [title: string, authorization: string | undefined, path?: string][] = [
  ['no header', undefined],
  ['an empty header', ''],
  ['no token', 'Bearer'],
  ['an empty token', 'Bearer '],
  ['another token', 'Bearer not-a-token-of-anybody'],
  ['the token alone', NEW],
  ['the token under another scheme', `Basic ${NEW}`],
  ['the token in other letters', `Bearer ${NEW.toUpperCase()}`],
  ['the beginning of the token', `Bearer ${NEW.slice(0, -1)}`],
  ['more than the token', `Bearer ${NEW}x`],
  ['two tokens', `Bearer ${OLD} ${NEW}`],
  ["another tenant's token", `Bearer ${OTHER}`],
  ['a token for a tenant that has none', `Bearer ${NEW}`, '/tenants/three/scim/v2'],
  ['a token for a tenant that is not there', `Bearer ${NEW}`, '/tenants/four/scim/v2'],
  ['a token for the tenant that is not named', `Bearer ${NEW}`, '/scim/v2'],
  ['a token for a name of Object', `Bearer ${NEW}`, '/tenants/__proto__/scim/v2'],
  ['undefined for a tenant without tokens', 'Bearer undefined', '/tenants/three/scim/v2'],
];

describe('a request with', () => {
  it.each(wrong)(
    '%s is answered like any other that is not let in, and changes nothing',
    async (_, authorization, path = root) => {
      const before = await gateway.state();
      const calls = (['get', 'post', 'put', 'patch', 'delete'] as const).flatMap((method) =>
        ['/Users', `/Users/${user}`, '/Groups', '/ServiceProviderConfig', '/nowhere'].map((resource) => {
          const test = request(gateway.url)
            [method](path + resource)
            .set('content-type', 'application/scim+json');
          if (authorization !== undefined) test.set('authorization', authorization);
          // What is not let in is not even parsed.
          return method === 'get' ? test : test.send('{"userName":');
        }),
      );
      for (const { status, headers, body } of await Promise.all(calls)) {
        expect(status).toBe(401);
        expect(headers['www-authenticate']).toBe('Bearer realm="universal-logout-scim"');
        expect(headers['content-type']).toBe('application/scim+json; charset=utf-8');
        expect(body).toEqual({
          schemas: [ERROR],
          status: '401',
          detail: 'This needs a SCIM token of the tenant as a bearer token.',
        });
      }
      expect(await gateway.state()).toEqual(before);
    },
  );
});

it('takes the token from the header alone', async () => {
  const { status } = await request(gateway.url).get(`${root}/Users?access_token=${NEW}`);
  expect(status).toBe(401);
});
