/** The connectors that a settings file can name. */
import { airtable } from './airtable.js';
import { auth0 } from './auth0.js';
import { authentik } from './authentik.js';
import { box } from './box.js';
import { caep } from './caep.js';
import { cerby } from './cerby.js';
import { clerk } from './clerk.js';
import { cloudflareAccess } from './cloudflare-access.js';
import { cognito } from './cognito.js';
import type { Connector } from './connector.js';
import { databricks } from './databricks.js';
import { discourse } from './discourse.js';
import { dropbox } from './dropbox.js';
import { fusionauth } from './fusionauth.js';
import { githubEnterprise } from './github-enterprise.js';
import { gitlab } from './gitlab.js';
import { globalTokenRevocation } from './global-token-revocation.js';
import { googleCloudWorkforce } from './google-cloud-workforce.js';
import { googleWorkspace } from './google-workspace.js';
import { grafana } from './grafana.js';
import { http } from './http.js';
import { kasm } from './kasm.js';
import { keycloak } from './keycloak.js';
import { linear } from './linear.js';
import { logto } from './logto.js';
import { mattermost } from './mattermost.js';
import { microsoftEntra } from './microsoft-entra.js';
import { miro } from './miro.js';
import { notion } from './notion.js';
import { oauthTokenRevocation } from './oauth-token-revocation.js';
import { oidcBackchannelLogout } from './oidc-backchannel-logout.js';
import { okta } from './okta.js';
import { onelogin } from './onelogin.js';
import { oryHydra } from './ory-hydra.js';
import { oryKratos } from './ory-kratos.js';
import { pagerduty } from './pagerduty.js';
import { rocketChat } from './rocket-chat.js';
import { salesforce } from './salesforce.js';
import { scimDeactivate } from './scim-deactivate.js';
import { slack } from './slack.js';
import { staffbase } from './staffbase.js';
import { webhook } from './webhook.js';
import { workos } from './workos.js';
import { zendesk } from './zendesk.js';
import { zoom } from './zoom.js';

// Each connector has options of its own; the settings file's schema has matched them to the connector by name.
// biome-ignore lint/suspicious/noExplicitAny: see above.
export const registry: readonly Connector<any>[] = [
  airtable,
  auth0,
  authentik,
  box,
  caep,
  cerby,
  clerk,
  cloudflareAccess,
  cognito,
  databricks,
  discourse,
  dropbox,
  fusionauth,
  githubEnterprise,
  gitlab,
  globalTokenRevocation,
  googleCloudWorkforce,
  googleWorkspace,
  grafana,
  http,
  kasm,
  keycloak,
  linear,
  logto,
  mattermost,
  microsoftEntra,
  miro,
  notion,
  oauthTokenRevocation,
  oidcBackchannelLogout,
  okta,
  onelogin,
  oryHydra,
  oryKratos,
  pagerduty,
  rocketChat,
  salesforce,
  scimDeactivate,
  slack,
  staffbase,
  webhook,
  workos,
  zendesk,
  zoom,
];
