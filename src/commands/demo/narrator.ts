/** What the demo says: one line a step, with a tick and how long it took; without colours where there is no terminal. */
import pc from 'picocolors';

const STEP_WIDTH = 66;

export type Narrator = ReturnType<typeof createNarrator>;

/** No step begins once `signal` is aborted; one that has begun ends, so that what it started is known and can be closed. */
export function createNarrator(out: NodeJS.WriteStream, signal: AbortSignal) {
  const isTerminal = out.isTTY === true;
  const colours = pc.createColors(isTerminal && pc.isColorSupported);

  function say(text = ''): void {
    out.write(`${text}\n`);
  }

  return {
    colours,
    say,
    heading(text: string): void {
      say(`\n${colours.bold(text)}`);
    },
    async step<T>(what: string, work: () => Promise<T>): Promise<T> {
      signal.throwIfAborted();
      if (isTerminal) out.write(`  ${colours.dim(`… ${what}`)}`);
      const startedAt = performance.now();
      const finish = (mark: string) => {
        const took = colours.dim(`${Math.round(performance.now() - startedAt)} ms`.padStart(8));
        say(`${isTerminal ? '\r\u001b[K' : ''}  ${mark} ${what.padEnd(STEP_WIDTH)} ${took}`);
      };
      try {
        const result = await work();
        finish(colours.green('✔'));
        return result;
      } catch (error) {
        if (!signal.aborted) finish(colours.red('✘'));
        throw error;
      }
    },
  };
}
