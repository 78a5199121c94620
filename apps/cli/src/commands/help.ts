/** `pinfold help`: the help of the program or of a command, as `--help` prints it. */
import { Argument, type Command } from 'commander';
import { oneOf } from '../flags.ts';
import { throwUsageErrors } from '../usage-error.ts';

/**
 * Adds the command; after all others, which it has to know.
 *
 * @param program the program
 */
export function addHelp(program: Command): void {
  const names = program.commands.map((command) => command.name());
  const command = program
    .command('help')
    .summary('show the help of a command')
    .description('Prints what `pinfold --help` prints, or the help of a command.')
    .addArgument(
      new Argument('[command]', `one of ${names.join(', ')}`).argParser((text) =>
        oneOf(text, 'help', names),
      ),
    )
    .action((name?: string) => {
      const found = program.commands.find((one) => one.name() === name);
      (found ?? program).outputHelp();
    });
  throwUsageErrors(command);
}
