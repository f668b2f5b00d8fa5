/** A command cannot go on, for a reason that one sentence tells; no stack is shown. */
export class CommandError extends Error {
  readonly expected = true;
}
