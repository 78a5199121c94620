/** The flags that choose a pin algorithm: one that is built in, or a file of one's own. */
import { InputError } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import type { Option } from 'commander';
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

/**
 * `--file` and `--patience`: an algorithm of one's own.
 *
 * @returns the options
 */
export function fileOptions(): Option[] {
  return [
    flag(
      '--file <file>',
      'a pin algorithm of your own (pinfold new-algorithm): its code runs with your rights',
      (text) => text,
    ),
    flag(
      '--patience <seconds>',
      'how long its code may run without a call of the kernel',
      (text, place) => count(text, place, MAX_PATIENCE),
    ).default(DEFAULT_PATIENCE),
  ];
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
