// Writes packages/recordings/manifest.json: every recording with its SHA-256, a line each.
// Run by hand after recordings were added: `node tooling/recordings-manifest.mjs`.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../packages/recordings/', import.meta.url));
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.json.gz') && !file.includes('node_modules'))
  .map((file) => file.replaceAll('\\', '/'))
  .sort();
const recordings = files.map((file) => ({
  file,
  sha256: createHash('sha256')
    .update(readFileSync(join(folder, file)))
    .digest('hex'),
}));
const lines = recordings.map((recording) => `    ${JSON.stringify(recording)}`);
writeFileSync(
  join(folder, 'manifest.json'),
  `{\n  "recordings": [\n${lines.join(',\n')}\n  ]\n}\n`,
);
process.stdout.write(`${files.length} recordings\n`);
