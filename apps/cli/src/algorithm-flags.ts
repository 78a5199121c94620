/** The flags that choose a pin algorithm: one that is built in, or a file of one's own. */
import { InputError } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, pinAlgorithms, type PinAlgorithm } from '@pinfold/vfio-type1';
import { Option } from 'commander';
import { DEFAULT_PATIENCE, loadAlgorithm } from './algorithm-file.ts';
import { count, flag, forFlag } from './flags.ts';

const MAX_PATIENCE = 3600;

/** The flags, read. */
export interface AlgorithmFlags {
  readonly algorithm?: PinAlgorithm;
  readonly file?: string;
  readonly patience: number;
}

/**
 * `--algorithm`: one that is built in.
 *
 * @returns the option; without it, that of the kernel
 */
export function algorithmOption(): Option {
  const description = 'a pin algorithm in place of the kernel’s (pinfold list algorithms)';
  return flag('--algorithm <name>', description, (text, place) =>
    forFlag(place, text, pinAlgorithm),
  );
}

/** What the help says of a file. */
const FILE = 'a pin algorithm of your own (pinfold new-algorithm): its code runs with your rights';

/**
 * `--file` and `--patience`: an algorithm of one's own.
 *
 * @returns the options
 */
export function fileOptions(): Option[] {
  const file = new Option('--file <file>', FILE).argParser((text, before: string | undefined) => {
    if (before === undefined) return text;
    throw new InputError('--file', 'one file', `'${before}' and '${text}'`);
  });
  return [file, patienceOption()];
}

/**
 * `--file`, as often as one likes, and `--patience`: algorithms of one's own.
 *
 * @returns the options
 */
export function filesOptions(): Option[] {
  const file = new Option('--file <file>', `${FILE}; again for more`).argParser(
    (text, before: readonly string[] | undefined) => [...new Set([...(before ?? []), text])],
  );
  return [file, patienceOption()];
}

/**
 * `--patience`: how long code of one's own may be silent.
 *
 * @returns the option
 */
export function patienceOption(): Option {
  return flag(
    '--patience <seconds>',
    'how long its code may run without a call of the kernel',
    (text, place) => count(text, place, MAX_PATIENCE),
  ).default(DEFAULT_PATIENCE);
}

const filesOf = new WeakMap<PinAlgorithm, string>();

/**
 * The file of an algorithm, for messages.
 *
 * @param algorithm the algorithm
 * @returns the file as the user wrote it; its name for one that is of no file
 */
export function fileOf(algorithm: PinAlgorithm): string {
  return filesOf.get(algorithm) ?? algorithm.name;
}

/**
 * The algorithms of some files.
 *
 * @param files the files; default none
 * @param kernel the release that those are differences against that state no base
 * @param patience seconds that their code may run without a call of the kernel
 * @returns the algorithms, in the order of the files
 * @throws {InputError} when one is no algorithm, or has the name of another
 */
export async function algorithmsOfFiles(
  files: readonly string[] = [],
  kernel: string,
  patience: number,
): Promise<PinAlgorithm[]> {
  const algorithms: PinAlgorithm[] = [];
  const base = kernelVersion(kernel).type1.pinAlgorithm;
  for (const file of files) {
    const own = await loadAlgorithm(file, base, patience);
    const taken = [...pinAlgorithms, ...algorithms].some(({ name }) => name === own.name);
    if (taken) throw new InputError(file, 'an algorithm of another name', `'${own.name}' again`);
    filesOf.set(own, file);
    algorithms.push(own);
  }
  return algorithms;
}

/**
 * The release that an algorithm states as its base, so that it runs there unless another is asked for.
 *
 * @param algorithm the algorithm; null for none
 * @returns the release as the file names it; null where the base is none
 */
export function releaseOfBase(algorithm: PinAlgorithm | null): string | null {
  const name = algorithm?.base?.name ?? '';
  return /^\d/.test(name) ? name : null;
}

/**
 * The algorithm that the flags choose.
 *
 * @param flags the flags
 * @param kernel the release whose steps those are that the file leaves out
 * @returns the algorithm; null for that of the kernel
 * @throws {InputError} when both flags are given, or the file is no algorithm
 */
export async function chosenAlgorithm(
  flags: AlgorithmFlags,
  kernel: string,
): Promise<PinAlgorithm | null> {
  const { algorithm = null, file, patience } = flags;
  if (file === undefined) return algorithm;
  if (algorithm) throw new InputError('--file', 'no --algorithm beside it', `'${file}'`);
  return loadAlgorithm(file, kernelVersion(kernel).type1.pinAlgorithm, patience);
}
