/** mmap as the process makes it, and what it shows. */
import { pageNumber } from '@pinfold/base';
import { hexPages } from '@pinfold/scenario';
import type { Done, Guest } from '../machine/guest.ts';
import type { MmapOperation } from '../operations/operation.ts';

/**
 * Maps a region.
 *
 * @param guest the machine
 * @param operation the region
 * @returns 0 or a negative errno, and where the region and a BAR that it maps lie
 * @throws {InputError} for a region of a name that is taken, or an `of=` without a memfd
 */
export function mmap({ process, devices }: Guest, operation: MmapOperation): Done {
  const { ret, region } = process.mmap(operation, devices);
  // What a fixed mapping has replaced may have been a BAR.
  if (operation.flags.includes('fixed')) devices.releaseUnheld();
  if (!region) return { code: ret };
  const place = { va: hexPages(region.vpn), size: hexPages(region.npage) };
  const { kind, dev = '', bar = 0, off = 0n } = operation;
  const backing = kind === 'bar' ? devices.barOf(dev, bar) : 0;
  const phys =
    typeof backing === 'number' ? {} : { bar_phys: hexPages(backing.pfn + pageNumber(off)) };
  return { code: ret, ...place, ...phys };
}
