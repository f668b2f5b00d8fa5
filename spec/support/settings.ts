/** Settings files as texts: the contract's own example, and small ones with one thing in them that a spec is about. */
import { stringify } from 'yaml';

/** Long enough to sign with. */
export const SECRET = `whsec_${Buffer.alloc(24, 'settings').toString('base64')}`;

// The contract's own example, word for word.
export const CONTRACT = `publicUrl: https://logout.example.com          # audiences come from here, never from Host or X-Forwarded-*; http only for a loopback address
outbound:
  allowNetworks: []                            # private ranges are refused unless listed, e.g. 10.1.0.0/16; plain http only to listed ones (issuers, keys and apps alike)
limits: { refusedPerMinute: 600, acceptedPerMinute: 6000, bodyKb: 16 }   # refused per source address, accepted per trust; beyond: 429
tenants:
  - id: default
    trusts:                                    # who may ask
      - id: okta
        issuers: [https://acme.okta.com, https://login.acme.com]   # a set: Okta can switch between org URL and custom domain
        client: 0oa1example                    # the JWT's sub: OIDC client id or SAML app instance id
        keys:                                  # one of
          jwksUri: https://acme.okta.com/oauth2/v1/keys?client_id=0oa1example   # the parameter adds app-pinned keys
          # discovery: https://acme.okta.com    # OpenID discovery
          # jwks: { keys: [...] }               # inline
          # certificates: [./okta.pem]          # SAML signing certificates, several for rollover, no kid needed
        algorithms: [RS256]                    # none and HS* cannot be enabled
        audiences: []                          # default: this tenant's endpoint URLs
        subjectIssuers: []                     # default: issuers
        identifiers: [externalId, userName]    # what an iss_sub / opaque value may name in the directory, in this order
        acceptLegacySubject: true              # the older body member \`subject\`
        mode: full                             # or refresh-only (Okta's "partial support")
        enabled: true
    scim: { tokens: [ "\${SCIM_TOKEN}" ] }
    apps:
      - id: intranet
        connector: webhook                     # a name from the registry
        assignedTo: everyone                   # or { groups: [Engineering] }
        account: email                         # which identifier the app knows its users by (default email)
        options: { url: https://intranet.example.com/logout, secret: "\${INTRANET_SECRET}" }
        delivery: { concurrency: 10, ratePerSecond: 50, timeoutMs: 10000, retryFor: 72h, priority: 1 }
alerts: { webhook: { url: https://hooks.example.com/x, secret: "\${ALERT_SECRET}" } }
operators: { oidc: { issuer: https://acme.okta.com, clientId: 0oa9, clientSecret: "\${OIDC_SECRET}", groups: [SecOps] } }
retention: { revocations: 90d, audit: 400d }
`;

export const contractEnv = {
  SCIM_TOKEN: 'a-scim-token-of-the-specs',
  INTRANET_SECRET: SECRET,
  ALERT_SECRET: SECRET,
  OIDC_SECRET: 'a-client-secret',
};

export const trust = {
  id: 'okta',
  issuers: ['https://acme.okta.com'],
  client: '0oa1',
  keys: { discovery: 'https://acme.okta.com' },
};
export const app = {
  id: 'intranet',
  connector: 'webhook',
  options: { url: 'https://intranet.example.com', secret: SECRET },
};

/** Settings that are good but for what is put into the one trust, the one app, the tenant, or the top. */
export const withTrust = (over: object) => tenantWith({ trusts: [{ ...trust, ...over }] });
export const withApp = (over: object) => tenantWith({ apps: [{ ...app, ...over }] });
export const tenantWith = (over: object) =>
  topWith({ tenants: [{ id: 'default', trusts: [trust], apps: [app], ...over }] });
export const topWith = (over: object) =>
  stringify({ publicUrl: 'https://logout.example.com', tenants: [{ id: 'default' }], ...over });
