/** JSON pointers (RFC 6901): where in an app's answer something stands. */
import { z } from 'zod';

/** The empty one is the whole answer. */
export const jsonPointer = z.string().regex(/^(\/([^~/]|~[01])*)*$/, 'is not a JSON pointer such as /data/items');

/** Undefined where there is nothing. */
export function at(value: unknown, pointer: string): unknown {
  const names = pointer.split('/').slice(1);
  return names.reduce<unknown>((inner, name) => {
    const key = name.replaceAll('~1', '/').replaceAll('~0', '~');
    return typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key)
      ? (inner as Record<string, unknown>)[key]
      : undefined;
  }, value);
}
