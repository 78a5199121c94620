/**
 * The files of VFIO that a process has open. A child of fork has the same files open until it ends.
 *
 * @source kernel/fork.c copy_files, drivers/vfio/group.c, 6.16; recordings `more`, grp09
 */
import type { GuestDevice, GuestGroup } from './guest-devices.ts';

/** Group and device files of one process, in the order in which their groups joined. */
export class OpenFiles {
  /** Groups whose file is open. */
  readonly groups: Set<GuestGroup> = new Set();
  /** Devices whose own file is open. */
  readonly devices: Set<GuestDevice> = new Set();

  /**
   * What a child of fork has open.
   *
   * @returns the same files, of which each may close its own
   */
  copy(): OpenFiles {
    const files = new OpenFiles();
    for (const group of this.groups) files.groups.add(group);
    for (const device of this.devices) files.devices.add(device);
    return files;
  }
}
