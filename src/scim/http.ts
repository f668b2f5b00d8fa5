/** What every SCIM endpoint has in common: its place, its answers, and the versions of RFC 7644 §3.14. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Request, RequestHandler, Response } from 'express';
import { Changed } from '../directory/users.js';
import type { Page } from './list.js';
import type { Projection } from './projection.js';
import { ScimError } from './scim-error.js';

const MAX_TRIES = 20;
const PAUSE_MS = 10;

export function tenantOf(req: Request): string {
  return typeof req.params.tenant === 'string' ? req.params.tenant : 'default';
}

export function idOf(req: Request): string {
  return String(req.params.id);
}

export function send(res: Response, status: number, body: object): void {
  res.status(status).type('application/scim+json').send(JSON.stringify(body));
}

/** Express answers 304 by itself where `If-None-Match` has this version. */
export function sendResource(res: Response, status: number, resource: object, project: Projection): void {
  const { meta } = resource as { meta: { version: string; location: string } };
  res.set({ etag: meta.version, location: meta.location });
  send(res, status, project(resource));
}

export function sendList(res: Response, { resources, totalResults, startIndex }: Page<object>): void {
  send(res, 200, {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
    totalResults,
    startIndex,
    itemsPerPage: resources.length,
    Resources: resources,
  });
}

/** Whether the client insists on a version (RFC 7644 §3.14). */
export function isConditional(req: Request): boolean {
  const wanted = req.headers['if-match'];
  return wanted !== undefined && wanted.trim() !== '*';
}

/** Throws a ScimError 412 where the client has another version in mind. */
export function checkIfMatch(req: Request, { meta }: { meta: { version: string } }): void {
  const versions = (req.headers['if-match'] ?? '').split(',').map((version) => version.trim());
  if (isConditional(req) && !versions.includes(meta.version)) {
    throw new ScimError(412, undefined, 'The resource has another version by now.');
  }
}

/** Somebody else was faster: reads anew and tries again, some times. */
export async function again<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Changed) || tries === MAX_TRIES) throw error;
      await delay(Math.random() * PAUSE_MS);
    }
  }
}

export function methodNotAllowed(allow: string): RequestHandler {
  return (_req, res) => {
    res.set('allow', allow);
    throw new ScimError(405, undefined, `Use one of ${allow}.`);
  };
}

export function notFound(): ScimError {
  return new ScimError(404, undefined, 'There is no such resource.');
}
