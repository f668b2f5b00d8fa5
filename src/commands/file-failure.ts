/** What is wrong with a file or folder that a command needs, in one sentence for whoever runs it. */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';

const CALLS: Readonly<Record<string, string>> = {
  ...{ open: 'opened', access: 'read', stat: 'read', lstat: 'read', scandir: 'read', readlink: 'read' },
  ...{ mkdir: 'made', mkdtemp: 'made', link: 'made', symlink: 'made', copyfile: 'written' },
  ...{ truncate: 'written', rename: 'replaced', unlink: 'removed', rm: 'removed', rmdir: 'removed' },
};

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'let this user do so, or name another path',
  EPERM: 'let this user do so, or name another path',
  EROFS: 'its file system is read-only: name another path',
  EISDIR: 'it is a folder: name a file',
  EEXIST: 'it is there already, and is no folder: name another path',
  ENOTDIR: 'a part of the path is a file, where a folder is needed',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of this user is used up',
  ELOOP: 'its symbolic links lead in a circle',
  EMFILE: 'this process has too many files open: raise its limit (ulimit -n)',
};

/** Undefined where the error is not one of the system about a path. */
export function fileFailure(error: unknown): string | undefined {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  const done = CALLS[syscall ?? ''];
  if (code === undefined || path === undefined || done === undefined) return undefined;
  const folder = dirname(path);
  if (code === 'ENOENT') {
    if (existsSync(folder)) return `There is no ${path} (ENOENT).`;
    return `There is no folder ${folder} (ENOENT), for ${basename(path)} to be in: make it, or name another path.`;
  }
  const advice = REASONS[code] ? `: ${REASONS[code]}` : '';
  // Of what is not there, or not to be seen, the rights are those of its folder.
  const refused = ['EACCES', 'EPERM', 'EROFS'].includes(code) && !existsSync(path);
  if (refused) return `${folder} cannot be read and written (${code})${advice}.`;
  return `${path} cannot be ${done} (${code})${advice}.`;
}
