/** A program's run: its files, the memory of its processes, and the model that they work on. */
import { ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, type CounterValues } from '@pinfold/base';
import type { MachineLine } from '@pinfold/scenario';
import { ioctlsOf } from '@pinfold/uapi';
import { closeDevices, makeDevices, type ExecDevice } from './devices.ts';
import { ContainerFile } from './files/container-file.ts';
import { DeviceFile } from './files/device-file.ts';
import { GroupFile } from './files/group-file.ts';
import { IommufdFile } from './files/iommufd-file.ts';
import { ERRNO, returned, type VfioFile } from './files/vfio-file.ts';
import { MirroredMemory, type MemoryKind, type MemoryView } from './mirrored-memory.ts';
import { ExecModel, type MapFailure } from './model.ts';
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
  /** Files of sysfs that are written before the program begins; default none. */
  readonly sysfs?: readonly (readonly [path: string, value: string])[];
  /** Calls that fail: which map of the program, from 1, and what fails in it; default none. */
  readonly failures?: readonly MapFailure[];
  /** How the program's memory is looked at; default as it is. */
  readonly view?: MemoryView;
  /** Predicted nanoseconds of a call, which the program's clock shows; default: its clock is real. */
  readonly clock?: (call: TimedCall) => number;
}

/** A call whose time is predicted. */
export interface TimedCall {
  /** The call. */
  readonly op: 'map' | 'unmap';
  /** What the model counted. */
  readonly counters: CounterValues;
  /** What the memory is. */
  readonly memory: MemoryKind;
}

/** Offsets in the page that the model shares with every process. */
const SHARED = { watchesMemory: 8, hasDevice: 12, predictedClock: 16, lazy: 20, size: 4096 };
const AS_IT_IS: MemoryView = { lazy: false, hugetlbfs: null };
const UNLIMITED = 2n ** 63n;
const PATH_OF_DEVICE = /^\/dev\/vfio\/devices\/vfio(\d+)$/u;
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
  readonly #options: SessionOptions;
  /** What the memory of each mapping is, by its first iova. */
  readonly #mappedKinds = new Map<bigint, MemoryKind>();
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
    this.#options = options;
    this.model.failures = options.failures ?? [];
    this.model.counts = options.clock !== undefined;
    if (options.clock) this.#share(SHARED.predictedClock);
    if (options.view?.lazy) this.#share(SHARED.lazy);
    for (const [path, val] of options.sysfs ?? []) this.#writeSysfs(path, val);
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
    const path = Buffer.from(payload).toString('utf8');
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
    if (path === '/dev/iommu') return this.#openIommufd();
    const cdev = Number(PATH_OF_DEVICE.exec(path)?.[1]);
    const own = this.#devices.find(({ group }) => group === cdev + 1);
    if (own) return new DeviceFile(this.model, own, true);
    if (!device) return -ERRNO.ENOENT;
    const { code } = this.model.perform({ op: 'opengroup', dev: device.alias });
    if (code < 0) return code;
    return new GroupFile(this.model, device, (each) => this.#promise(each));
  }

  /** The model has one iommufd at a time. */
  #openIommufd(): VfioFile | number {
    const isOpen = [...this.#files.values()].some((file) => file instanceof IommufdFile);
    if (!isOpen) return new IommufdFile(this.model);
    this.#unknown('open /dev/iommu a second time');
    return -ERRNO.ENOENT;
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

  #ioctl({ pid, args, payload }: Request): Reply {
    const bytes = Buffer.from(payload);
    const [inode = 0n, number = 0n, argument = 0n, other = 0n] = args;
    const file = this.#files.get(inode);
    if (!file) return { ret: 0, foreign: true };
    const command = Number(number);
    const call = { command, argument, bytes, other: this.#files.get(other) };
    const memory = this.#memoryOf(pid);
    const at = this.model.done.length;
    const reply = file.ioctl({ ...call, memory });
    if (memory.any) this.#share(SHARED.watchesMemory);
    if (reply) return this.#timed(reply, at, memory);
    const known = ioctlsOf(command);
    const [own] = known.filter(({ file: kind }) => file.kinds.includes(kind));
    const name = own?.name ?? `ioctl 0x${command.toString(16)}`;
    if (own || known.length === 0) this.#unknown(`${name} of ${file.name}`);
    return returned(-ERRNO.ENOTTY);
  }

  /** The reply with the predicted time of the call that it answers. */
  #timed(reply: Reply, at: number, memory: MirroredMemory): Reply {
    const { clock } = this.#options;
    const { done, counted } = this.model;
    const operation = done
      .slice(at)
      .findLast(({ operation: { op } }) => op === 'map' || op === 'unmap');
    if (!clock || !counted || !operation) return reply;
    const { operation: call } = operation;
    if (call.op === 'map') {
      const kind = memory.kindAt(call.va);
      this.#mappedKinds.set(call.iova, kind);
      return { ...reply, modelNs: clock({ op: 'map', counters: counted, memory: kind }) };
    }
    if (call.op !== 'unmap') return reply;
    const kind = this.#mappedKinds.get(call.iova) ?? 'anon';
    return { ...reply, modelNs: clock({ op: 'unmap', counters: counted, memory: kind }) };
  }

  #writeSysfs(path: string, val: string): void {
    const { code } = this.model.perform({ op: 'sysfs', path, val });
    if (code < 0)
      throw new InputError(`--sysfs ${path}`, 'a value that the file takes', `'${val}'`);
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
      case MEMORY.populated:
        memory.populated(va, size);
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

  #deviceAccess({ kind, args, payload }: Request): Reply {
    const bytes = Buffer.from(payload);
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
      memory = new MirroredMemory(
        this.model,
        pid,
        n === 0 ? 'm' : `p${n}m`,
        this.#options.view ?? AS_IT_IS,
      );
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
