/** All checks, much of it at once, in the order in which their problems are to be mended. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NO_TENANT } from '../../audit.js';
import { type Config, ConfigError, type ProcessConfig, readConfig, readProcessConfig } from '../../config.js';
import { ConnectorError } from '../../connectors/connector.js';
import { createDataKeys } from '../../data-key.js';
import { createDirectory, type Directory } from '../../directory/directory.js';
import { ALERTS_QUEUE } from '../../fanout/alert.js';
import { eventsQueue } from '../../fanout/events.js';
import { createLanes, type Lanes } from '../../fanout/lanes.js';
import { createOutbound } from '../../outbound/outbound.js';
import { loadSigningKeys, type SigningKeys } from '../../outbound/signing-keys.js';
import type { RedisClient } from '../../redis.js';
import type { Settings, TenantSettings } from '../../settings.js';
import { createTurns } from '../users/turns.js';
import { tenantNamed } from '../users/with-directory.js';
import { PREFIX } from '../with-redis.js';
import { type AppCheckContext, checkAssigned, checkConnector, checkLane } from './apps.js';
import { checkAuditTrail } from './audit-trail.js';
import { aheadOf, checkClock, watchDates } from './clock.js';
import { checkDataKeys } from './data-keys.js';
import { checkDirectory, type People, readPeople } from './directory.js';
import { examine, type Finding, notChecked } from './finding.js';
import { checkProcesses, checkPublicUrl, checkSignIn } from './gateway.js';
import { checkIntake, checkReceiver } from './queues.js';
import { checkRedis, openRedis } from './redis.js';
import { checkFiles, checkSettings, mistakes } from './settings.js';
import { checkTrust } from './trusts.js';

const CONNECTORS_AT_ONCE = 8;
const CONNECTORS_WITHIN_MS = 60_000;

type Found = Promise<Finding[]>;
type Look<T> = (check: string, look: (stored: T) => Promise<Finding | Finding[]>) => Found;
type Stored = { redis: RedisClient; directory: Directory; lanes: Lanes };

/** Of the tenant `only`, where one is named. Throws a CommandError where there is no such tenant. */
export async function examineAll(only: string | undefined, onLooked: (count: number, of: number) => void): Found {
  const { own, config, problems } = readSettings();
  const tenants = config ? (only === undefined ? config.settings.tenants : [tenantNamed(only, config)]) : [];
  const settings = config ? checkSettings(config, tenants) : mistakes(problems);
  const files = await examine('files', async () => (own ? checkFiles(own) : []));

  let redis: RedisClient | undefined;
  let close = async () => {};
  const opening = await examine('redis', async () => {
    if (!own) return notChecked('redis', 'the environment has mistakes');
    const opened = await openRedis(own);
    if ('state' in opened) return opened;
    ({ redis, close } = opened);
    return await checkRedis(redis, own.redisWaitReplicas);
  });
  const first = [...settings, ...files, ...opening];
  try {
    if (!config) return [...first, notChecked('everything else', 'the settings have mistakes')];
    let [begun, looked] = [0, 0];
    const look: Look<void> = async (check, act) => {
      begun++;
      const found = await examine(check, act);
      onLooked(++looked, begun);
      return found;
    };
    return [...first, ...(await examineParts(config, tenants, redis, look))];
  } finally {
    await close();
  }
}

