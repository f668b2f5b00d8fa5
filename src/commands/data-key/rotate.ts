/** `universal-logout data-key rotate`: everything in Redis sealed with the first key, so that the others may go. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../../config.js';
import { addKeyInFile, areInFile, dropOldKeysInFile, loadDataKeys } from '../../data-key-file.js';
import { type KeyUse, readKeyUse, TELL_EVERY_MS } from '../../data-key-use.js';
import { reseal } from '../../fanout/reseal.js';
import type { RedisClient } from '../../redis.js';
import { CommandError } from '../command-error.js';
import { createProgress, grouped } from '../progress.js';
import { type Opened, withRedis } from '../with-redis.js';

const GATEWAYS_WITHIN_MS = 12_000;
// What a gateway has sealed just before it learned of the new key is in Redis by then.
const SETTLE_MS = 2_000;
const PASSES = 20;
const CLAIM_MS = 10_000;

/** Can be killed at any moment and run again. Throws where an old key is still needed. */
export async function rotateDataKey(): Promise<void> {
  const config = readConfig();
  if (!areInFile(config) && config.dataKeys.length === 0) {
    throw new CommandError(
      'There is no data key: set DATA_KEY to what `universal-logout data-key new` prints, in every process, then run this again.',
    );
  }
  await withRedis((opened) => alone(opened, () => rotate(opened)), config);
}

async function rotate({ config, redis, prefix }: Opened): Promise<void> {
  if (areInFile(config)) await addKeyInFile(config);
  const dataKeys = await loadDataKeys(config);
  const [first = '', ...others] = dataKeys.ids();
  await untilAllSealWith(first, redis, prefix);
  await delay(SETTLE_MS);

  const progress = createProgress(process.stderr, 'keys of Redis');
  const onLooked = (count: number, of: number) => progress.update(count, of > 0 ? Math.min(1, count / of) : undefined);
  let sealedAnew = 0;
  for (let passes = 1; ; passes++) {
    const pass = await reseal({ redis, prefix, dataKeys, onLooked });
    sealedAnew += pass.sealedAnew;
    if (pass.sealedAnew + pass.missed > 0) {
      if (passes < PASSES) continue;
      progress.done();
      throw new CommandError('Something goes on sealing with another key: keep all keys, and run this again.');
    }
    progress.done();
    console.log(`Sealed anew: ${grouped(sealedAnew)}.`);
    const problems = [...pass.missing].map(
      ([id, count]) => `Sealed with the data key "${id}", which is not in DATA_KEY: ${grouped(count)}.`,
    );
    if (pass.broken.length > 0) {
      const some = pass.broken.slice(0, 5).join(', ');
      problems.push(`Changed, or sealed with another key of the same id: ${grouped(pass.broken.length)} (${some}).`);
    }
    if (problems.length === 0) break;
    throw new CommandError(`${problems.join('\n')}\nThese jobs cannot be carried out as they are: no key was dropped.`);
  }

  const done = `Everything that is sealed in Redis is sealed with "${first}".`;
  if (areInFile(config)) {
    await dropOldKeysInFile(config);
    console.log(`${done} The older key is gone.`);
  } else if (others.length > 0) {
    console.log(`${done} Drop ${others.map((id) => `"${id}"`).join(', ')} from DATA_KEY in every process.`);
  } else console.log(done);
}

/** A gateway that lacks the key could not carry out what is sealed with it; one that seals with another undoes the work. */
async function untilAllSealWith(first: string, redis: RedisClient, prefix: string): Promise<void> {
  // One that was cut off from Redis until now has had time to tell.
  await delay(TELL_EVERY_MS + 500);
  let others: KeyUse[] = [];
  for (const end = Date.now() + GATEWAYS_WITHIN_MS; Date.now() < end; await delay(250)) {
    others = (await readKeyUse(redis, prefix)).filter(({ ids }) => ids[0] !== first);
    if (others.length === 0) return;
  }
  const lines = others.map(({ process: where, ids }) => {
    if (!ids.includes(first)) return `The gateway of ${where} does not have the data key "${first}".`;
    return `The gateway of ${where} has the data key "${first}", but seals with "${ids[0]}".`;
  });
  throw new CommandError(
    `${lines.join('\n')}\nNothing was sealed anew. Give every process the key as a further one of DATA_KEY first, then as the first, then run this again.`,
  );
}

/** Two at once could each make a key, and one of them be lost. Throws where another goes on for long. */
async function alone({ redis, prefix }: Opened, act: () => Promise<void>): Promise<void> {
  const key = `${prefix}:data-key-rotation`;
  const claim = randomUUID();
  for (const end = Date.now() + CLAIM_MS + 2_000; ; await delay(250)) {
    if ((await redis.set(key, claim, 'PX', CLAIM_MS, 'NX')) === 'OK') break;
    if (Date.now() > end) throw new CommandError('Another `data-key rotate` is under way: let it finish.');
  }
  const timer = setInterval(() => void redis.pexpire(key, CLAIM_MS).catch(() => {}), CLAIM_MS / 4);
  try {
    await act();
  } finally {
    clearInterval(timer);
    if ((await redis.get(key)) === claim) await redis.del(key);
  }
}
