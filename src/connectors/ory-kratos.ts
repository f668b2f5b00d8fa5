/** Ends a person's sessions at Ory Kratos, or at Ory Identities of the Ory Network. */
import { z } from 'zod';
import { identifier, isSame } from './account.js';
import { bearer, createApi, path } from './api.js';
import { apiUrl, type CheckCall, ConnectorError, defineConnector, NONE, secret, unlessNotFound } from './connector.js';
import { withUserId } from './look-up.js';
import { saying } from './request.js';
import { expectNone, hasEnded } from './rounds.js';

const options = z.strictObject({
  url: apiUrl.describe('The admin API: https://{slug}.projects.oryapis.com, or where your own Kratos serves it.'),
  token: secret()
    .optional()
    .describe('An API key of the project, or whatever bearer token stands before the admin API.'),
});
type Options = z.output<typeof options>;

const address = z.object({ value: z.string() });
const identities = z.array(
  z.object({
    id: z.uuid(),
    traits: z.unknown(),
    verifiable_addresses: z.array(address).nullish(),
    recovery_addresses: z.array(address).nullish(),
  }),
);
type Identity = z.output<typeof identities>[number];
const sessions = z.array(z.unknown());

export const oryKratos = defineConnector({
  name: 'ory-kratos',
  options,
  account: identifier,
  modes: ['full'],
  identityProvider: true,
  docs: {
    app: 'Ory Kratos (Ory Identities)',
    coverage: 'full',
    does: 'Finds the identity by the identifier of a credential (e-mail address, user name or phone number), exactly, which also has to be among its traits or addresses; `DELETE /admin/identities/{id}/sessions` deletes its sessions, of which none may be active in the list that is read then. The account may be the id of the identity, too, where nobody has it as an identifier.',
    ends: ['sessions'],
    livesOn: 'Tokens that Ory Hydra (Ory OAuth2) gave, for which `ory-hydra` is, and JWTs made of a session.',
    lingers: 'Until the next question about the session; where a JWT was made of one, as long as the JWT is good.',
    permission: 'An API key of the project has every right in it; the admin API of a Kratos of your own asks for none.',
    credential: [
      'Ory Network: in the console of the project, Project settings, API keys, make one and set it as `token`.',
      'Kratos of your own: let the gateway reach the admin port; set `token` only if a proxy before it wants one.',
    ],
    rateLimit:
      'Ory Network: by plan and by group of calls, 429 with `x-ratelimit-reset` beyond; Kratos itself has none.',
    unknown: [
      'Whether an identifier that came from an OpenID provider is ever asked for in the form that it has there.',
    ],
    sources: [
      'https://www.ory.com/docs/reference/api#tag/identity/operation/deleteIdentitySessions',
      'https://www.ory.com/docs/reference/api#tag/identity/operation/listIdentitySessions',
      'https://www.ory.com/docs/reference/api#tag/identity/operation/listIdentities',
      'https://github.com/ory/kratos/blob/master/session/handler.go',
    ],
  },

  async revoke(account, options, call) {
    const api = apiOf(options, call);

    async function find(): Promise<string[]> {
      const { data } = await api('GET', path`/admin/identities`, {
        query: { credentials_identifier: account },
        answer: identities,
      });
      // The identifier of a credential may look like the id of an identity.
      if (data.length === 0 && z.uuid().safeParse(account).success) return [account];
      const ids = data
        .filter((identity) => namesOf(identity).some((name) => isSame(name, account)))
        .map(({ id }) => id);
      // It is somebody's identifier, but nothing that can be read says so: not to be taken for nobody.
      if (data.length > 0 && ids.length === 0) {
        throw new ConnectorError(
          'refused',
          'ory-kratos: the identity found does not have the account among its traits',
        );
      }
      return ids;
    }

    return withUserId({ connector: 'ory-kratos', options, account }, find, async (id) => {
      // The 404 says that there was no session: https://github.com/ory/kratos/blob/master/persistence/sql/persister_session.go
      const ended = await unlessNotFound(
        api('DELETE', path`/admin/identities/${id}/sessions`, { exceptions: { 404: NO_SESSION } }),
      );
      // Of an id that was not looked up it may as well say that there is no such identity.
      if (!ended && (id === account || !hasEnded(0, call))) return NONE;
      const left = await api('GET', path`/admin/identities/${id}/sessions`, {
        query: { active: 'true' },
        answer: sessions,
      });
      expectNone('ory-kratos: GET of the sessions after their end', left.data);
      return { state: 'revoked', what: ['sessions'], verified: true };
    });
  },

  async check(options, call) {
    await apiOf(options, call)('GET', path`/admin/identities`, { query: { page_size: '1' }, answer: identities });
    return { ok: true, detail: 'identities can be read, by which right their sessions can be deleted too' };
  },
});

const NO_SESSION = saying(/Unable to locate the resource/, 'not_found', 'refused');

/** Traits have the form that the identity's schema gives them. */
function namesOf({ traits, verifiable_addresses, recovery_addresses }: Identity): string[] {
  const strings = (value: unknown): string[] => {
    if (typeof value === 'string') return [value];
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
  };
  return [...strings(traits), ...strings(verifiable_addresses), ...strings(recovery_addresses)];
}

function apiOf({ url, token }: Options, call: CheckCall) {
  const authorize = token ? bearer(token) : async () => ({ headers: {} });
  return createApi('ory-kratos', { url, authorize, exceptions: { 404: 'refused' } }, call);
}
