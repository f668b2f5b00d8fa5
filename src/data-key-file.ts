/** The data keys of this process: those of DATA_KEY, or with the embedded Redis those of DATA_DIR/data-keys.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDataKeys, type DataKey, type DataKeys, dataKeyText, newDataKey, parseDataKeys } from './data-key.js';
import { makeKeyFile, replaceKeyFile } from './key-file.js';

type Config = { dataKeys: readonly DataKey[]; redisUrl: string | undefined; dataDir: string };

/** None where Redis is elsewhere and DATA_KEY is not set. Throws where the file cannot be used. */
export async function loadDataKeys(config: Config): Promise<DataKeys> {
  if (!areInFile(config)) return createDataKeys(config.dataKeys);
  const path = fileIn(config);
  return createDataKeys(await readOrMake(path), () => read(path));
}

export function areInFile({ dataKeys, redisUrl }: Config): boolean {
  return dataKeys.length === 0 && !redisUrl;
}

/** Puts a new key before the one that is there; where a rotation was not finished, its new key is there already. */
export async function addKeyInFile(config: Config): Promise<void> {
  const keys = await readOrMake(fileIn(config));
  if (keys.length === 1) await replaceKeyFile(fileIn(config), textOf([newDataKey(), ...keys]));
}

/** Drops all keys but the one that seals. */
export async function dropOldKeysInFile(config: Config): Promise<void> {
  await replaceKeyFile(fileIn(config), textOf(read(fileIn(config)).slice(0, 1)));
}

function fileIn({ dataDir }: Config): string {
  return join(dataDir, 'data-keys.json');
}

async function readOrMake(path: string): Promise<DataKey[]> {
  try {
    return read(path);
  } catch (error) {
    if ((error as { cause?: { code?: string } }).cause?.code !== 'ENOENT') throw error;
  }
  await makeKeyFile(path, textOf([newDataKey()]));
  return read(path);
}

/** A list of strings, each as in DATA_KEY: to go over to a Redis elsewhere is to copy them there. */
function textOf(keys: readonly DataKey[]): string {
  return `${JSON.stringify(keys.map(dataKeyText), undefined, 2)}\n`;
}

function read(path: string): DataKey[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw broken(`${path} cannot be read (${(cause as { code?: string }).code})`, cause);
  }
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
