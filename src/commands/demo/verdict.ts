/** Whether a revocation did what it should: ended every session of one person, and nobody else's. */

export type Observation = {
  person: string;
  device: string;
  site: string;
  aliveBefore: boolean;
  aliveAfter: boolean;
  /** Milliseconds from the request until the app called the session ended. */
  endedAfterMs?: number | undefined;
};

/** Every problem, one sentence each; none means success. Seeing no session at all is a problem too. */
export function problemsWith(observations: readonly Observation[], revoked: string): string[] {
  const seen = (isRevoked: boolean) => observations.some(({ person }) => (person === revoked) === isRevoked);
  return [
    ...(seen(true) ? [] : [`No session of ${revoked} was seen.`]),
    ...(seen(false) ? [] : ["Nobody else's session was seen."]),
    ...observations.flatMap((observation) => {
      const { person, device, site, aliveBefore, aliveAfter } = observation;
      const session = `${person}'s session in the ${site} on the ${device}`;
      if (!aliveBefore) return [`${session} was not alive before the request.`];
      if (person === revoked && aliveAfter) return [`${session} is still alive.`];
      if (person !== revoked && !aliveAfter) return [`${session} ended, and should not have.`];
      return [];
    }),
  ];
}
