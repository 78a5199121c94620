/** `pinfold new-algorithm`: a file to begin with. */
import { InputError } from '@pinfold/base';
import { contender } from '@pinfold/bench';
import {
  ALGORITHM_STEPS,
  ownAlgorithmTemplate,
  type PinAlgorithm,
  type StepName,
  type TemplateBase,
} from '@pinfold/vfio-type1';
import type { Command } from 'commander';
import { flag, forFlag, list, oneOf } from '../flags.ts';
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
        'does, in fifty lines. With --step, a patch: a file with these steps only, which is a ' +
        'difference against --from. `pinfold run --file` runs it.',
    )
    .argument('<name>', 'its name: letters, digits and -, such as my-algorithm')
    .option('-o, --output <file>', 'the file, or - for standard output; default <name>.ts')
    .addOption(
      flag(
        '--from <name>',
        'what it is a difference against: a release or a pin algorithm, such as 6.18',
        (text, place) => ({ name: text, algorithm: forFlag(place, text, contender).pinAlgorithm }),
      ),
    )
    .addOption(
      flag(
        '--step <list>',
        `the steps that it changes, a comma list of ${ALGORITHM_STEPS.join(',')}`,
        (text, place) => list(text, (item) => oneOf(item, place, ALGORITHM_STEPS)),
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold new-algorithm my-algorithm\n' +
        '  pinfold new-algorithm my-patch --from 6.18 --step nextUnmapRun\n' +
        '  pinfold run --file my-algorithm.ts slow-start.scn',
    )
    .action(write);
  throwUsageErrors(command);
}

/** The command's flags, read. */
interface NewFlags {
  readonly output?: string;
  readonly from?: { readonly name: string; readonly algorithm: PinAlgorithm };
  readonly step?: readonly StepName[];
}

/** What `--step` alone is a difference against. */
const FROM = '6.18';

function write(name: string, { output = `${name}.ts`, from, step }: NewFlags): void {
  if (!/^[a-z][a-z0-9-]{0,63}$/i.test(name))
    throw new InputError('name', 'letters, digits and -, a letter first', `'${name}'`);
  const text = ownAlgorithmTemplate(name, baseOf(from, step));
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

/** What the file begins with; without either flag, all that 6.18 does. */
function baseOf(from: NewFlags['from'], steps: NewFlags['step']): TemplateBase | undefined {
  if (!from && !steps) return undefined;
  const { name, algorithm } = from ?? { name: FROM, algorithm: contender(FROM).pinAlgorithm };
  return { base: name, algorithm, ...(steps && { steps }) };
}
