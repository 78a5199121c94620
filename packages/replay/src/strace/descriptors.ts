/** What the descriptors of processes are: through open, dup, fork and close. */

/** What a descriptor stands for. */
export interface OpenFile {
  /** Kind of file. */
  readonly kind: 'container' | 'group' | 'device' | 'iommufd' | 'memfd' | 'file';
  /** Its path, or what stands for it. */
  readonly path: string;
  /** Size of its huge pages in bytes, of hugetlbfs and memfds of such pages. */
  readonly hugePage?: number;
  /** Tells containers and iommufds apart. */
  readonly id: string;
}

const MIB2 = 2 ** 21;
const GIB = 2 ** 30;

/**
 * What a path stands for.
 *
 * @param path the path
 * @param id what tells it from others
 * @returns the file
 */
export function fileOfPath(path: string, id: string): OpenFile {
  if (path === '/dev/vfio/vfio') return { kind: 'container', path, id };
  if (path === '/dev/iommu') return { kind: 'iommufd', path, id };
  if (path.includes('vfio-device') || path.startsWith('/dev/vfio/devices/')) {
    return { kind: 'device', path, id };
  }
  if (/^\/dev\/vfio\/(?:noiommu-)?\d+$/.test(path)) return { kind: 'group', path, id };
  if (/\/sys\/.*\/resource\d/.test(path)) return { kind: 'device', path, id };
  if (/huge/i.test(path) && !path.startsWith('/sys') && !path.startsWith('/proc')) {
    const hugePage = /1G|1048576/i.test(path) ? GIB : MIB2;
    return { kind: 'file', path, id, hugePage };
  }
  if (path.startsWith('/memfd:') || path.startsWith('/dev/shm/')) {
    return { kind: 'memfd', path, id };
  }
  return { kind: 'file', path, id };
}

/** The descriptors of all processes of a log. */
export class Descriptors {
  readonly #processes = new Map<number, Map<number, OpenFile>>();
  #ids = 0;

  /**
   * What a descriptor stands for.
   *
   * @param process the process
   * @param fd the descriptor
   * @returns the file; undefined if the log has not said
   */
  get(process: number, fd: number): OpenFile | undefined {
    return this.#processes.get(process)?.get(fd);
  }

  /**
   * Takes in that a path was opened.
   *
   * @param process the process
   * @param fd its new descriptor
   * @param path the path
   * @returns the file
   */
  open(process: number, fd: number, path: string): OpenFile {
    const file = fileOfPath(path, `${process}:${fd}#${this.#ids++}`);
    return this.set(process, fd, file);
  }

  /**
   * Takes in what a descriptor stands for.
   *
   * @param process the process
   * @param fd the descriptor
   * @param file the file
   * @returns the file
   */
  set(process: number, fd: number, file: OpenFile): OpenFile {
    this.#table(process).set(fd, file);
    return file;
  }

  /**
   * Takes in that a descriptor was closed.
   *
   * @param process the process
   * @param fd the descriptor
   * @returns the file, if that was its last descriptor in any process
   */
  close(process: number, fd: number): OpenFile | null {
    const table = this.#table(process);
    const file = table.get(fd);
    table.delete(fd);
    if (!file) return null;
    for (const other of this.#processes.values()) {
      for (const one of other.values()) if (one.id === file.id) return null;
    }
    return file;
  }

  /**
   * Takes in that a process has a child.
   *
   * @param parent the process
   * @param child the child
   * @param shares whether both have one table from here on (a thread)
   */
  fork(parent: number, child: number, shares: boolean): void {
    const table = this.#table(parent);
    this.#processes.set(child, shares ? table : new Map(table));
  }

  #table(process: number): Map<number, OpenFile> {
    let table = this.#processes.get(process);
    if (!table) {
      // The first lines of a log may come from threads of which it does not know the process.
      table = new Map();
      this.#processes.set(process, table);
    }
    return table;
  }
}
