/** How far a long command is: one line that is rewritten on a terminal, a line now and then elsewhere. */

const REDRAW_MS = 100;
const LINE_EVERY_MS = 5_000;

export type Progress = ReturnType<typeof createProgress>;

type Output = { isTTY?: boolean; write: (text: string) => unknown };

/** `unit` is what is counted, `part` how much of the whole is done (0 to 1, undefined where nobody knows). */
export function createProgress(output: Output, unit: string, now: () => number = Date.now) {
  const startedAt = now();
  const terminal = output.isTTY === true;
  let shownAt = startedAt;
  let drawn = '';

  function erase(): void {
    if (drawn) output.write('\r\u001b[K');
    drawn = '';
  }

  return {
    update(count: number, part?: number): void {
      const at = now();
      if (at - shownAt < (terminal ? REDRAW_MS : LINE_EVERY_MS)) return;
      shownAt = at;
      const text = describe(count, unit, (at - startedAt) / 1_000, part);
      if (!terminal) return void output.write(`${text}\n`);
      drawn = text;
      output.write(`\r\u001b[K${text}`);
    },
    /** A line that stays. */
    say(text: string): void {
      const line = drawn;
      erase();
      output.write(`${text}\n`);
      if (line) output.write(line);
      drawn = line;
    },
    done: erase,
  };
}

function describe(count: number, unit: string, seconds: number, part: number | undefined): string {
  const texts = [`${grouped(count)} ${unit}`, `${grouped(count / seconds)} a second`];
  if (part !== undefined && part > 0) {
    texts.push(`${Math.floor(part * 100)} %`, `${duration((seconds * (1 - part)) / part)} left`);
  }
  return texts.join(', ');
}

export function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
