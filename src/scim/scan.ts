/** A look through resources that no index orders as the client asks, in portions (RFC 7644 §3.4.2). */

/** Where a look begins: at which resource, and how many matches before the page's first are still to be passed over. */
export type Position = { offset: number; skip: number };

export type Scanned<R> = {
  resources: R[];
  /** Where to look on, unless everything was seen. */
  left: Position | undefined;
  /** How many matches were to be passed over and are not there. */
  missing: number;
};

/**
 * Looks until the page is full, everything was seen, or `isOver` says so. `portion` answers what is at an offset, each
 * resource with whether it matches, and nothing at the end.
 */
export async function scan<R>(
  portion: (offset: number) => Promise<{ resource: R; matches: boolean }[]>,
  { offset: from, skip: passing }: Position,
  count: number,
  isOver: (found: number) => boolean,
): Promise<Scanned<R>> {
  let offset = from;
  let skip = passing;
  const resources: R[] = [];
  for (;;) {
    const seen = await portion(offset);
    for (const { resource, matches } of seen) {
      if (resources.length === count) break;
      offset++;
      if (!matches) continue;
      if (skip > 0) skip--;
      else resources.push(resource);
    }
    if (resources.length === count) return { resources, left: { offset, skip }, missing: 0 };
    if (seen.length === 0) return { resources, left: undefined, missing: skip };
    if (isOver(resources.length)) return { resources, left: { offset, skip }, missing: 0 };
  }
}
