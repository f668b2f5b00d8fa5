/** The data keys of this process: those of DATA_KEY, or with the embedded Redis those of DATA_DIR/data-keys.json. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDataKeys, type DataKey, type DataKeys, dataKeyText, newDataKey, parseDataKeys } from './data-key.js';
import { makeKeyFile } from './key-file.js';

/** None where Redis is elsewhere and DATA_KEY is not set. Throws where the file cannot be used. */
export async function loadDataKeys(config: {
  dataKeys: readonly DataKey[];
  redisUrl: string | undefined;
  dataDir: string;
}): Promise<DataKeys> {
  if (config.dataKeys.length > 0 || config.redisUrl) return createDataKeys(config.dataKeys);
  return createDataKeys(await readOrMake(join(config.dataDir, 'data-keys.json')));
}

async function readOrMake(path: string): Promise<DataKey[]> {
  try {
    return await read(path);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
  }
  await makeKeyFile(path, textOf([newDataKey()]));
  return read(path);
}

/** A list of strings, each as in DATA_KEY: to go over to a Redis elsewhere is to copy them there. */
function textOf(keys: readonly DataKey[]): string {
  return `${JSON.stringify(keys.map(dataKeyText), undefined, 2)}\n`;
}

async function read(path: string): Promise<DataKey[]> {
  const text = await readFile(path, 'utf8').catch((cause: { code?: string }) => {
    throw cause.code === 'ENOENT' ? cause : broken(`${path} cannot be read (${cause.code})`, cause);
  });
  const problems: string[] = [];
  let keys: DataKey[] = [];
  try {
    keys = parseDataKeys((JSON.parse(text) as string[]).join(','), (problem) => problems.push(problem));
  } catch {
    problems.push('it has to be a JSON array of strings "id:base64"');
  }
  // Never made anew: what was sealed with the keys in it would be lost.
  if (problems.length > 0) throw broken(`${path} is not usable: ${problems.join('; ')}`);
  return keys;
}

/** A failure that its sentence explains: the command line shows no stack. */
function broken(sentence: string, cause?: unknown): Error {
  return Object.assign(new Error(sentence, { cause }), { expected: true });
}
