/**
 * Verifies all recordings of a kernel and prints their sums as JSON:
 *
 *     node --conditions=@pinfold/source verify-kernel.ts 6.18.15
 */
import { modelMachineForPass, summarize, verifyRecording } from '../src/index.ts';
import { manifest, read } from './files.ts';

const kernel = process.argv[2] ?? '';
const files = manifest.recordings.filter(({ file }) => file.startsWith(`${kernel}/`));
const results = [];
for (const { file } of files) {
  results.push(await verifyRecording(await read(file), file, modelMachineForPass));
}
process.stdout.write(JSON.stringify(summarize(results)));
