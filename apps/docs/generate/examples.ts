// Copies the examples to where the pages' commands run: these write files too, which must not
// come among the inputs of the build.
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const target = join(import.meta.dirname, '../generated/examples');

rmSync(target, { recursive: true, force: true });
cpSync(join(import.meta.dirname, '../examples'), target, { recursive: true });
