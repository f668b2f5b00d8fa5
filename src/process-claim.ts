/** Which process may run Redis on a data directory: a claim in a file, of processes that are told apart for good. */
import { execFileSync } from 'node:child_process';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A process, told from a later one of the same pid. */
export type Running = { pid: number; birth: string };
export type Claim = { owner?: Running | undefined; guard?: Running | undefined; redis?: Running | undefined };

const CLAIM_FILE = /^redis\.owner\.(\d+)$/;

/**
 * The right to run Redis on `dir`: the claim of the highest number, as long as one process in it lives. The highest file is never
 * deleted, only emptied: deleting a dead claim would let two who judged it dead both succeed, each removing the other's.
 */
export function takeClaim(dir: string): { note: (claim: Claim) => void; release: () => void } | undefined {
  const owner = running(process.pid);
  if (!owner)
    throw new Error('This process finds itself neither in /proc nor with /bin/ps, so Redis cannot be kept to one.');
  const last = lastClaim(dir);
  if (Object.values(last.claim).some(isAlive)) return;
  const mine = last.number + 1;
  const file = claimFile(dir, mine);
  const draft = join(dir, `redis.owner.${process.pid}.draft`);
  const write = (claim: Claim): void => writeFileSync(draft, JSON.stringify(claim), { mode: 0o600 });
  let noted: Claim = { owner };
  write(noted);
  try {
    linkSync(draft, file); // Unlike rename, it fails where somebody was faster.
  } catch (error) {
    if (isCode(error, 'EEXIST')) return;
    throw error;
  } finally {
    rmSync(draft);
  }
  if (lastClaim(dir).number !== mine) {
    rmSync(file, { force: true });
    return;
  }
  for (const number of claimNumbers(dir)) if (number < mine) rmSync(claimFile(dir, number), { force: true });
  return {
    note(claim) {
      noted = { owner, ...claim };
      write(noted);
      renameSync(draft, file);
    },
    release() {
      // Emptying needs no room on a full disk. What still runs keeps the claim.
      const left = { ...noted, owner: undefined };
      if (!Object.values(left).some(isAlive)) return truncateSync(file);
      write(left);
      renameSync(draft, file);
    },
  };
}

function claimNumbers(dir: string): number[] {
  return readdirSync(dir)
    .flatMap((name) => CLAIM_FILE.exec(name)?.[1] ?? [])
    .map(Number);
}

function claimFile(dir: string, number: number): string {
  return join(dir, `redis.owner.${number}`);
}

export function lastClaim(dir: string): { number: number; claim: Claim } {
  for (;;) {
    const number = Math.max(0, ...claimNumbers(dir));
    if (number === 0) return { number, claim: {} };
    let text: string;
    try {
      text = readFileSync(claimFile(dir, number), 'utf8');
    } catch (error) {
      if (isCode(error, 'ENOENT')) continue; // A higher one has come.
      throw error;
    }
    try {
      return { number, claim: JSON.parse(text) as Claim };
    } catch {
      return { number, claim: {} }; // Given up; or cut by a power failure, which nobody named in it survived.
    }
  }
}

export function running(pid: number | undefined): Running | undefined {
  const birth = pid ? birthOf(pid) : undefined;
  return pid && birth ? { pid, birth } : undefined;
}

export function isAlive(who: Running | undefined): boolean {
  return who !== undefined && birthOf(who.pid) === who.birth;
}

/** What tells a process from a later one of the same pid (in a container every start has the same few pids); a zombie is dead. */
function birthOf(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') {
      const env = { LC_ALL: 'C', TZ: 'UTC' };
      const line = execFileSync('/bin/ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], {
        env,
        encoding: 'utf8',
      });
      const [state, ...birth] = line.trim().split(/\s+/);
      return state?.startsWith('Z') ? undefined : birth.join(' ');
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${boot} ${fields[19]}`;
  } catch {
    return undefined; // No such process.
  }
}

export function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
