/** What an operation of a scenario works on: the machine of the model, and its one process. */
import type { FrameSource, Memory } from '@pinfold/mm';
import type { Observation } from '@pinfold/scenario';
import type { GuestContainer } from '../vfio/compat-container.ts';
import type { GuestIommufd } from '../iommufd/guest-iommufd.ts';
import type { GuestDevices } from '../vfio/guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';
import type { ExternalCalls } from '../vfio/external-calls.ts';
import type { VfioCalls } from '../vfio/vfio-calls.ts';
import type { StepFault } from './step-faults.ts';
import type { WritableParams } from '../sysfs/sysfs.ts';

/** The parts of a model machine. */
export interface Guest {
  /** The machine's memory. */
  readonly memory: Memory;
  /** The process. */
  readonly process: GuestProcess;
  /** The devices of the machine. */
  readonly devices: GuestDevices;
  /** What the process has of iommufd. */
  readonly iommufd: GuestIommufd;
  /** Module parameters. */
  readonly params: WritableParams;
  /** Whether the kernel has type1; else iommufd answers for containers. */
  readonly hasType1: boolean;
  /** Where the frames of forked children come from; null: as the parent's. */
  readonly childFrames: FrameSource | null;
  /** The container, and how groups join it. */
  readonly vfio: VfioCalls;
  /** The calls of emulated devices. */
  readonly external: ExternalCalls;
  /** Closes every device, group and container. */
  readonly closeAll: () => void;
  /**
   * Lets a call of the next step fail.
   *
   * @param fault which call
   */
  readonly failNext: (fault: StepFault) => void;
  /**
   * The container that is open.
   *
   * @throws {KernelError} EBADF if none is
   */
  needContainer(): GuestContainer;
}

/** What an operation returned, before the state after it is read. */
export interface Done extends Partial<Observation> {
  /** 0, or a negative errno. */
  readonly code: number;
}
