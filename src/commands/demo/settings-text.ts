/** The demo's settings file, as it would stand in universal-logout.yaml. */

export type Addresses = {
  publicUrl: string;
  issuer: string;
  jwksUri: string;
  /** The app at the stand-in Okta under which the gateway's endpoint is registered. */
  client: string;
  wiki: { url: string; clientId: string };
  shop: { url: string };
};

export function settingsText({ publicUrl, issuer, jwksUri, client, wiki, shop }: Addresses): string {
  return `publicUrl: ${publicUrl}
outbound:
  allowNetworks: [127.0.0.0/8]        # the demo's apps are on this machine
tenants:
  - id: default
    trusts:
      - id: okta
        issuers: [${issuer}]
        client: ${client}
        keys: { jwksUri: "${jwksUri}" }
    scim: { tokens: ["\${SCIM_TOKEN}"] }   # Okta provisions the people; secrets are in the environment
    apps:
      - id: wiki
        connector: oidc-backchannel-logout
        account: externalId           # the person's id at Okta, the sub of the ID tokens
        options:
          url: ${wiki.url}
          clientId: ${wiki.clientId}
          issuer: ${issuer}
      - id: shop
        connector: webhook
        account: email
        options:
          url: ${shop.url}
          secret: "\${SHOP_SECRET}"
`;
}
