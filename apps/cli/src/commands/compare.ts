/** `pinfold compare`: the ablation table of pin algorithms. */
import { InputError, KernelBug, KernelError, ModelBug } from '@pinfold/base';
import {
  checkCompare,
  compareAlgorithms,
  compareText,
  DEFAULT_BASE,
  DEFAULT_LAYOUTS,
  defaultAlgorithms,
  layout,
  layouts,
  memoriesOf,
  type Backing,
  type BenchCase,
  type CompareSpec,
  type Layout,
  type Profile,
} from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { pinAlgorithm, pinAlgorithms, type PinAlgorithm } from '@pinfold/vfio-type1';
import type { Command, Option } from 'commander';
import { chosenAlgorithm, fileOptions } from '../algorithm-flags.ts';
import { flag, forFlag, list } from '../flags.ts';
import {
  backingsOption,
  formatOptions,
  iommuOption,
  measureAndPrint,
  repeatOption,
  sizeOption,
  type FormatFlags,
} from '../measuring.ts';
import { checkProfileIommu, profileOption } from '../profile-flag.ts';
import { AlgorithmFinding } from '../report-error.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The release for which the large-folio series was merged. */
const DEFAULT_KERNEL = '6.18';

/** Counts need one; scattered pages take the model seconds, and time is not the result here. */
const DEFAULT_REPEAT = 3;

/** The command's flags, read. */
interface CompareFlags extends FormatFlags {
  readonly algorithm: readonly PinAlgorithm[];
  readonly file?: string;
  readonly patience: number;
  readonly base: PinAlgorithm;
  readonly backing?: readonly Backing[];
  readonly layout?: readonly Layout[];
  readonly size: number;
  readonly kernel: string;
  readonly repeat: number;
  readonly time: boolean;
  readonly profile?: Profile;
  readonly iommu?: string;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addCompare(program: Command): void {
  const command = program
    .command('compare')
    .summary('pin algorithms beside each other: the ablation table of a patch series')
    .description(
      'Maps and unmaps the same memory with several pin algorithms, patch by patch, and shows in ' +
        'which operations they differ, the time of the model, gain and loss against a base, and ' +
        'what small folios pay. `pinfold list algorithms` says what there is.',
    )
    .addOption(algorithmsOption())
    .addOption(baseOption())
    .addOption(backingsOption(' (default: all that suit --layout and --size)'))
    .addOption(layoutsOption())
    .addOption(sizeOption())
    .addOption(kernelOption())
    .addOption(iommuOption())
    .addOption(repeatOption(DEFAULT_REPEAT))
    .addOption(profileOption('nothing is predicted'))
    .option('--no-time', 'leave out every time: what is left is the same on every machine');
  for (const option of [...fileOptions(), ...formatOptions()]) command.addOption(option);
  command.action(compare);
  throwUsageErrors(command);
}

function algorithmsOption(): Option {
  const defaults = defaultAlgorithms();
  return flag('--algorithm <list>', 'a comma list of pin algorithms', (text, place) =>
    list(text, (item) => forFlag(place, item, pinAlgorithm)),
  ).default(defaults, defaults.map(({ name }) => name).join(','));
}

function baseOption(): Option {
  const description = 'the pin algorithm that the others are compared with';
  return flag('--base <name>', description, (text, place) =>
    forFlag(place, text, pinAlgorithm),
  ).default(pinAlgorithm(DEFAULT_BASE), DEFAULT_BASE);
}

function layoutsOption(): Option {
  const description =
    `how the memory lies: a comma list of ${Object.keys(layouts).join(',')} ` +
    `(default: those of ${DEFAULT_LAYOUTS.join(',')} that suit --backing)`;
  return flag('--layout <list>', description, (text, place) =>
    list(text, (item) => layout(item, place)),
  );
}

function kernelOption(): Option {
  const series = kernelVersions.map((version) => version.series).join(', ');
  const description = `whose rules hold, but for the algorithm: ${series} or a point release`;
  return flag('--kernel <name>', description, (text, place) => {
    forFlag(place, text, kernelVersion);
    return text;
  }).default(DEFAULT_KERNEL, DEFAULT_KERNEL);
}

/** Those of the flags, and a file's. */
async function algorithmsOf({
  algorithm: algorithms,
  file,
  patience,
  kernel,
}: CompareFlags): Promise<readonly PinAlgorithm[]> {
  const own = await chosenAlgorithm({ ...(file !== undefined && { file }), patience }, kernel);
  if (!own) return algorithms;
  const taken = algorithms.find(({ name }) => name === own.name);
  if (taken) throw new InputError('--file', 'an algorithm of another name', `'${own.name}' again`);
  return [...algorithms, own];
}

/**
 * What goes wrong with a file's algorithm is a finding about it; with one that is built in, a fault
 * of pinfold.
 */
function failureOf(error: unknown, { name, options }: BenchCase, { file }: CompareFlags): unknown {
  const { backing, pinAlgorithm: algorithm } = options;
  if (file === undefined || (algorithm && pinAlgorithms.includes(algorithm))) return error;
  const isFinding = [KernelBug, KernelError, ModelBug].some((kind) => error instanceof kind);
  if (!isFinding) return error;
  const what = `${error instanceof KernelBug ? 'the kernel would crash: ' : ''}${(error as Error).message}`;
  return new AlgorithmFinding(`${file}: ${backing.name}, ${name}: ${what}`);
}

/** The memories that suit the flags, and the backings that only the size leaves out. */
function chosenMemories({
  backing,
  layout,
  size: bytes,
}: CompareFlags): Required<Pick<CompareSpec, 'memories' | 'leftOut'>> {
  const choice = { backings: backing, layouts: layout };
  const places = { backings: '--backing', layouts: '--layout' };
  const memories = memoriesOf({ ...choice, bytes }, places);
  const ofAnySize = memoriesOf(choice, places).map((memory) => memory.backing);
  const left = ofAnySize.filter((one) => !memories.some((memory) => memory.backing === one));
  return { memories, leftOut: [...new Set(left)] };
}

async function compare(flags: CompareFlags): Promise<void> {
  const { base, size: bytes, kernel, repeat } = flags;
  const algorithms = await algorithmsOf(flags);
  const { memories, leftOut } = chosenMemories(flags);
  const { profile, iommu } = flags;
  const spec: CompareSpec = {
    ...{ algorithms, base, memories, bytes, kernel, repeat, leftOut, profile, iommu },
  };
  checkProfileIommu(profile, iommu);
  checkCompare(spec, process.availableMemory(), '--size');
  measureAndPrint(
    flags,
    (host) =>
      compareAlgorithms(spec, {
        ...host,
        failureOf: (error, failed) => failureOf(error, failed, flags),
      }),
    (report, style) => compareText(report, style, flags.time),
  );
}
