/** `pinfold new-algorithm`: a file to begin with. */
import { InputError } from '@pinfold/base';
import { ownAlgorithmTemplate } from '@pinfold/vfio-type1';
import type { Command } from 'commander';
import { print } from '../output.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { writeNewFile } from '../write-file.ts';

/** What stands for standard output, in place of a file. */
const STDOUT = '-';

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addNewAlgorithm(program: Command): void {
  const command = program
    .command('new-algorithm')
    .summary('write a file with a pin algorithm to change')
    .description(
      'Writes a TypeScript file with a pin algorithm of your own: to begin with, what Linux 6.18 ' +
        'does, in fifty lines. `pinfold run --file` runs it.',
    )
    .argument('<name>', 'its name: letters, digits and -, such as my-algorithm')
    .option('-o, --output <file>', 'the file, or - for standard output; default <name>.ts')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold new-algorithm my-algorithm\n' +
        '  pinfold run --file my-algorithm.ts slow-start.scn',
    )
    .action(write);
  throwUsageErrors(command);
}

function write(name: string, { output = `${name}.ts` }: { readonly output?: string }): void {
  if (!/^[a-z][a-z0-9-]{0,63}$/i.test(name))
    throw new InputError('name', 'letters, digits and -, a letter first', `'${name}'`);
  const text = ownAlgorithmTemplate(name);
  if (output === STDOUT) {
    print(text);
    return;
  }
  try {
    writeNewFile(output, text);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const got = exists ? 'one that exists' : error instanceof Error ? error.message : String(error);
    throw new InputError(output, 'a new file that can be written', got);
  }
  print(`${output}\n`);
}
