/** Starts everybody who takes part in the demo, each on the port that people remember, or on a free one. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { createBrowser } from './browser.js';
import { startGateway } from './gateway.js';
import { listenOnLoopback } from './listen.js';
import type { Narrator } from './narrator.js';
import { startOkta } from './okta.js';
import { ada, grace } from './people.js';
import { provision } from './provision.js';
import type { Device } from './sessions.js';
import { settingsText } from './settings-text.js';
import { startShop } from './shop.js';
import { startWiki } from './wiki.js';

const PORTS = { gateway: 3000, okta: 3001, wiki: 3002, shop: 3003 };
const GATEWAY_CLIENT = '0oa1gateway';

export type Parties = Awaited<ReturnType<typeof startParties>>;
export type Cleanup = (close: () => Promise<unknown>) => void;

/** `cleanup` hears of each thing to close as soon as it is there; the last one is to be closed first. */
export async function startParties({ step }: Narrator, cleanup: Cleanup) {
  // The gateway's address goes into the settings before it starts, so its port is held until then.
  const reserved = await listenOnLoopback(PORTS.gateway);
  cleanup(reserved.close);
  const gatewayJwks = async () =>
    (await (await fetch(`${reserved.url}/.well-known/jwks.json`)).json()) as { keys: JWK[] };

  const wikiClient = newClient('0oa2wiki');
  const shopClient = newClient('0oa3shop');
  const scimToken = randomBytes(24).toString('hex');
  const webhookSecret = `whsec_${randomBytes(24).toString('base64')}`;

  const okta = await step('a stand-in Okta (oidc-provider)', () =>
    startOkta({ port: PORTS.okta, apps: [], people: [ada, grace], gatewayJwks }),
  );
  cleanup(okta.close);
  const { issuer } = okta;
  const wiki = await step('a wiki (express-openid-connect), told by back-channel logout', () =>
    startWiki({ port: PORTS.wiki, issuer, ...wikiClient }),
  );
  cleanup(wiki.close);
  const shop = await step('a shop (better-auth), told by webhook', () =>
    startShop({ port: PORTS.shop, issuer, ...shopClient, webhookSecret }),
  );
  cleanup(shop.close);
  await okta.addApp({ ...wikiClient, redirectUris: [wiki.redirectUri] });
  await okta.addApp({ ...shopClient, redirectUris: [shop.redirectUri] });

  const settings = settingsText({
    publicUrl: reserved.url,
    issuer,
    jwksUri: okta.jwksUri,
    client: GATEWAY_CLIENT,
    wiki: { url: wiki.backchannelLogoutUrl, clientId: wikiClient.clientId },
    shop: { url: shop.webhookUrl },
  });
  const dataDir = await mkdtemp(join(tmpdir(), 'logout-demo-'));
  cleanup(() => rm(dataDir, { recursive: true, force: true }));
  const gateway = await step('the gateway, with a Redis of its own', async () => {
    await reserved.close();
    const adminToken = randomBytes(16).toString('hex');
    return startGateway({
      settings,
      secrets: { SHOP_SECRET: webhookSecret, SCIM_TOKEN: scimToken },
      port: reserved.port,
      dataDir,
      adminToken,
    });
  });
  cleanup(gateway.close);

  await step('Ada and Grace, provisioned by Okta through SCIM', async () => {
    for (const person of [ada, grace]) await provision(person, { url: gateway.url, token: scimToken });
  });

  const device = (person: typeof ada, name: string): Device => ({ person, name, browser: createBrowser() });
  return {
    okta,
    gateway,
    settings,
    client: GATEWAY_CLIENT,
    sites: [
      { name: 'wiki', url: wiki.url, loginUrl: wiki.loginUrl },
      { name: 'shop', url: shop.url, loginUrl: shop.loginUrl },
    ],
    devices: [device(ada, 'laptop'), device(ada, 'phone'), device(grace, 'laptop')],
    revoked: ada,
  };
}

function newClient(clientId: string) {
  return { clientId, clientSecret: randomBytes(32).toString('base64url') };
}
