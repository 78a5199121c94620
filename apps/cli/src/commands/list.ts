/** `pinfold list`: what there is to choose from, read from the registries. */
import { backings, layouts, textStyle } from '@pinfold/bench';
import { scenarioOps } from '@pinfold/guest';
import { changesIn, kernelVersions, type Change, type KernelVersion } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { Argument, type Command } from 'commander';
import { oneOf } from '../flags.ts';
import { outputWidth, print } from '../output.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** Something to choose. */
interface Entry {
  readonly name: string;
  /** One line on what it is. */
  readonly summary: string;
  /** Of an operation: how it is written. */
  readonly usage?: string;
  /** Of an operation: whether the model has it. */
  readonly modelled?: boolean;
  /** Where it comes from. */
  readonly source?: string;
  /** Of a kernel: the point releases that were recorded. */
  readonly recorded?: readonly string[];
  /** Of a kernel: what holds in it, and did not in the release before it. */
  readonly changes?: readonly Change[];
  /** What is known to be wrong with it. */
  readonly defects?: readonly string[];
}

/** What can be listed. */
const lists = {
  algorithms: (): Entry[] =>
    pinAlgorithms.map(({ name, summary, source, defects }) => ({ name, summary, source, defects })),
  kernels: (): Entry[] =>
    kernelVersions.map((kernel) => ({
      ...{ name: kernel.series, summary: kernel.summary, recorded: kernel.recorded },
      ...{ changes: changesIn(kernel), source: sourceOf(kernel) },
    })),
  backings: (): Entry[] => backings.map(({ name, summary, source }) => ({ name, summary, source })),
  layouts: (): Entry[] =>
    Object.values(layouts).map(({ tag, summary, source, order }) => {
      const suited = backings.filter((backing) => backing.order === order);
      const names = suited.map(({ name }) => name).join(' or ');
      return { name: tag, summary: `${names}: ${summary}`, source };
    }),
  operations: (): Entry[] => [...scenarioOps],
} satisfies Readonly<Record<string, () => Entry[]>>;

type ListName = keyof typeof lists;

const names = Object.keys(lists) as ListName[];

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addList(program: Command): void {
  const command = program
    .command('list')
    .summary('say what there is: pin algorithms, kernels, backings, layouts, operations')
    .description(
      'Lists what the other commands let you choose from, with what each is and where it comes ' +
        'from, and the operations of the scenario language, with their arguments.',
    )
    .addArgument(
      new Argument('<what>', `one of ${names.join(', ')}`).argParser((text) =>
        oneOf(text, 'list', names),
      ),
    )
    .option('--json', 'print it as JSON')
    .action((what: ListName, flags: { readonly json?: boolean }) => {
      const entries = lists[what]();
      print(
        flags.json ? `${JSON.stringify({ [what]: entries }, null, 2)}\n` : entriesText(entries),
      );
    });
  throwUsageErrors(command);
}

/** The sources of what has changed with a release, each once. */
function sourceOf(kernel: KernelVersion): string {
  const sources = changesIn(kernel).flatMap(({ source }) => source.split('; '));
  const recorded = kernel.recorded.map((release) => `recordings of ${release}`);
  return [...new Set(sources.length > 0 ? sources : recorded)].join('; ');
}

function entriesText(entries: readonly Entry[]): string {
  const notes = entries.map((entry) => ({ label: entry.name, text: entryLines(entry).join('\n') }));
  return textStyle(outputWidth()).notes(notes);
}

/** What is said of an entry, beside its name. */
function entryLines({
  name,
  summary,
  usage = '',
  modelled,
  source,
  recorded,
  changes = [],
  defects = [],
}: Entry): string[] {
  const args = usage.slice(name.length).trim();
  return [
    ...(args === '' ? [] : [args]),
    `${summary}${modelled === false ? ' (not modelled)' : ''}`,
    ...(recorded === undefined ? [] : [recordedText(recorded)]),
    ...changes.map((change) => `- ${changeText(change, name)}`),
    ...(source === undefined ? [] : [`from: ${source}`]),
    ...defects.map((defect) => `known to be wrong: ${defect}`),
  ];
}

function recordedText(recorded: readonly string[]): string {
  return recorded.length === 0
    ? 'not recorded: by the sources'
    : `recorded: ${recorded.join(', ')}`;
}

/** What has changed, and since when if a release that is not modelled has changed it. */
function changeText({ since, what }: Change, series: string): string {
  return since === null || since === series ? what : `${what} (since ${since})`;
}
