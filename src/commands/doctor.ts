/** `universal-logout doctor`: looks at everything that the gateway depends on, changes nothing, and says what to mend first. */
import pc from 'picocolors';
import { examineAll } from './doctor/examination.js';
import { type Finding, type State, states } from './doctor/finding.js';
import { createProgress } from './progress.js';

const EXIT_WITHIN_MS = 100;

export type DoctorOptions = { tenant?: string; json?: boolean; all?: boolean };

/** Sets exit code 1 where there is a problem. Throws a CommandError where the settings have no such tenant. */
export async function doctor({ tenant, json, all }: DoctorOptions): Promise<void> {
  const progress = createProgress(process.stderr, 'checks');
  const findings = await examineAll(tenant, (count, of) => progress.update(count, count / of));
  progress.done();
  if (json) console.log(JSON.stringify({ summary: summaryOf(findings), checks: findings }, null, 2));
  else printTable(findings, all === true);
  if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1;
  // A connector that hangs, or a connection half-way, must not keep alive what has said all that it has to say.
  setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
}

const COLOURS: Record<State, (text: string) => string> = {
  ok: pc.green,
  warning: pc.yellow,
  problem: pc.red,
  'not checked': pc.dim,
};

function printTable(findings: readonly Finding[], all: boolean): void {
  // What is well would hide the rest.
  const rows = findings.filter(({ state }) => all || state !== 'ok');
  const width = Math.max(...rows.map(({ check }) => check.length));
  const stateWidth = Math.max(...states.map(({ length }) => length));
  for (const { state, check, what, todo } of rows) {
    const advice = todo ? ` ${pc.bold('→')} ${todo}` : '';
    console.log(`${COLOURS[state](state.padEnd(stateWidth))}  ${check.padEnd(width)}  ${what}${advice}`);
  }
  const { problems, warnings, ok, notChecked } = summaryOf(findings);
  const parts = [`${problems} problem${problems === 1 ? '' : 's'}`, `${warnings} warning${warnings === 1 ? '' : 's'}`];
  if (rows.length > 0) console.log();
  console.log(`${[...parts, `${ok} ok`, ...(notChecked > 0 ? [`${notChecked} not checked`] : [])].join(', ')}`);
}

function summaryOf(findings: readonly Finding[]) {
  const count = (state: State) => findings.filter((one) => one.state === state).length;
  return { problems: count('problem'), warnings: count('warning'), ok: count('ok'), notChecked: count('not checked') };
}
