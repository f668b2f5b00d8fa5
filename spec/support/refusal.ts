/** What every refusal of a caller has in common: one wording, a reason for the audit trail alone, and nothing changed. */
import { expect } from '@jest/globals';
import type { Response, Test } from 'supertest';
import type { Endpoint } from './endpoint.js';

/** The body of every 401: of a missing header, of a forged JWT, of a used one. */
export const oneWording = JSON.stringify({
  type: 'about:blank',
  title: 'Unauthorized',
  status: 401,
  code: 'invalid_jwt',
  detail: 'This request needs a valid revocation JWT as a bearer token.',
});

/** `presented: false` where there was no bearer token that could be wrong (RFC 6750 §3.1). */
export async function expectUnauthenticated(
  endpoint: Endpoint,
  send: () => Promise<Response> | Test,
  { reason, tenant = 'default', presented = true }: { reason: string; tenant?: string; presented?: boolean },
): Promise<void> {
  const { response, audited, changed, calls } = await endpoint.observe(send);
  expect(response.status).toBe(401);
  expect(response.text).toBe(oneWording);
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(response.headers['www-authenticate']).toBe(
    `Bearer realm="universal-logout"${presented ? ', error="invalid_token"' : ''}`,
  );
  expect(audited).toEqual([{ event: 'revocation.refused', tenant, status: '401', reason }]);
  expect(changed).toEqual([]);
  expect(calls).toBe(0);
}

/** 400 for a caller who was let in: the JWT is used up and counted, and nothing else has changed. */
export async function expectRefusedBody(
  endpoint: Endpoint,
  send: () => Promise<Response> | Test,
  code: string,
  trust = 'okta',
): Promise<void> {
  const { response, audited, changed, calls } = await endpoint.observe(send);
  expect(response.body).toMatchObject({ type: 'about:blank', title: 'Bad Request', status: 400, code });
  expect(response.status).toBe(400);
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(audited).toEqual([{ event: 'revocation.refused', tenant: 'default', trust, status: '400', reason: code }]);
  expect(changed).toEqual([`accepted:default.${trust}`, 'replay:*']);
  expect(calls).toBe(0);
}
