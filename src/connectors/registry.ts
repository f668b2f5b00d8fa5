/** The connectors that a settings file can name. */
import type { Connector } from './connector.js';
import { globalTokenRevocation } from './global-token-revocation.js';
import { keycloak } from './keycloak.js';
import { oidcBackchannelLogout } from './oidc-backchannel-logout.js';
import { webhook } from './webhook.js';
import { zoom } from './zoom.js';

// Each connector has options of its own; the settings file's schema has matched them to the connector by name.
// biome-ignore lint/suspicious/noExplicitAny: see above.
export const registry: readonly Connector<any>[] = [
  globalTokenRevocation,
  keycloak,
  oidcBackchannelLogout,
  webhook,
  zoom,
];
