/**
 * Frames that only the IOMMU table of a recording shows: of pages that iommufd pins and nobody maps,
 * such as the holes of a memfd, or that a child has copied.
 *
 * @source README-iofd, "Additional fields of a step"
 */
import { pageNumber } from '@pinfold/base';
import type { IommuTable, LayoutExtent } from '@pinfold/scenario';
import type { RecordedRegion } from './recorded-frames.ts';
import type { RecordedPass, RecordedStep } from '../recording/recording.ts';
import { walkPass } from '../recording/walk-pass.ts';

/** A mapping that a step made. */
interface Mapping {
  readonly ioas: string;
  readonly iova: bigint;
  readonly va: bigint;
  readonly size: bigint;
  readonly kind: 'memory' | 'file';
}

/** What the table shows after a step. */
export interface TableFrames {
  /** Frames of memory by address. */
  readonly memory: readonly RecordedRegion[];
  /** Frames of files, by the address that would map them. */
  readonly files: readonly RecordedRegion[];
}

const ORDERS: Readonly<Record<string, number>> = { '4K': 0, '2M': 9, '1G': 18 };

/** Follows what is mapped in the I/O address space of the first device. */
class MappedSpace {
  #last = 'I';
  #attached: string | null = null;
  readonly #mappings: Mapping[] = [];

  take({ op, line, ret, iova_out: out, iova, va, size }: RecordedStep): void {
    const argument = (key: string): string | undefined =>
      RegExp(`\\b${key}=(\\S+)`).exec(line)?.[1];
    const real = op === 'child' ? (line.split(' ')[1] ?? '') : op;
    if (real === 'iofd' || real === 'ioas_alloc') this.#last = argument('name') ?? 'I';
    if (ret !== 0) {
      // What failed may have pinned before.
      if (real === 'ioas_map' || real === 'ioas_map_file') return;
    }
    if (real === 'iofd' && argument('noattach') === undefined) this.#attached = this.#last;
    if (real === 'attach' && argument('dev') !== 'ivsh16')
      this.#attached = argument('pt') ?? this.#last;
    if (real !== 'ioas_map' && real !== 'ioas_map_file') return;
    const at = out ?? iova;
    if (at === undefined || va === undefined || size === undefined) return;
    const ioas = argument('ioas') ?? this.#last;
    const kind = real === 'ioas_map' ? 'memory' : 'file';
    this.#mappings.push({ ioas, iova: BigInt(at), va: BigInt(va), size: BigInt(size), kind });
  }

  /** Frames of what the table shows. */
  frames(table: IommuTable): TableFrames {
    const found = { memory: [] as RecordedRegion[], files: [] as RecordedRegion[] };
    for (const { ioas, iova, va, size, kind } of [...this.#mappings].reverse()) {
      if (ioas !== this.#attached || va % 4096n !== 0n) continue;
      const extents = extentsOf(table, pageNumber(iova), pageNumber(size));
      if (extents.length === 0) continue;
      found[kind === 'file' ? 'files' : 'memory'].push({ vpn: pageNumber(va), extents });
    }
    return found;
  }
}

function extentsOf({ runs }: IommuTable, first: number, npage: number): LayoutExtent[] {
  return runs.flatMap(([iova, phys, size, leaf]) => {
    const [start, pfn, length] = [iova, phys, size].map((text) => pageNumber(BigInt(text)));
    const from = Math.max(start, first);
    const end = Math.min(start + length, first + npage);
    if (from >= end) return [];
    return [[from - first, pfn + (from - start), end - from, ORDERS[leaf], '']] as LayoutExtent[];
  });
}

/**
 * The frames that the IOMMU table shows after each step of a pass.
 *
 * @param pass the pass
 * @returns one entry per step
 */
export function tableFrames(pass: RecordedPass): TableFrames[] {
  const space = new MappedSpace();
  const none: TableFrames = { memory: [], files: [] };
  let last: { table: IommuTable; frames: TableFrames } | undefined;
  return walkPass(pass).map(({ shown, table }) => {
    space.take(shown);
    if (!table) return none;
    if (last?.table !== table) last = { table, frames: space.frames(table) };
    return last.frames;
  });
}