/** `own` is what the process is told by its environment, undefined where that has mistakes. */
function readSettings(): { own?: ProcessConfig; config?: Config; problems: readonly string[] } {
  try {
    const config = readConfig();
    return { own: config, config, problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const ofProcess: string[] = [];
    const own = readProcessConfig(process.env, ofProcess);
    return { problems: error.problems, ...(ofProcess.length === 0 && { own }) };
  }
}

async function examineParts(
  config: Config,
  tenants: readonly TenantSettings[],
  redis: RedisClient | undefined,
  look: Look<void>,
): Found {
  const { settings, dataDir } = config;
  const { publicUrl } = settings;
  const { oidc } = settings.operators;
  const outbound = createOutbound(settings.outbound);
  const dates = watchDates(outbound.send);
  const signingKeys = await signingKeysIn(dataDir);
  const stored = redis && openStored(redis, settings.assignmentGrace);
  const ids = tenants.map(({ id }) => id);
  const lookIn: Look<Stored> = (check, act) =>
    look(check, async () => (stored ? await act(stored) : notChecked(check, 'Redis does not answer')));

  const reading = new Map<string, Promise<People>>();
  const peopleOf = (directory: Directory, tenant: string): Promise<People> => {
    const people = reading.get(tenant) ?? readPeople(directory, tenant);
    reading.set(tenant, people);
    return people;
  };

  const keys = Promise.all(
    tenants.flatMap(({ id, trusts }) =>
      trusts
        .filter(({ enabled }) => enabled)
        .map((trust) => look(`keys ${id}/${trust.id}`, () => checkTrust(id, trust, dates.send))),
    ),
  );
  try {
    const parts = [
      lookIn('gateways', ({ redis }) => checkProcesses(redis, PREFIX, config)),
      lookIn('intake', ({ redis }) => checkIntake(redis, PREFIX, settings.alerts.overdueAfter)),
      lookIn('data keys', ({ redis }) => checkDataKeys(config, redis, PREFIX)),
      look('public URL', () => checkPublicUrl(publicUrl, ids, signingKeys)),
      ...(oidc ? [look('operators', () => checkSignIn(oidc, { send: outbound.send, publicUrl }))] : []),
      lookIn('clock', async ({ redis }) => checkClock('Redis', await aheadOf(redis))),
      keys.then(() => [...dates.ahead].map(([host, ahead]) => checkClock(host, ahead))),
      keys.then((found) => found.flat()),
      ...tenants.map((tenant) =>
        lookIn(`directory ${tenant.id}`, async ({ directory }) =>
          checkDirectory(tenant, directory, await peopleOf(directory, tenant.id)),
        ),
      ),
      examineApps(
        tenants,
        { publicUrl, now: () => new Date(), send: outbound.send, reach: outbound.reach, signingKeys },
        { look, lookIn, peopleOf, overdueAfterMs: settings.alerts.overdueAfter },
      ),
      ...receiversOf(settings.alerts, tenants).map(({ check, ...place }) =>
        lookIn(check, ({ redis }) => checkReceiver(check, { ...place, redis, prefix: PREFIX, reach: outbound.reach })),
      ),
      lookIn('audit trail', ({ redis }) =>
        checkAuditTrail({ redis, prefix: PREFIX, tenants: [...ids, NO_TENANT], dataDir }),
      ),
    ];
    return (await Promise.all(parts)).flat();
  } finally {
    await stored?.lanes.close();
    await outbound.close();
  }
}

function openStored(redis: RedisClient, graceMs: number): Stored {
  const now = Date.now;
  return {
    redis,
    directory: createDirectory(redis, PREFIX, { graceMs, now }),
    // Jobs are counted, and not opened.
    lanes: createLanes(redis, { prefix: PREFIX, now, dataKeys: createDataKeys([]), reads: 'only' }),
  };
}

/** Who is told of what fails, and of what is over. */
function receiversOf({ webhook }: Settings['alerts'], tenants: readonly TenantSettings[]) {
  const alerts = webhook ? [{ check: 'alerts', url: webhook.url, name: ALERTS_QUEUE }] : [];
  const events = tenants.flatMap(({ id: tenant, events }) =>
    events.map((receiver) => ({
      check: `events ${tenant}/${receiver.id}`,
      url: ('webhook' in receiver ? receiver.webhook : receiver.caep).url,
      name: eventsQueue({ tenant, id: receiver.id }),
    })),
  );
  return [...alerts, ...events];
}

type Looks = {
  look: Look<void>;
  lookIn: Look<Stored>;
  peopleOf: (directory: Directory, tenant: string) => Promise<People>;
  overdueAfterMs: number;
};

/** A few at once, and for a limited time. */
async function examineApps(tenants: readonly TenantSettings[], context: AppCheckContext, looks: Looks): Found {
  const { look, lookIn, peopleOf, overdueAfterMs } = looks;
  const turns = createTurns(CONNECTORS_AT_ONCE);
  const over = performance.now() + CONNECTORS_WITHIN_MS;
  const apps = tenants.flatMap(({ id: tenant, apps }) =>
    apps.map((app) => ({ tenant, app, name: `${tenant}/${app.id}` })),
  );
  const found = apps.map((): Finding[][] => []);
  for (const [index, { tenant, app, name }] of apps.entries()) {
    await turns.take([], async () => {
      found[index]?.push(
        await look(`app ${name}`, async () => {
          if (performance.now() > over) return notChecked(`app ${name}`, 'others took all the time');
          return await checkConnector(tenant, app, context);
        }),
        await lookIn(`assigned ${name}`, async ({ directory }) =>
          checkAssigned(tenant, app, await peopleOf(directory, tenant), directory),
        ),
        await lookIn(`queue ${name}`, ({ lanes, redis }) =>
          checkLane({ tenant, app: app.id, overdueAfterMs }, { lanes, redis, prefix: PREFIX }),
        ),
      );
    });
  }
  await turns.finish();
  return found.flat(2);
}

/** Without making any: reading the file makes it. What is wrong with it is said where the audit trail is looked at. */
async function signingKeysIn(dataDir: string): Promise<SigningKeys> {
  const file = join(dataDir, 'signing-keys.json');
  const none: SigningKeys = {
    jwks: { keys: [] },
    sign: async () => {
      throw new ConnectorError('auth', `there is no ${file} to sign with`);
    },
  };
  return existsSync(file) ? await loadSigningKeys(file).catch(() => none) : none;
}
