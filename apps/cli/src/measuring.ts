/** What the commands that measure have in common: flags, progress and the report's format. */
import { KernelBug, KernelError, ModelBug, parseSize } from '@pinfold/base';
import {
  backing,
  backings,
  DEFAULT_IOMMU,
  iommuKind,
  iommuKinds,
  markdownStyle,
  reportJson,
  textStyle,
  type BenchCase,
  type BenchHost,
  type Style,
} from '@pinfold/bench';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { Option } from 'commander';
import { fileOf } from './algorithm-flags.ts';
import { count, flag, list, oneOf } from './flags.ts';
import { outputWidth, print } from './output.ts';
import { AlgorithmFinding } from './report-error.ts';
import { StatusLine } from './status-line.ts';

const MAX_REPEAT = 10_000;
/** So long that the code of a map of 0.2 ms is compiled by then. */
const WARM_UP_MS = 200;

const formats = ['text', 'markdown'] as const;

/** The flags that decide how a report is written. */
export interface FormatFlags {
  /** For people: for a terminal, or for a mail. */
  readonly format: (typeof formats)[number] | 'unit-test';
  /** For programs. */
  readonly json?: boolean;
}

/**
 * `--size`: size of the mapping.
 *
 * @returns the option; default that of the published test
 */
export function sizeOption(): Option {
  const option = flag('--size <size>', 'size of the mapping, such as 512M or 16G', parseSize);
  return option.default(16 * 2 ** 30, '16G');
}

/**
 * `--iommu`: the kind of the IOMMU.
 *
 * @param otherwise what --help says of the default
 * @returns the option, without a default
 */
export function iommuOption(otherwise = DEFAULT_IOMMU): Option {
  const names = iommuKinds.map(({ name }) => name).join(', ');
  const description = `kind of the IOMMU: ${names} (default: ${otherwise})`;
  return flag('--iommu <kind>', description, (text, place) => iommuKind(text, place).name);
}

/**
 * `--backing`: what the memory is.
 *
 * @param remark what --help says of it besides
 * @returns the option, without a default
 */
export function backingsOption(remark = ''): Option {
  const names = backings.map(({ name }) => name).join(',');
  const description = `what the memory is: a comma list of ${names}${remark}`;
  return flag('--backing <list>', description, (text, place) =>
    list(text, (item) => backing(item, place)),
  );
}

/**
 * `--repeat`: repetitions.
 *
 * @param repeat the default
 * @returns the option
 */
export function repeatOption(repeat: number): Option {
  const description = `repetitions of map and unmap, 1 to ${MAX_REPEAT}; more than 1 after a warm-up`;
  const option = flag('--repeat <n>', description, (text, place) => count(text, place, MAX_REPEAT));
  return option.default(repeat);
}

/**
 * `--format` and `--json`: how the report is written.
 *
 * @param more formats that the command has besides
 * @returns the options
 */
export function formatOptions(more: readonly FormatFlags['format'][] = []): Option[] {
  const all = [...formats, ...more];
  const format = flag('--format <name>', `how to print it: ${all.join(' or ')}`, (text, place) =>
    oneOf(text, place, all),
  );
  return [
    format.default(formats[0], formats[0]),
    new Option('--json', 'print all counters and times as JSON'),
  ];
}

/**
 * Runs a measurement with its progress on stderr, and prints its report.
 *
 * @param flags how to print it
 * @param run the measurement
 * @param text writes the report for people
 */
export function measureAndPrint<Report extends object>(
  flags: FormatFlags,
  run: (host: BenchHost) => Report,
  text: (report: Report, style: Style) => string,
): void {
  const report = withProgress(run);
  const style = flags.format === 'markdown' ? markdownStyle : textStyle(outputWidth());
  print(flags.json ? reportJson(report) : text(report, style));
}

/**
 * What goes wrong with an algorithm of one's own is a finding about it; with one that is built in, a
 * fault of pinfold.
 *
 * @param error what was thrown
 * @param failed the case
 * @returns the finding, or the error
 */
export function failureOf(error: unknown, { name, options }: BenchCase): unknown {
  const { backing, pinAlgorithm: algorithm } = options;
  if (!algorithm || pinAlgorithms.includes(algorithm)) return error;
  const isFinding = [KernelBug, KernelError, ModelBug].some((kind) => error instanceof kind);
  if (!isFinding) return error;
  const what = `${error instanceof KernelBug ? 'the kernel would crash: ' : ''}${(error as Error).message}`;
  return new AlgorithmFinding(`${fileOf(algorithm)}: ${backing.name}, ${name}: ${what}`);
}

function withProgress<Report>(run: (host: BenchHost) => Report): Report {
  const status = new StatusLine(process.stderr);
  try {
    return run({
      clock: () => performance.now(),
      warmUpMs: WARM_UP_MS,
      onProgress: (step) => status.show(step),
    });
  } finally {
    status.clear();
  }
}
