/** `universal-logout init`: writes a commented settings file from flags or a few questions. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { ConfigError, parseSettings, readProcessConfig } from '../config.js';
import { CommandError } from './command-error.js';

export type InitOptions = { oktaDomain?: string; client?: string; publicUrl?: string; force?: boolean };

export async function init(options: InitOptions): Promise<void> {
  const problems: string[] = [];
  const { configFile } = readProcessConfig(process.env, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  if (existsSync(configFile) && !options.force) {
    throw new CommandError(`${configFile} is there already: --force replaces it.`);
  }
  const { oktaDomain, client, publicUrl } = await complete(options);
  const domain = oktaDomain
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .replace('-admin.okta', '.okta');
  const text = settingsFile({ domain, client, publicUrl: publicUrl.replace(/\/+$/, '') });
  if (!parseSettings(text, configFile, process.env, problems)) throw new ConfigError(problems);
  writeFileSync(configFile, text, { mode: 0o600 });
  console.log(`Wrote ${configFile}.

At Okta, on the app's page, under Logout:
  Logout endpoint URL   ${publicUrl.replace(/\/+$/, '')}/global-token-revocation
  Authentication        Signed JWT
  Subject format        Issuer and subject identifier, or Email

Next: add an app to the file, \`universal-logout users import FILE\`, then \`universal-logout serve\`.
What is amiss then: \`universal-logout doctor\`. The operators' pages: ${publicUrl.replace(/\/+$/, '')}/console
A secret for a webhook app: whsec_${randomBytes(24).toString('base64')}`);
}

async function complete(options: InitOptions) {
  const questions = [
    ['oktaDomain', '--okta-domain', 'Your Okta org (e.g. acme.okta.com): '],
    ['client', '--client', "The app's client id or app instance id at Okta (e.g. 0oa1example): "],
    ['publicUrl', '--public-url', 'The address under which Okta reaches this gateway (https://…): '],
  ] as const;
  const answers = { oktaDomain: '', client: '', publicUrl: '' };
  const missing = questions.filter(([name]) => !options[name]);
  if (missing.length > 0 && !process.stdin.isTTY) {
    throw new CommandError(`Nobody is there to ask: give ${missing.map(([, flag]) => flag).join(', ')}.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    for (const [name, , question] of questions) {
      answers[name] = options[name] ?? (await terminal.question(question)).trim();
    }
  } finally {
    terminal.close();
  }
  return answers;
}

function settingsFile({ domain, client, publicUrl }: { domain: string; client: string; publicUrl: string }): string {
  const quoted = (text: string) => JSON.stringify(text);
  return `# Settings of the universal logout gateway. \`universal-logout config check\` finds every mistake;
# \`universal-logout config schema\` prints a JSON Schema for your editor.
# \${NAME} is read from the environment, so that no secret has to stand here.

# Where callers reach the gateway. The JWT's audience is compared with this, never with what a request says.
publicUrl: ${quoted(publicUrl)}

outbound:
  # Private ranges are refused unless listed, e.g. 10.1.0.0/16; plain http goes only to listed ones.
  allowNetworks: []

tenants:
  - id: default
    trusts:
      - id: okta
        # Okta can switch between org URL and custom domain: list both where you have both.
        issuers: [${quoted(`https://${domain}`)}]
        # The app at Okta, never a user: OIDC client id, or SAML app instance id.
        client: ${quoted(client)}
        keys:
          # client_id adds the keys of an app that is pinned to a key of its own.
          jwksUri: ${quoted(`https://${domain}/oauth2/v1/keys?client_id=${encodeURIComponent(client)}`)}
    apps: []
      # - id: intranet
      #   connector: webhook
      #   assignedTo: everyone            # or { groups: [Engineering] }
      #   account: email                  # which identifier the app knows its users by
      #   options: { url: https://intranet.example.com/logout, secret: "\${INTRANET_SECRET}" }

# Who may sign in at /console, beside whoever has the ADMIN_TOKEN: people in one of these groups at the issuer.
# The app there is an OIDC web app with a groups claim, and the redirect URI ${publicUrl}/console/callback.
# operators:
#   oidc: { issuer: https://${domain}, clientId: 0oa9, clientSecret: "\${OIDC_SECRET}", groups: [SecOps] }
`;
}
