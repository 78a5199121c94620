/** `pinfold estimate`: how long mapping a guest's memory takes, why, and what would help. */
import { dirname, join } from 'node:path';
import { InputError, parseSize } from '@pinfold/base';
import {
  adviceFor,
  backing,
  backings,
  contender,
  DEFAULT_IOMMU,
  estimateHtml,
  estimateText,
  estimateVm,
  iommuKind,
  markdownStyle,
  parseHistogram,
  parseHostFile,
  textStyle,
  UNCALIBRATED,
  type EstimatedHost,
  type EstimatedVm,
  type EstimateReport,
  type HostFile,
  type Profile,
} from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { Option, type Command } from 'commander';
import { count, flag, forFlag, list } from '../flags.ts';
import { formatOptions, iommuOption, type FormatFlags } from '../measuring.ts';
import { outputWidth, print } from '../output.ts';
import { plotLibraries } from '../plot-libraries.ts';
import { checkProfileIommu, namedProfile, profileOption } from '../profile-flag.ts';
import { checkOutput, readText } from '../read-file.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { writeForFlag } from '../write-file.ts';

const LIMIT = 2 ** 20;
const MAX_THREADS = 4096;

/** The command's flags, read. */
interface EstimateFlags extends FormatFlags {
  readonly memory?: number;
  readonly backing: string;
  readonly populated?: boolean;
  readonly preallocThreads?: number;
  readonly containers: number;
  readonly bar: readonly number[];
  readonly kernel?: readonly string[];
  readonly memlock?: number;
  readonly capIpcLock?: boolean;
  readonly entryLimit: number;
  readonly hvo?: boolean;
  readonly layout?: string;
  readonly profile?: Profile;
  readonly iommu?: string;
  readonly html?: string;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addEstimate(program: Command): void {
  const names = backings.map(({ name }) => name);
  const series = kernelVersions.map((version) => version.series);
  const command = program
    .command('estimate')
    .summary("predicted seconds of mapping a guest's memory, and what would help")
    .description(
      'Predicts how long mapping and unmapping a guest takes on a real kernel: exact operations ' +
        'times the costs of a profile, with 90 % intervals; mappings and locked memory against ' +
        'their limits; and what other choices would change. The guest is stated by flags, or ' +
        'several guests by a YAML or JSON file.',
    )
    .argument('[host]', 'a host with its guests, as YAML or JSON')
    .addOption(flag('--memory <size>', 'memory of the guest, such as 360G', parseSize))
    .addOption(
      flag('--backing <name>', `what the memory is: ${names.join(', ')}`, (text, place) =>
        backing(text, place),
      )
        .argParser((text) => backing(text, '--backing').name)
        .default('4k', '4k'),
    )
    .addOption(new Option('--populated', 'the memory is populated before it is mapped'))
    .addOption(
      flag('--prealloc-threads <n>', 'it is populated first, by so many threads', (text, place) =>
        count(text, place, MAX_THREADS),
      ),
    )
    .addOption(
      flag('--containers <n>', 'containers into which it is mapped', (text, place) =>
        count(text, place, MAX_THREADS),
      ).default(1),
    )
    .addOption(
      flag('--bar <list>', 'sizes of device memory that is mapped too', (text, place) =>
        text.split(',').map((item) => parseSize(item, place)),
      ).default([], 'none'),
    )
    .addOption(
      flag('--kernel <list>', `a comma list of ${series.join(',')}`, (text, place) =>
        list(text, (item) => forFlag(place, item, contender).name),
      ),
    )
    .addOption(flag('--memlock <size>', 'RLIMIT_MEMLOCK, or unlimited', memlock))
    .addOption(new Option('--cap-ipc-lock', 'the process has CAP_IPC_LOCK'))
    .addOption(
      flag('--entry-limit <n>', 'dma_entry_limit of vfio_iommu_type1', (text, place) =>
        count(text, place, 2 ** 31),
      ).default(65535),
    )
    .addOption(new Option('--hvo', 'hugetlb pages share their struct pages (hugetlb_free_vmemmap)'))
    .addOption(
      flag('--layout <file>', 'physically contiguous runs: lengths and counts', (text) => text),
    )
    .addOption(iommuOption("the profile's, or intel-vtd"))
    .addOption(profileOption(`${UNCALIBRATED}: priors alone`));
  command.addOption(flag('--html <file>', 'write a page with plots too', (text) => text));
  for (const option of formatOptions()) command.addOption(option);
  command.action(runEstimate);
  command.addHelpText(
    'after',
    '\nExamples:\n' +
      '  pinfold estimate --memory 360G --backing thp --profile jordan-2022-intel\n' +
      '  pinfold estimate --memory 64G --backing hugetlb-1g --prealloc-threads 8\n' +
      '  pinfold estimate --memory 64G --layout runs.txt --kernel 6.12,7.3\n' +
      '  pinfold estimate --html host.html host.yaml',
  );
  throwUsageErrors(command);
}

function memlock(text: string, place: string): number {
  return text === 'unlimited' ? Infinity : parseSize(text, place);
}

function runEstimate(path: string | undefined, flags: EstimateFlags, command: Command): void {
  const stated = path === undefined ? fromFlags(flags) : fromFile(path, command);
  const costs = flags.profile ?? namedProfile(stated.profile ?? UNCALIBRATED, `${path}: profile`);
  const iommu = flags.iommu ?? statedIommu(stated, path) ?? costs.iommu ?? DEFAULT_IOMMU;
  checkProfileIommu(costs, iommu);
  const newest = kernelVersions.at(-1)?.series ?? '';
  const kernels = flags.kernel ?? kernelsOf(stated, path) ?? [newest];
  const hosts = kernels.map((kernel): EstimatedHost => ({ ...stated.host, kernel, iommu }));
  const guests = stated.vms.map((vm) => ({
    estimates: hosts.map((host) => estimateVm(vm, host, costs)),
    advice: adviceFor(vm, hosts[0], costs, newest),
  }));
  if (flags.html !== undefined) {
    checkOutput('--html', flags.html, [path, flags.layout]);
    const page = { vms: stated.vms, hosts, profile: costs };
    writeForFlag('--html', flags.html, estimateHtml(page, plotLibraries()));
  }
  const report: EstimateReport = { profile: costs, host: hosts[0], guests };
  const style = flags.format === 'markdown' ? markdownStyle : textStyle(outputWidth());
  print(flags.json ? json(report) : estimateText(report, style));
}

function kernelsOf({ kernels }: HostFile, path: string | undefined): readonly string[] | undefined {
  return kernels?.map((kernel, i) => forFlag(`${path}: kernels.${i}`, kernel, contender).name);
}

function statedIommu({ iommu }: HostFile, path: string | undefined): string | undefined {
  return iommu === undefined ? undefined : iommuKind(iommu, `${path}: iommu`).name;
}

/** A report for programs: the profile by name, its host and its rows. */
function json({
  profile: { name, host: of, rows, remarks },
  host,
  guests,
}: EstimateReport): string {
  const all = {
    kind: 'predicted kernel time',
    profile: { name, host: of, rows, remarks },
    host,
    guests,
  };
  const text = JSON.stringify(
    all,
    (_, value: unknown) => (value === Infinity ? 'unlimited' : value),
    2,
  );
  return `${text}\n`;
}

/** Flags that a file states: beside it they would be lost. */
const STATED = [
  'memory',
  'backing',
  'populated',
  'preallocThreads',
  'containers',
  'bar',
  'memlock',
  'capIpcLock',
  'entryLimit',
  'hvo',
  'layout',
];

function fromFile(path: string, command: Command): HostFile {
  const written = STATED.find((name) => command.getOptionValueSource(name) === 'cli');
  if (written !== undefined) {
    const option = command.options.find((one) => one.attributeName() === written);
    throw new InputError(option?.long ?? written, 'no file of a host beside it', `'${path}'`);
  }
  const layoutOf = (file: string): string =>
    readText(join(dirname(path), file), 'lengths and counts', LIMIT);
  return parseHostFile(readText(path, 'a host', LIMIT), path, layoutOf);
}

/** What flags state in another way than a file. */
const NOT_STATED = { kernels: undefined, profile: undefined, iommu: undefined };

function fromFlags(flags: EstimateFlags): HostFile {
  if (flags.memory === undefined)
    throw new InputError('--memory', 'a size such as 64G, or a file of a host', 'neither');
  const vm: EstimatedVm = {
    name: 'guest',
    bytes: flags.memory,
    backing: flags.backing,
    runs: runsOf(flags),
    populated: (flags.populated ?? false) || flags.preallocThreads !== undefined,
    preallocThreads: flags.preallocThreads ?? 0,
    containers: flags.containers,
    bars: flags.bar,
  };
  const host = {
    hvo: flags.hvo ?? false,
    memlock: flags.memlock ?? Infinity,
    capIpcLock: flags.capIpcLock ?? false,
    entryLimit: flags.entryLimit,
  };
  return { ...NOT_STATED, host, vms: [vm] };
}

function runsOf({ layout, backing: name }: EstimateFlags): EstimatedVm['runs'] {
  if (layout === undefined) return null;
  if (name.startsWith('hugetlb'))
    throw new InputError('--layout', '--backing 4k or thp beside it', `'${name}'`);
  return parseHistogram(readText(layout, 'lengths and counts', LIMIT), layout);
}
