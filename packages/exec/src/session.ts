/** A program's run: its files, the memory of its processes, and the model that they work on. */
import { ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineLine } from '@pinfold/scenario';
import { ioctlsOf } from '@pinfold/uapi';
import { closeDevices, makeDevices, type ExecDevice } from './devices.ts';
import { ContainerFile } from './files/container-file.ts';
import { DeviceFile } from './files/device-file.ts';
import { GroupFile } from './files/group-file.ts';
import { ERRNO, returned, type VfioFile } from './files/vfio-file.ts';
import { MirroredMemory } from './mirrored-memory.ts';
import { ExecModel } from './model.ts';
import { MEMORY, REQUEST, type Reply, type Request } from './protocol.ts';

/** What a session is made with. */
export interface SessionOptions {
  /** Name of the kernel release. */
  readonly kernel: string;
  /** The machine. */
  readonly machine: MachineLine;
  /** Folder for the files that the program sees. */
  readonly root: string;
  /** RLIMIT_MEMLOCK in bytes, Infinity for none; null: the process is privileged. */
  readonly memlock: number | null;
}

/** Offsets in the page that the model shares with every process. */
const SHARED = { watchesMemory: 8, hasDevice: 12, size: 4096 };
const UNLIMITED = 2n ** 63n;
const PATH_OF_GROUP = /^\/dev\/vfio\/(\d+)$/u;

/** A limit of the model, told as one. */
const SECOND_PROCESS = 'a further process: its memory is taken for memory of the first';

/** The run of one program. */
export class ExecSession {
  /** The model. */
  readonly model: ExecModel;
  /** Calls that the model does not know, with how often they were made. */
  readonly notModelled: Map<string, number> = new Map();
  /** Faults of pinfold's own, for the report. */
  readonly faults: string[] = [];
  readonly #devices: readonly ExecDevice[];
  readonly #files = new Map<bigint, VfioFile>();
  readonly #memories = new Map<number, MirroredMemory>();
  /** Devices whose descriptor is yet to be fetched, by the number that stands for it. */
  readonly #promised = new Map<number, ExecDevice>();
  readonly #shared: number;
  #containers = 0;
  #promises = 0;

