/** Many things at once, but in order where they have a name in common. */

/** Waits for all that was begun earlier. */
export type Earlier = () => Promise<unknown>;

/** At most `limit` are under way. After a failure nothing further is begun. */
export function createTurns(limit: number) {
  const underway = new Set<Promise<void>>();
  const lastOf = new Map<string, Promise<void>>();
  let failure: { error: unknown } | undefined;
  let makeRoom = (): void => {};

  async function finish(): Promise<void> {
    await Promise.all(underway);
    if (failure) throw failure.error;
  }

  return {
    /** Resolves as soon as there is room for the next. Throws what an earlier one has thrown, when all have ended. */
    async take(names: readonly string[], act: (earlier: Earlier) => Promise<void>): Promise<void> {
      if (failure) await finish();
      const earlier = [...underway];
      const turn = Promise.all(names.map((name) => lastOf.get(name)))
        .then(() => (failure ? undefined : act(() => Promise.all(earlier))))
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          underway.delete(turn);
          for (const name of names) if (lastOf.get(name) === turn) lastOf.delete(name);
          makeRoom();
        });
      underway.add(turn);
      for (const name of names) lastOf.set(name, turn);
      if (underway.size < limit) return;
      await new Promise<void>((resolve) => {
        makeRoom = resolve;
      });
    },
    finish,
  };
}
