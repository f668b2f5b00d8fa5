/** `universal-logout connectors new`: begins a connector in a checkout, with its spec and its place in the registry. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../command-error.js';
import { connectorText, registryText, specText } from './template.js';

export type NewOptions = { app?: string; url?: string };

const REGISTRY = 'src/connectors/registry.ts';

export function newConnector(name: string, { app = name, url = `https://api.${name}.example` }: NewOptions): void {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    throw new CommandError(`${name} is no name for a connector: lower-case words joined by hyphens, such as acme-crm.`);
  }
  if (!URL.canParse(url) || !url.startsWith('https:')) throw new CommandError('--url is not an https URL.');
  const at = (file: string) => join(process.cwd(), file);
  if (!existsSync(at(REGISTRY))) {
    throw new CommandError(`There is no ${REGISTRY} here: run this in a checkout of the project.`);
  }
  const files = {
    [`src/connectors/${name}.ts`]: connectorText({ name, app, url }),
    [`spec/connectors/${name}.spec.ts`]: specText({ name, app }),
  };
  for (const file of Object.keys(files)) {
    if (existsSync(at(file))) throw new CommandError(`${file} is there already.`);
  }
  for (const [file, text] of Object.entries(files)) writeFileSync(at(file), text);
  const names = [...readFileSync(at(REGISTRY), 'utf8').matchAll(/from '\.\/([\w-]+)\.js';/g)].map((match) => match[1]);
  const connectors = names.filter((one): one is string => one !== undefined && one !== 'connector');
  writeFileSync(at(REGISTRY), registryText([...connectors, name]));

  console.log(`Wrote ${Object.keys(files).join(' and ')}, and registered the connector.

1. TODO marks what the vendor's page has to fill in, in both files. docs/connectors.md says how.
2. NODE_OPTIONS=--experimental-vm-modules npx jest spec/connectors/${name}.spec.ts
   until it is green; then break the connector, and see it go red.
3. Add a row under "Which one for which app" in docs/connectors.md, then
   UPDATE_DOCS=1 npm test -- spec/connectors/docs.spec.ts   writes its section.
4. npm run check
5. With the real app in universal-logout.yaml:
   npx universal-logout connectors try ${name}                        checks, and changes nothing
   npx universal-logout connectors try ${name} --user NAME --yes      logs that user out for real`);
}
