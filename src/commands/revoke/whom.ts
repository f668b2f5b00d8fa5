/** Whom a bulk revocation is for, a page at a time: everyone of a tenant, a group, or the people whom a file names. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Directory } from '../../directory/directory.js';
import { matchOf, meant } from '../../directory/meant.js';
import type { User } from '../../directory/user.js';
import type { Lookup } from '../../directory/users.js';
import { CommandError } from '../command-error.js';
import { grouped } from '../progress.js';
import { type Line, linesOf } from '../users/lines.js';

const PAGE = 500;
/** One script of Redis finds so many; while it runs, nobody's logout gets through. */
const FOUND_AT_ONCE = 100;
const MAX_LINE_BYTES = 10_000;

/** What is kept of the order, so that it can be gone on with. `sha256` is of the file's content. */
export type Asked = { all: true } | { group: string; displayName: string } | { file: string; sha256: string };

export type Page = {
  users: User[];
  /** By the number of the line. */
  problems: Map<number, string>;
  /** Users looked at, or lines read, since the page before. */
  walked: number;
  /** Where the next page begins. */
  place: string;
};

export type Whom = {
  /** As in "Log out …". */
  text: string;
  /** How much there is to walk. */
  total: number;
  /** After `place`, which is empty at the beginning. */
  pages: (place: string) => AsyncIterable<Page>;
};

/** Throws a CommandError where there is no such group. */
export async function askedGroup({ groups }: Directory, tenant: string, displayName: string): Promise<Asked> {
  const group = await groups.named(tenant, displayName);
  if (!group) throw new CommandError(`There is no group ${displayName} in tenant ${tenant}.`);
  return { group: group.id, displayName: group.displayName };
}

/** Throws a CommandError where the file cannot be read. */
export async function askedFile(file: string): Promise<Asked> {
  return { file, sha256: (await readWhole(file)).sha256 };
}

/** Throws a CommandError where what was asked for is no longer there, or is another. */
export async function openWhom(directory: Directory, tenant: string, asked: Asked): Promise<Whom> {
  if ('file' in asked) {
    const { sha256, lines, filled } = await readWhole(asked.file);
    if (sha256 !== asked.sha256) {
      throw new CommandError(`${asked.file} is not what it was when this began: begin anew with --file.`);
    }
    const text = `the people whom the ${grouped(filled)} lines of ${asked.file} name`;
    return { text, total: lines, pages: (place) => named(directory, tenant, asked.file, Number(place)) };
  }
  const total = await directory.users.count(tenant);
  const pages = (place: string) => inOrder(directory, tenant, place, 'group' in asked ? asked : undefined);
  if ('all' in asked) return { text: `all ${grouped(total)} people`, total, pages };
  const members = await directory.groups.memberCount(tenant, asked.group);
  return { text: `the ${grouped(members)} people of the group ${asked.displayName}`, total, pages };
}

/**
 * The directory in the order of creation, and of each page those who are in the group: the places in that order stay,
 * whereas a cursor of SSCAN is worth nothing once Redis has started anew.
 */
async function* inOrder(
  { users, groups }: Directory,
  tenant: string,
  from: string,
  group: { group: string; displayName: string } | undefined,
): AsyncGenerator<Page> {
  for (let place = from; ; ) {
    const page = await users.idsAfter(tenant, place, PAGE);
    if (page.ids.length === 0) return;
    place = page.place;
    const ids = group ? ((await groups.presentIn(tenant, [group.group], page.ids))[0] ?? []) : page.ids;
    // Members leave a group before it goes, so this comes after.
    if (group && !(await groups.get(tenant, group.group))) {
      throw new CommandError(`The group ${group.displayName} was deleted meanwhile.`);
    }
    const found = await inPieces(ids, async (piece) => {
      const lookups = piece.map((value) => ({ kind: 'id' as const, value }));
      return (await users.find(tenant, lookups)).flat();
    });
    yield { users: found, problems: new Map(), walked: page.ids.length, place };
  }
}

async function* named(directory: Directory, tenant: string, file: string, from: number): AsyncGenerator<Page> {
  let lines: Line[] = [];
  for await (const line of linesOf(createReadStream(file), MAX_LINE_BYTES)) {
    if (line.number <= from) continue;
    lines.push(line);
    if (lines.length < PAGE) continue;
    yield await pageOf(directory, tenant, lines);
    lines = [];
  }
  if (lines.length > 0) yield await pageOf(directory, tenant, lines);
}

async function pageOf({ users }: Directory, tenant: string, lines: Line[]): Promise<Page> {
  const problems = new Map<number, string>();
  const names = lines.flatMap((line) => {
    if ('problem' in line) problems.set(line.number, line.problem);
    const value = 'problem' in line ? '' : line.text.replace(/^\uFEFF/, '').trim();
    return value === '' ? [] : [{ number: line.number, value }];
  });
  const found = await inPieces(names, async (piece) => {
    const lookups = piece.flatMap(({ value }) => [
      { kind: 'userName' as const, value },
      { kind: 'email' as const, value },
    ]);
    const found = await users.findWithDeleted(tenant, lookups);
    const matches = found.map((one, index) => matchOf(lookups[index] as Lookup, one));
    return piece.flatMap(({ number }, index) => {
      const whom = meant(matches.slice(2 * index, 2 * index + 2).map((match) => [match]));
      if ('user' in whom) return [whom.user];
      problems.set(number, whom.refused === 'unknown_user' ? 'names nobody' : 'names several people');
      return [];
    });
  });
  return { users: once(found), problems, walked: lines.length, place: String(lines.at(-1)?.number) };
}

async function inPieces<T>(list: T[], find: (piece: T[]) => Promise<User[]>): Promise<User[]> {
  const found: User[] = [];
  for (let start = 0; start < list.length; start += FOUND_AT_ONCE) {
    found.push(...(await find(list.slice(start, start + FOUND_AT_ONCE))));
  }
  return found;
}

function once(users: User[]): User[] {
  return [...new Map(users.map((user) => [user.resource.id, user])).values()];
}

/** `filled` are the lines that are not blank. */
async function readWhole(file: string): Promise<{ sha256: string; lines: number; filled: number }> {
  const hash = createHash('sha256');
  let lines = 0;
  let filled = 0;
  async function* hashed() {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    for await (const line of linesOf(hashed(), MAX_LINE_BYTES)) {
      lines++;
      if ('problem' in line || line.text.trim() !== '') filled++;
    }
  } catch (cause) {
    throw new CommandError(`${file} cannot be read.`, { cause });
  }
  return { sha256: hash.digest('hex'), lines, filled };
}
