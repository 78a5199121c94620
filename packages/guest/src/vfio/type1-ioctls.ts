/**
 * The ioctls of the type1 driver as the process makes them, and what they show.
 *
 * @source recordings README, "Scenario language", "Recording format"
 */
import type { Task } from '@pinfold/mm';
import { failureOf, type Failure, hex, type Observation } from '@pinfold/scenario';
import {
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  type IoctlResult,
  type VfioContainer,
} from '@pinfold/vfio-type1';
import type { Done, Guest } from '../machine/guest.ts';
import { asBitmap, asInfo, vfioBitmap } from './ioctl-fields.ts';
import type { Operation } from '../operations/operation.ts';

/** Room that the program gives GET_INFO, in bytes. */
const INFO_ARGSZ = 8192;
/** Extensions that the program asks for: from 1 to this. */
const LAST_EXTENSION = 11;

type MapOperation = Extract<Operation, { op: 'map' }>;
type UnmapOperation = Extract<Operation, { op: 'unmap' }>;
type DirtyOperation = Extract<Operation, { op: 'dirty' }>;

/**
 * VFIO_IOMMU_MAP_DMA.
 *
 * @param guest the machine
 * @param operation the ioctl's structure
 * @returns what it returned
 * @throws {KernelError} EBADF if no container is open
 */
export function mapDma(guest: Guest, operation: MapOperation): Done {
  const container = guest.needContainer();
  const { iova, size, flags, argsz, va: vaddr } = operation;
  const map = (task: Task): IoctlResult =>
    container.tryMapDma(task, { iova, vaddr, size, flags, argsz });
  const done = guest.process.by(operation.from ?? 'process', guest.childFrames, map);
  const shown = { iova: hex(iova), size: hex(size), flags, argsz };
  return { code: done.ret, ...shown, va: hex(vaddr), ...failure(done) };
}

/**
 * VFIO_IOMMU_UNMAP_DMA.
 *
 * @param guest the machine
 * @param operation the ioctl's structure
 * @returns what it returned, with the bitmap that it was asked for
 * @throws {KernelError} EBADF if no container is open
 */
export function unmapDma(guest: Guest, operation: UnmapOperation): Done {
  const container = guest.needContainer();
  const { iova, size, flags, argsz, pgsize = 4096n, bmsize, bmmem } = operation;
  const bitmap = bmsize === undefined ? {} : { bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
  const done = container.tryUnmapDma({ iova, size, flags, argsz, ...bitmap });
  const wanted = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
  const dirty = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
  const shown = { iova: hex(iova), size: hex(size), flags, argsz };
  return { code: done.ret, ...shown, size_out: hex(done.size), ...dirty, ...failure(done) };
}

/**
 * VFIO_IOMMU_DIRTY_PAGES.
 *
 * @param guest the machine
 * @param operation the ioctl's structure
 * @returns what it returned, with the bitmap that it was asked for
 * @throws {KernelError} EBADF if no container is open
 */
export function dirtyPages(guest: Guest, operation: DirtyOperation): Done {
  const { flags, argsz, iova, size, pgsize, bmsize, bmmem } = operation;
  const range = { iova, size, bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
  const done = guest.needContainer().tryDirtyPages({ flags, argsz, range });
  const wanted = (flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) !== 0;
  const shown = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
  return { code: done.ret, flags, argsz, ...shown, ...failure(done) };
}

/**
 * VFIO_IOMMU_GET_INFO.
 *
 * @param guest the machine
 * @returns what it returned, with what it tells
 * @throws {KernelError} EBADF if no container is open
 */
export function getInfo(guest: Guest): Done {
  const done = guest.needContainer().tryGetInfo(INFO_ARGSZ);
  return { code: done.ret, ...failure(done), ...asInfo(done) };
}

/**
 * What the program asks right after it has opened a container.
 *
 * @param container the container
 * @returns the extensions that it has; once it has its IOMMU, what GET_INFO tells too
 */
export function shownAtOpen(container: VfioContainer): Partial<Observation> {
  const numbers = Array.from({ length: LAST_EXTENSION }, (_, i) => i + 1);
  const ext = Object.fromEntries(numbers.map((n) => [n, container.checkExtension(n)]));
  return { ext, ...(container.hasIommu ? asInfo(container.tryGetInfo(INFO_ARGSZ)) : {}) };
}

function failure({ ret, at, detail }: IoctlResult): { failure?: Failure } {
  return ret < 0 ? { failure: failureOf(at, detail) } : {};
}
