/**
 * `touch va= [size=] [mode=] [stride=] [pages=] [order=] [seed=]`: the process accesses its memory.
 *
 * @source recordings README, "Scenario language"
 */
import { InputError } from '@pinfold/base';
import {
  op,
  bytes,
  needed,
  number,
  numbers,
  optional,
  positiveBytes,
  word,
} from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { onePage, PAGE } from '../smaller.ts';

/** The operation. */
export interface TouchOperation {
  /** Its op. */
  readonly op: 'touch';
  /** First address. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Read or write; default write. */
  readonly mode: 'r' | 'w';
  /** Bytes between accesses; default one page. */
  readonly stride: bigint;
  /** Pages of the range to access instead of all. */
  readonly pages?: readonly number[];
  /** Order: ascending, `rev`ersed or `rand`om. */
  readonly order?: 'rev' | 'rand';
  /** Seed of the random order. */
  readonly seed?: number;
}

/** The op. */
export const touch: GuestOp<TouchOperation> = {
  op: 'touch',
  summary:
    'one access per stride: by default a write to each page. mode: r or w. pages: a comma list instead of all. order: rev, or rand with a seed',
  entry: op(
    {
      ...{ va: needed(bytes), size: optional(bytes), mode: optional(word('r', 'w')) },
      ...{ stride: optional(positiveBytes), pages: optional(numbers) },
      ...{ order: optional(word('rev', 'rand')), seed: optional(number) },
    },
    ({ size, pages, ...values }) => {
      const last = (pages ?? []).reduce((max, page) => Math.max(max, page), 0);
      const listed = BigInt(last + 1) * PAGE;
      const range = { size: size ?? listed, ...(pages && { pages }) };
      return { op: 'touch', mode: 'w', stride: PAGE, ...values, ...range };
    },
    ({ size, pages, order, seed }, place) => {
      if (size === undefined && pages === undefined) {
        throw new InputError(place, 'size= or pages=', 'neither');
      }
      if (order === 'rand' && seed === undefined) {
        throw new InputError(place, 'seed= with order=rand', 'no seed=');
      }
    },
  ),
  runsNoAlgorithm: true,
  smaller: onePage,
  perform({ process }, operation) {
    return { code: process.touch(operation) };
  },
};