  /**
   * @param options kernel, machine and limits
   * @throws {InputError} for a kernel that is not modelled
   */
  constructor(options: SessionOptions) {
    const { kernel, machine, root, memlock } = options;
    this.model = new ExecModel(kernel, machine);
    this.#devices = makeDevices(this.model.description, root);
    this.#shared = openSync(join(root, '.shared'), 'w+');
    ftruncateSync(this.#shared, SHARED.size);
    if (memlock !== null) {
      this.model.perform({ op: 'dropcap' });
      this.#limit(memlock === Infinity ? UNLIMITED : BigInt(memlock));
    }
  }

  /** Files that are open, in words. */
  get openFiles(): readonly string[] {
    return [...this.#files.values()].map(({ name }) => name);
  }

  /**
   * Answers a request.
   *
   * @param request the request
   * @returns the reply
   */
  answer(request: Request): Reply {
    switch (request.kind) {
      case REQUEST.open:
        return this.#open(request);
      case REQUEST.adopt:
        return this.#adopt(request);
      case REQUEST.ioctl:
        return this.#ioctl(request);
      case REQUEST.memory:
        return this.#memoryChanged(request);
      case REQUEST.mmapDevice:
        return this.#mmapDevice(request);
      case REQUEST.deviceMapped:
        return this.#deviceMapped(request);
      case REQUEST.deviceRead:
      case REQUEST.deviceWrite:
        return this.#deviceAccess(request);
      case REQUEST.rlimit:
        this.#limit(BigInt.asUintN(64, request.args[0] ?? 0n));
        return returned(0);
      default:
        return returned(0);
    }
  }

  /**
   * Notes a fault of pinfold.
   *
   * @param error what was thrown
   */
  failed(error: unknown): void {
    this.faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  /**
   * Closes files of which no descriptor is left, in the order in which they were opened.
   *
   * @param inodes their inodes
   */
  closeFiles(inodes: ReadonlySet<bigint>): void {
    for (const [inode, file] of [...this.#files]) {
      if (!inodes.has(inode)) continue;
      this.#files.delete(inode);
      file.closed();
    }
  }

  /** Ends the session. */
  end(): void {
    closeDevices(this.#devices);
  }

  #open({ args, payload }: Request): Reply {
    const path = payload.toString('utf8');
    const file = this.#openedFile(path);
    if (typeof file === 'number') return returned(file);
    this.#files.set(args[0] ?? 0n, file);
    this.#share(SHARED.hasDevice);
    return returned(0);
  }

  #openedFile(path: string): VfioFile | number {
    if (path === '/dev/vfio/vfio') {
      this.#containers += 1;
      return new ContainerFile(this.model, this.#containers === 1 ? 'C' : `C${this.#containers}`);
    }
    const number = Number(PATH_OF_GROUP.exec(path)?.[1]);
    const device = this.#devices.find(({ group }) => group === number);
    if (!device) {
      if (path === '/dev/iommu' || path.startsWith('/dev/vfio/devices/'))
        this.#unknown(`open ${path}`);
      return -ERRNO.ENOENT;
    }
    const { code } = this.model.perform({ op: 'opengroup', dev: device.alias });
    if (code < 0) return code;
    return new GroupFile(this.model, device, (each) => this.#promise(each));
  }

  #promise(device: ExecDevice): number {
    this.#promises += 1;
    this.#promised.set(this.#promises, device);
    return this.#promises;
  }

  #adopt({ args }: Request): Reply {
    const number = Number(args[1] ?? 0n);
    const device = this.#promised.get(number);
    if (!device) return returned(-ERRNO.EINVAL);
    this.#promised.delete(number);
    this.#files.set(args[0] ?? 0n, new DeviceFile(this.model, device));
    return returned(0);
  }

  #ioctl({ pid, args, payload: bytes }: Request): Reply {
    const [inode = 0n, number = 0n, argument = 0n, other = 0n] = args;
    const file = this.#files.get(inode);
    if (!file) return { ret: 0, foreign: true };
    const command = Number(number);
    const call = { command, argument, bytes, other: this.#files.get(other) };
    const memory = this.#memoryOf(pid);
    const reply = file.ioctl({ ...call, memory });
    if (memory.any) this.#share(SHARED.watchesMemory);
    if (reply) return reply;
    const known = ioctlsOf(command);
    const [own] = known.filter(({ file: kind }) => file.kinds.includes(kind));
    const name = own?.name ?? `ioctl 0x${command.toString(16)}`;
    if (own || known.length === 0) this.#unknown(`${name} of ${file.name}`);
    return returned(-ERRNO.ENOTTY);
  }

  #memoryChanged({ pid, args }: Request): Reply {
    const [what = 0n, va = 0n, size = 0n, third = 0n, , fifth = 0n] = args;
    const memory = this.#memoryOf(pid);
    switch (Number(what)) {
      case MEMORY.mmap:
      case MEMORY.munmap:
        memory.forget(va, size);
        break;
      case MEMORY.mremap:
        memory.move(va, size, third, fifth);
        break;
      case MEMORY.madvise:
        memory.advise(va, size, Number(third));
        break;
      case MEMORY.mprotect:
        memory.protect(va, size, Number(third));
        break;
      case MEMORY.mlock:
        memory.lock('mlock', va, size);
        break;
      case MEMORY.munlock:
        memory.lock('munlock', va, size);
        break;
    }
    return returned(0);
  }

  #mmapDevice({ args }: Request): Reply {
    const [inode = 0n, offset = 0n, size = 0n] = args;
    const file = this.#files.get(inode);
    if (!file) return { ret: 0, foreign: true };
    const found = file.mappable?.(offset, size) ?? -ERRNO.ENODEV;
    return typeof found === 'number' ? returned(found) : { ret: 0, map: found };
  }

  #deviceMapped({ pid, args }: Request): Reply {
    const [inode = 0n, offset = 0n, size = 0n, prot = 0n, , va = 0n] = args;
    this.#files.get(inode)?.mapped?.(this.#memoryOf(pid), va, offset, size, Number(prot));
    this.#share(SHARED.watchesMemory);
    return returned(0);
  }

  #deviceAccess({ kind, args, payload: bytes }: Request): Reply {
    const [inode = 0n, offset = 0n, size = 0n, address = 0n] = args;
    const file = this.#files.get(inode);
    if (!file) return { ret: 0, foreign: true };
    const call = { offset, size: Number(size), address, bytes };
    return file.access?.(call, kind === REQUEST.deviceWrite) ?? returned(-ERRNO.EINVAL);
  }

  #memoryOf(pid: number): MirroredMemory {
    let memory = this.#memories.get(pid);
    if (!memory) {
      const n = this.#memories.size;
      if (n > 0) this.#unknown(SECOND_PROCESS);
      memory = new MirroredMemory(this.model, pid, n === 0 ? 'm' : `p${n}m`);
      this.#memories.set(pid, memory);
    }
    return memory;
  }

  #limit(bytes: bigint): void {
    this.model.perform({ op: 'memlock', bytes });
  }

  #share(offset: number): void {
    const one = Buffer.alloc(4);
    one.writeInt32LE(1);
    writeSync(this.#shared, one, 0, one.length, offset);
  }

  #unknown(what: string): void {
    this.notModelled.set(what, (this.notModelled.get(what) ?? 0) + 1);
  }
}
