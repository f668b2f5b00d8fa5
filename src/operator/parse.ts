/** What a query or a body says, or a 400 that names what is wrong with it. */
import type { z } from 'zod';
import { identifierKinds } from '../directory/user.js';
import { RequestError } from '../request-error.js';

/** Throws RequestError 400, which names the members and what they may be, and none of their values. */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => `${name} is unknown`);
    const name = issue.path.join('.');
    if (issue.code === 'invalid_value') return [`${name}: it is one of ${issue.values.join(', ')}`];
    return name === '' ? [] : [`${name}: ${issue.message}`];
  });
  throw new RequestError(
    400,
    'malformed_request',
    wrong.length > 0 ? `${wrong.join('; ')}.` : `Name one user, by exactly one of ${identifierKinds.join(', ')}.`,
  );
}
