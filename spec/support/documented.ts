/** Expects an answer that openapi.yaml has for the operation, with this status and, of an error, this code. */
import type { Response } from 'supertest';
import { undocumented } from './openapi.js';

export function expectDocumented(operationId: string, status: number, response: Response, code?: string): void {
  expect([response.status, response.body?.code]).toEqual([status, code]);
  // supertest parses what is JSON by its name alone.
  const text = response.text ?? '';
  const body = (response.headers['content-type'] ?? '').includes('json') ? JSON.parse(text) : undefined;
  const { headers } = response as { headers: Record<string, string> };
  expect(undocumented(operationId, { status, headers, text, body })).toEqual([]);
}
