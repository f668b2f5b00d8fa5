/** The demo's gateway: started as `serve` starts it, from settings text instead of a file. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Config, ConfigError, parseSettings } from '../../config.js';
import { listen, openGateway } from '../../gateway.js';

const READY_WITHIN_MS = 10_000;
const ASK_EVERY_MS = 10;
const HOST = '127.0.0.1';

export type DemoGateway = Awaited<ReturnType<typeof startGateway>>;

/** Resolves when `/readyz` does; its Redis is a private one in `dataDir`. */
export async function startGateway(options: {
  settings: string;
  secrets: Record<string, string>;
  port: number;
  dataDir: string;
  adminToken: string;
}) {
  const { port, dataDir, adminToken } = options;
  const configFile = 'universal-logout.yaml';
  const problems: string[] = [];
  const settings = parseSettings(options.settings, configFile, options.secrets, problems);
  if (!settings) throw new ConfigError(problems);
  const config: Config = {
    port,
    host: HOST,
    redisUrl: undefined,
    redisWaitReplicas: 0,
    configFile,
    dataDir,
    adminToken,
    dataKeys: [],
    logLevel: 'warn',
    otlpEndpoint: undefined,
    settings,
  };

  const gateway = await openGateway(config);
  const url = `http://${HOST}:${port}`;
  let server: Awaited<ReturnType<typeof listen>> | undefined;
  async function close(): Promise<void> {
    await server?.close();
    await gateway.close();
  }
  try {
    server = await listen(gateway.app, config);
    await untilReady(url);
  } catch (error) {
    await close();
    throw error;
  }
  return { url, adminToken, close };
}

async function untilReady(url: string): Promise<void> {
  for (const end = Date.now() + READY_WITHIN_MS; ; await delay(ASK_EVERY_MS)) {
    if ((await fetch(`${url}/readyz`)).ok) return;
    if (Date.now() > end) throw new Error(`The gateway at ${url} does not become ready.`);
  }
}
