/** What the gateway says of itself: authorization server metadata (RFC 8414) and its public keys. */
import { Router } from 'express';
import type { SigningKeys } from '../outbound/signing-keys.js';
import { RequestError } from '../request-error.js';
import type { Settings } from '../settings.js';
import { endpoints } from './trust.js';

export function createMetadataRouter(settings: Settings, signingKeys: SigningKeys): Router {
  const { publicUrl } = settings;
  const tenants = new Set(settings.tenants.map(({ id }) => id));
  const router = Router();

  const metadata = (issuer: string, tenant: string) => ({
    issuer,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: [],
    global_token_revocation_endpoint: endpoints(publicUrl, tenant)[0],
    // Only names registered with IANA may stand here (GTR-19): Okta's own `typ` is none.
    global_token_revocation_endpoint_auth_methods_supported: ['private_key_jwt'],
  });

  router.get('/.well-known/oauth-authorization-server', (_req, res) => {
    if (!tenants.has('default')) throw notFound();
    res.json(metadata(publicUrl, 'default'));
  });
  router.get('/.well-known/oauth-authorization-server/tenants/:tenant', (req, res) => {
    const { tenant } = req.params;
    if (!tenants.has(tenant)) throw notFound();
    res.json(metadata(`${publicUrl}/tenants/${tenant}`, tenant));
  });
  router.get('/.well-known/jwks.json', (_req, res) => {
    res.set('cache-control', 'public, max-age=600').json(signingKeys.jwks);
  });
  return router;
}

function notFound(): RequestError {
  return new RequestError(404, 'not_found', 'There is nothing here.');
}
