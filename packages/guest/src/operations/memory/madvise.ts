/**
 * `madvise va= size= advice=`: the process says what it will do with memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, word, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

const ADVICE = [
  ...(['huge', 'nohuge', 'dontneed', 'collapse'] as const),
  ...(['popread', 'popwrite', 'free', 'remove', 'dontfork', 'dofork'] as const),
] as const;

/** The operation. */
export interface MadviseOperation {
  /** Its op. */
  readonly op: 'madvise';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** MADV_*, in the language's word. */
  readonly advice: string;
}

/** The op. */
export const madvise: GuestOp<MadviseOperation> = {
  op: 'madvise',
  summary:
    'advises the kernel: huge, nohuge, dontneed, collapse, popread, popwrite, free, remove, dontfork or dofork',
  entry: op(
    { va: needed(bytes), size: needed(bytes), advice: needed(word(...ADVICE)) },
    (values) => ({ op: 'madvise', ...values }),
  ),
  runsNoAlgorithm: true,
  perform({ process }, { va, size, advice }) {
    return { code: process.madvise(va, size, advice) };
  },
};
