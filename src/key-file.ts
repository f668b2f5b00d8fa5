/** Files of secret keys: of mode 600, on disk before they are used, and one for all processes that start together. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Leaves a file that is there as it is. */
export async function makeKeyFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text);
  // A link fails where the file exists by now, so that of two processes that start together one's keys win.
  await link(draft, path).catch((error: { code?: string }) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await unlink(draft);
  await sync(dirname(path));
}

/** The old text or the new one is there at any moment. */
export async function replaceKeyFile(path: string, text: string): Promise<void> {
  await rename(await writeDraft(path, text), path);
  await sync(dirname(path));
}

async function writeDraft(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Not by process id: two containers that share the folder may both be process 1.
  const draft = `${path}.${randomUUID()}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return draft;
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
