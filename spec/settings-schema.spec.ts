/** The JSON Schema of the settings file, with which an editor finds mistakes while they are made. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { registry } from '../src/connectors/registry.js';
import { settingsJsonSchema } from '../src/settings.js';
import { app, CONTRACT, tenantWith, topWith, withApp, withTrust } from './support/settings.js';

describe('the JSON Schema for editors', () => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
  addFormats.default(ajv);
  const schema = settingsJsonSchema(registry);
  const accepts = (settings: unknown) => ajv.validate(schema, settings);

  it('is one, and accepts the example as it stands in the file, with its variables', () => {
    expect(ajv.validateSchema(schema)).toBe(true);
    expect(accepts(parse(CONTRACT))).toBe(true);
    expect(ajv.errors).toBeNull();
    expect(accepts(parse(topWith({})))).toBe(true);
  });

  it.each<[string, string]>([
    ['an unknown setting', topWith({ tenant: [] })],
    ['an unknown setting of a trust', withTrust({ client_id: 'x' })],
    ['an unknown option of a connector', withApp({ options: { ...app.options, retries: 3 } })],
    ['no publicUrl', 'tenants: [{ id: default }]'],
    ['an unknown connector', withApp({ connector: 'pigeon' })],
    ['an algorithm of the HMAC family', withTrust({ algorithms: ['HS256'] })],
    ['two sources of keys', withTrust({ keys: { discovery: 'https://a.b', jwksUri: 'https://a.b' } })],
    ['a secret that cannot sign', withApp({ options: { ...app.options, secret: 'short' } })],
    ['an id with a space', tenantWith({ id: 'my tenant' })],
    ['a duration without unit', topWith({ retention: { audit: '400' } })],
  ])('refuses %s', (_what, text) => {
    expect(accepts(parse(text))).toBe(false);
  });

  it('describes the options of every connector', () => {
    for (const { name } of registry) expect(JSON.stringify(schema)).toContain(`"const":"${name}"`);
  });
});
