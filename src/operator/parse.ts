/** What a query or a body says, or a 400 that names what is wrong with it. */
import type { z } from 'zod';
import { identifierKinds } from '../directory/user.js';
import { RequestError } from '../request-error.js';

/** Throws RequestError 400, which names the members and none of their values. */
export function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0] ?? '')],
  );
  const wrong = names.filter((name) => name !== '');
  throw new RequestError(
    400,
    'malformed_request',
    wrong.length > 0
      ? `Wrong or unknown: ${wrong.join(', ')}.`
      : `Name one user by one of ${identifierKinds.join(', ')}, in a JSON object.`,
  );
}
