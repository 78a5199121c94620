/** Commander's errors in the shape of all others: the place, what is accepted there, what was found. */
import { InputError } from '@pinfold/base';
import type { Command, CommanderError } from 'commander';

/**
 * Makes a command throw what is wrong with its arguments as an InputError, and print nothing. What
 * ends with success, such as --help, still ends with a CommanderError.
 *
 * @param command the command
 */
export function throwUsageErrors(command: Command): void {
  command.configureOutput({ outputError: () => undefined }).exitOverride((error) => {
    throw error.exitCode === 0 ? error : asInputError(error, command);
  });
}

function asInputError(error: CommanderError, command: Command): InputError {
  const quoted = /'([^]*)'/.exec(error.message)?.[1] ?? '';
  const hint = hintOf(error);
  switch (error.code) {
    case 'commander.unknownOption':
      return new InputError(quoted, `one of ${flagsOf(command)}`, `an unknown option${hint}`);
    case 'commander.optionMissingArgument': {
      const option = command.options.find(({ flags }) => flags === quoted);
      return new InputError(option?.long ?? quoted, option?.description ?? 'a value', 'nothing');
    }
    case 'commander.missingArgument': {
      const argument = command.registeredArguments.find(({ required }) => required);
      return new InputError(command.name(), argument?.description ?? 'an argument', 'nothing');
    }
    case 'commander.excessArguments': {
      const places = command.registeredArguments;
      const accepted = [...places.map((place) => place.name()), flagsOf(command)].join(', ');
      return new InputError(command.name(), `only ${accepted}`, `'${command.args[places.length]}'`);
    }
    case 'commander.unknownCommand': {
      const names = command.commands.map((sub) => sub.name());
      return new InputError('command', `one of ${names.join(', ')}`, `'${quoted}'${hint}`);
    }
    default:
      return new InputError('command line', 'what --help shows', error.message);
  }
}

/** Commander's suggestion for a command or a flag that it does not know; empty if it has none. */
function hintOf({ message }: CommanderError): string {
  const [, similar] = /\(Did you mean (?:one of )?([^?]+)\?\)/.exec(message) ?? [];
  return similar === undefined ? '' : `; did you mean ${similar.split(', ').join(' or ')}?`;
}

/** The flags of a command, --help included. */
function flagsOf(command: Command): string {
  const options = command.createHelp().visibleOptions(command);
  return options.map(({ long }) => long).join(', ');
}
