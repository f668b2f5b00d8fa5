/** `universal-logout config`: checks the settings, and prints their schema. */
import { readConfig } from '../config.js';
import { registry } from '../connectors/registry.js';
import { endpoints } from '../revocation/trust.js';
import { settingsJsonSchema } from '../settings.js';

/** Throws the ConfigError that lists every mistake. */
export function checkConfig(): void {
  const { configFile, settings } = readConfig();
  console.log(`${configFile} is good.`);
  for (const { id, trusts, apps } of settings.tenants) {
    console.log(`\nTenant ${id}: ${endpoints(settings.publicUrl, id)[0]}`);
    for (const trust of trusts) {
      console.log(
        `  trust ${trust.id}: ${trust.client} of ${trust.issuers.join(', ')}${trust.enabled ? '' : ' (disabled)'}`,
      );
    }
    for (const app of apps) {
      const who = app.assignedTo === 'everyone' ? 'everyone' : JSON.stringify(app.assignedTo);
      console.log(`  app ${app.id}: ${app.connector}, for ${who}, known by ${app.account}`);
    }
  }
}

export function printSchema(): void {
  console.log(JSON.stringify(settingsJsonSchema(registry), null, 2));
}
