/** The data keys: whether what is sealed in Redis can be opened with those at hand, here and in every gateway. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config.js';
import { areInFile, loadDataKeys } from '../../data-key-file.js';
import { readKeyUse } from '../../data-key-use.js';
import { reseal } from '../../fanout/reseal.js';
import type { RedisClient } from '../../redis.js';
import { grouped } from '../progress.js';
import { counted, type Finding, notChecked, ok, problem, warning } from './finding.js';

const LOOKS_AT = 20_000;
const CHECK = 'data keys';

export async function checkDataKeys(config: Config, redis: RedisClient, prefix: string): Promise<Finding[]> {
  const file = join(config.dataDir, 'data-keys.json');
  // Reading it makes it.
  if (areInFile(config) && !existsSync(file)) {
    return [notChecked(CHECK, `there is no ${file}: this is the DATA_DIR of no gateway`)];
  }
  const dataKeys = await loadDataKeys(config);
  const ids = dataKeys.ids();
  let all = 0;
  const { missing, broken } = await reseal({
    ...{ redis, prefix, dataKeys, onlyLooksAt: LOOKS_AT },
    onLooked: (_, of) => {
      all = of;
    },
  });
  const rest =
    all > LOOKS_AT
      ? [
          notChecked(
            CHECK,
            `whether what is sealed opens beyond the first ${grouped(LOOKS_AT)} of ${counted(all, 'key')}`,
          ),
        ]
      : [];
  const findings: Finding[] = [];
  if (missing.size > 0) {
    const needed = [...missing].map(([id, count]) => `${counted(count, 'text')} with "${id}"`).join(', ');
    findings.push(
      problem(CHECK, `sealed with a key that is not at hand: ${needed}`, 'add it to DATA_KEY, as a further one'),
    );
  }
  if (broken.length > 0) {
    const what = `${counted(broken.length, 'sealed text')} cannot be opened: the key is another one of the same id`;
    findings.push(problem(CHECK, what, 'set DATA_KEY to what it was when they were accepted'));
  }
  for (const { process: where, ids: theirs } of await readKeyUse(redis, prefix)) {
    const first = theirs[0];
    if (first === undefined ? ids.length === 0 : ids.includes(first)) continue;
    const seals =
      first === undefined ? 'has none, and seals nothing' : `seals with "${first}", which is not at hand here`;
    findings.push(problem(CHECK, `the gateway of ${where} ${seals}`, 'give every process the same DATA_KEY'));
  }
  if (findings.length > 0) return [...findings, ...rest];
  if (ids.length === 0) {
    const todo = 'set DATA_KEY to what `universal-logout data-key new` prints, the same in every process';
    return [warning(CHECK, 'there is none: job data in Redis is not encrypted', todo), ...rest];
  }
  return [ok(CHECK, `"${ids[0]}" seals, and what is sealed can be opened`), ...rest];
}
