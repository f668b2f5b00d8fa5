/** `universal-logout serve`: runs the gateway until it is told to stop. */
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../config.js';
import { listen, openGateway, type Role } from '../gateway.js';
import { whyOutOfReach } from '../operator/places.js';
import { CommandError } from './command-error.js';

const STOP_WITHIN_MS = 9_500;
/** Nothing was accepted yet. */
const GIVE_UP_WITHIN_MS = 1_000;

export async function serve({ role }: { role?: string }): Promise<void> {
  if (role !== undefined && role !== 'api' && role !== 'worker') {
    throw new CommandError(`--role is api or worker, not ${role}.`);
  }
  const config = readConfig();
  const roles: Role[] = role ? [role] : ['api', 'worker'];
  const gateway = await openGateway(config, { roles });
  // A worker listens too: probes and metrics are asked of every process.
  const server = await listen(gateway.app, config).catch(async (error: Error & { code?: string }) => {
    // Workers may wait for a Redis that is away without end, and the reason is to be told all the same.
    await Promise.race([gateway.close(), delay(GIVE_UP_WITHIN_MS, undefined, { ref: false })]);
    throw whyNotListening(error, config);
  });
  // Before anybody is told that it listens: whoever hears that may stop it at once.
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    gateway.logger.info({ signal }, 'stopping');
    // Whatever hangs, the process ends in time: what it had not finished another worker takes up.
    setTimeout(() => process.exit(0), STOP_WITHIN_MS).unref();
    await gateway.close(server.close());
    gateway.logger.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));

  const tenants = config.settings.tenants.map(({ id, trusts, apps }) => ({
    tenant: id,
    trusts: trusts.length,
    apps: apps.length,
  }));
  gateway.logger.info({ host: config.host, port: server.port, roles, tenants }, 'listening');

  if (gateway.dataKeys.ids().length === 0) {
    gateway.logger.warn(
      'job data in Redis is not encrypted: set DATA_KEY to what `universal-logout data-key new` prints, the same in every process',
    );
  }
  const outOfReach = whyOutOfReach(config.settings);
  if (outOfReach !== undefined) gateway.logger.warn(outOfReach);
}

/** The error itself where no sentence would say more. */
export function whyNotListening<E extends { code?: string }>(
  error: E,
  { host, port }: { host: string; port: number },
): CommandError | E {
  switch (error.code) {
    case 'EADDRINUSE':
      return new CommandError(`Port ${port} on ${host} is taken: stop what listens there, or set PORT.`);
    case 'EADDRNOTAVAIL':
      return new CommandError(
        `HOST ${host} is no address of this machine: use one of its own, 127.0.0.1, or 0.0.0.0 for all of them.`,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CommandError(
        `HOST ${host} is a name without an address: use an address of this machine, such as 127.0.0.1.`,
      );
    case 'EACCES':
      return new CommandError(
        `Port ${port} on ${host} is not for this user: set PORT to one above 1023, or run where it is allowed.`,
      );
    default:
      return error;
  }
}
