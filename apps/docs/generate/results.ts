// The figures of the pages under Results: what these commands print, as JSON.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resultCommands } from '../src/results/commands.ts';
import { pinfold } from './pinfold.ts';

const root = join(import.meta.dirname, '../../..');
const target = join(import.meta.dirname, '../generated');

mkdirSync(target, { recursive: true });
for (const [name, command] of Object.entries(resultCommands)) {
  const json = pinfold([...command.split(' ').slice(1), '--json'], root);
  writeFileSync(join(target, `${name}.json`), json);
}
