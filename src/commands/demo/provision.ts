/** A person assigned at Okta, who arrives in the gateway's directory through SCIM 2.0 (RFC 7644 §3.3). */
import type { OktaPerson } from './okta-login.js';

export async function provision(person: OktaPerson, gateway: { url: string; token: string }): Promise<void> {
  const response = await fetch(`${gateway.url}/scim/v2/Users`, {
    method: 'POST',
    headers: { 'content-type': 'application/scim+json', authorization: `Bearer ${gateway.token}` },
    body: JSON.stringify({
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
      userName: person.email,
      externalId: person.id,
      displayName: person.name,
      emails: [{ value: person.email, primary: true }],
      active: true,
    }),
  });
  if (response.status !== 201) throw new Error(`SCIM answered ${response.status}: ${await response.text()}`);
}
