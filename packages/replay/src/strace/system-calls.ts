/** The system calls of an strace that concern mappings: a reader for each. */
import { ioctlNamed, ioctlsOf, type IoctlFile } from '@pinfold/uapi';
import type { Backing, CallFacts, Sink } from '../log/entries.ts';
import { isMappingIoctl, readIoctl } from '../log/ioctl-calls.ts';
import { Descriptors, fileOfPath, type OpenFile } from './descriptors.ts';
import { bytesOfString, fieldsOf, numberOf, readDescriptor, type WrittenCall } from './syntax.ts';

/** What readers know. */
export interface StraceContext {
  /** The descriptors. */
  readonly descriptors: Descriptors;
  /** Where to tell what was read. */
  readonly sink: Sink;
  /** The process that calls. */
  readonly process: number;
}

type SystemCall = (call: WrittenCall, context: StraceContext) => void;

const MIB2 = 2 ** 21;
const GIB = 2 ** 30;

function textOf(argument = ''): string {
  const bytes = bytesOfString(argument);
  return bytes ? String.fromCharCode(...bytes.slice(0, MAX_PATH)) : '';
}

const MAX_PATH = 4096;

/** Outcome, process and duration of a call. */
function factsOf({ errno, seconds }: WrittenCall, process: number, file?: OpenFile): CallFacts {
  return {
    ...{ errno, process },
    ...(file && { container: file.id }),
    ...(seconds !== undefined && { seconds }),
  };
}

/** What a descriptor is: as -y says it, or as the log has shown before. */
function fileAt(argument: string, { descriptors, process }: StraceContext): OpenFile | undefined {
  const { fd, path } = readDescriptor(argument);
  const known = descriptors.get(process, fd);
  if (known ?? path === undefined) return known;
  return descriptors.set(process, fd, fileOfPath(path ?? '', `${process}:${fd}`));
}

function opened(pathAt: number): SystemCall {
  return (call, { descriptors, sink, process }) => {
    if (call.errno !== null || call.result === undefined) return;
    const file = descriptors.open(process, Number(call.result), textOf(call.args[pathAt]));
    if (file.kind === 'container')
      sink.call({ op: 'opencontainer', ...factsOf(call, process, file) });
    if (file.kind === 'iommufd') sink.call({ op: 'iofd', ...factsOf(call, process, file) });
  };
}

const memfdCreate: SystemCall = (call, { descriptors, process }) => {
  if (call.errno !== null || call.result === undefined) return;
  const flags = call.args[1] ?? '';
  const huge = flags.includes('MFD_HUGETLB');
  const hugePage = /1GB|30<<|1G/.test(flags) ? GIB : MIB2;
  const fd = Number(call.result);
  const path = `/memfd:${textOf(call.args[0])}`;
  const id = `${process}:${fd}`;
  descriptors.set(process, fd, { kind: 'memfd', path, id, ...(huge && { hugePage }) });
};

const duplicate: SystemCall = (call, context) => {
  const file = fileAt(call.args[0] ?? '', context);
  if (file && call.errno === null) {
    context.descriptors.set(context.process, Number(call.result), file);
  }
};

const fcntl: SystemCall = (call, context) => {
  if ((call.args[1] ?? '').includes('F_DUPFD')) duplicate(call, context);
};

const close: SystemCall = (call, { descriptors, sink, process }) => {
  if (call.errno !== null) return;
  const file = descriptors.close(process, readDescriptor(call.args[0] ?? '').fd);
  const ends = file?.kind === 'container' || file?.kind === 'iommufd';
  if (ends) sink.call({ op: 'close', ...factsOf(call, process, file) });
};

const fork: SystemCall = (call, { descriptors, sink, process }) => {
  if (call.errno !== null || call.result === undefined) return;
  const flags = call.args.join(' ');
  const child = Number(call.result);
  descriptors.fork(process, child, flags.includes('CLONE_FILES'));
  const shares = flags.includes('CLONE_VM') || call.name === 'vfork';
  sink.call({ op: 'fork', child, shares, ...factsOf(call, process) });
};

/** Kind of file of an ioctl as uapi names it. */
const IOCTL_FILES: Readonly<Record<OpenFile['kind'], IoctlFile | undefined>> = {
  ...{ container: 'type1', group: 'group', device: 'device', iommufd: 'iommufd' },
  ...{ memfd: undefined, file: undefined },
};

/** The name of an ioctl: as written, one of several joined by `or`, or of its number. */
function ioctlName(written: string, file: OpenFile | undefined): string | null {
  const kind = file && IOCTL_FILES[file.kind];
  const [, commented] = /\/\* (.*) \*\//.exec(written) ?? [];
  const names = (commented ?? written).split(/ or /).map((name) => name.trim());
  const known = names.flatMap((name) => ioctlNamed(name) ?? []);
  const byIoc = /_IOC\([^,]*, (0x3b), (0x[0-9a-f]+|\d+), 0\)/.exec(written);
  const number = byIoc ? 0x3b00 + Number(byIoc[2]) : Number(numberOf(written) ?? 0n);
  const candidates = known.length > 0 ? known : ioctlsOf(number);
  const ofFile = candidates.filter(
    (one) => one.file === kind || (kind === 'type1' && one.file === 'vfio'),
  );
  // Where nobody knows the file, the ioctl of a container is meant.
  const best = ofFile[0] ?? candidates.find((one) => isMappingIoctl(one.name)) ?? candidates[0];
  return (best as { name: string } | undefined)?.name ?? null;
}

const ioctl: SystemCall = (call, context) => {
  const [fdText = '', command = '', argument = ''] = call.args;
  if (!/VFIO|IOMMU|3b[0-9a-f]{2}\b|0x3b/i.test(command) && Number(command) >> 8 !== 0x3b) return;
  const { descriptors, sink, process } = context;
  const file = fileAt(fdText, context);
  const name = ioctlName(command, file);
  if (name === null) return;
  const fd = readDescriptor(fdText).fd;
  const facts = {
    ...factsOf(call, process, file),
    ...(!file && { container: `${process}:${fd}` }),
  };
  switch (name) {
    case 'VFIO_SET_IOMMU':
      sink.call({ op: 'setiommu', type: Number(numberOf(argument) ?? 3n), ...facts });
      return;
    case 'VFIO_GROUP_SET_CONTAINER':
      sink.call({ op: 'addgroup', ...facts, ...containerOf(argument, context) });
      return;
    case 'VFIO_GROUP_GET_DEVICE_FD':
      if (call.errno === null && call.result !== undefined) {
        const path = 'anon_inode:[vfio-device]';
        descriptors.set(process, Number(call.result), {
          kind: 'device',
          path,
          id: `${process}:${call.result}`,
        });
      }
      return;
    default:
      if (isMappingIoctl(name)) readIoctl(name, argumentOf(argument), facts, sink);
  }
};

/** The container of a group: the descriptor that is passed, or the only one that the process has. */
function containerOf(argument: string, { descriptors, process }: StraceContext): CallFacts {
  const [, fd] = /^\[?(\d+)(?:<.*>)?\]?$/.exec(argument) ?? [];
  const file = fd === undefined ? undefined : descriptors.get(process, Number(fd));
  return file?.kind === 'container' ? { container: file.id } : { container: '' };
}

function argumentOf(argument: string): Map<string, bigint> | Uint8Array | null {
  return fieldsOf(argument) ?? bytesOfString(argument);
}

/** Access in the language's letters. */
function protOf(written = ''): string {
  const bits = numberOf(written);
  if (bits !== null && !written.includes('PROT')) {
    return `${bits & 1n ? 'r' : ''}${bits & 2n ? 'w' : ''}${bits & 4n ? 'x' : ''}` || 'none';
  }
  const letters = [
    written.includes('PROT_READ') ? 'r' : '',
    written.includes('PROT_WRITE') ? 'w' : '',
    written.includes('PROT_EXEC') ? 'x' : '',
  ].join('');
  return letters || 'none';
}

/** Flags of mmap as raw numbers. */
const RAW_FLAGS = {
  shared: 1n,
  anonymous: 0x20n,
  noreserve: 0x4000n,
  populate: 0x8000n,
  hugetlb: 0x4_0000n,
};

function kindOfMemory(flags: string, raw: bigint | null, file: OpenFile | undefined): Backing {
  const has = (name: string, bit: bigint): boolean =>
    raw === null ? flags.includes(name) : (raw & bit) !== 0n;
  if (has('MAP_ANONYMOUS', RAW_FLAGS.anonymous)) {
    if (!has('MAP_HUGETLB', RAW_FLAGS.hugetlb)) return 'anon';
    return /1GB|30<<MAP_HUGE_SHIFT/.test(flags) || (raw ?? 0n) >> 26n === 30n ? 'huge1g' : 'huge2m';
  }
  if (file?.kind === 'device') return 'bar';
  if (file?.hugePage !== undefined) return file.hugePage === GIB ? 'memfd1g' : 'memfd2m';
  return file?.kind === 'memfd' ? 'memfd' : 'file';
}

const mmap: SystemCall = (call, context) => {
  const [, size, prot, flags = '', fd = '-1'] = call.args;
  const va = numberOf(call.result ?? '');
  const bytes = numberOf(size ?? '');
  if (call.errno !== null || va === null || bytes === null) return;
  const raw = flags.includes('MAP_') ? null : numberOf(flags);
  const has = (name: string, bit: bigint): boolean =>
    raw === null ? flags.includes(name) : (raw & bit) !== 0n;
  context.sink.call({
    ...{ op: 'mmap', va, size: bytes, prot: protOf(prot) },
    kind: kindOfMemory(flags, raw, fileAt(fd, context)),
    shared: raw === null ? flags.includes('MAP_SHARED') : (raw & 3n) === RAW_FLAGS.shared,
    populate: has('MAP_POPULATE', RAW_FLAGS.populate),
    noreserve: has('MAP_NORESERVE', RAW_FLAGS.noreserve),
    ...factsOf(call, context.process),
  });
};

/** Address and length of a call; null if it has none. */
function rangeOf({ args }: WrittenCall): { va: bigint; size: bigint } | null {
  const [va, size] = [args[0] ?? '', args[1] ?? ''].map(numberOf);
  return va === null || size === null ? null : { va, size };
}

function ranged(op: 'munmap' | 'mlock' | 'munlock'): SystemCall {
  return (call, { sink, process }) => {
    const range = rangeOf(call);
    if (range && call.errno === null) sink.call({ op, ...range, ...factsOf(call, process) });
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  ...{ MADV_HUGEPAGE: 'huge', MADV_NOHUGEPAGE: 'nohuge', MADV_DONTNEED: 'dontneed' },
  ...{ MADV_COLLAPSE: 'collapse', MADV_POPULATE_READ: 'popread', MADV_POPULATE_WRITE: 'popwrite' },
  ...{ MADV_FREE: 'free', MADV_REMOVE: 'remove', MADV_DONTFORK: 'dontfork', MADV_DOFORK: 'dofork' },
  ...{ '4': 'dontneed', '8': 'free', '9': 'remove', '10': 'dontfork', '11': 'dofork' },
  ...{ '14': 'huge', '15': 'nohuge', '22': 'popread', '23': 'popwrite', '25': 'collapse' },
};

const madvise: SystemCall = (call, { sink, process }) => {
  const range = rangeOf(call);
  const [, , written = ''] = call.args;
  const number = numberOf(written);
  const advice = ADVICE[number === null ? written : String(number)];
  if (!range || call.errno !== null || (advice as string | undefined) === undefined) return;
  sink.call({ op: 'madvise', ...range, advice, ...factsOf(call, process) });
};

const mprotect: SystemCall = (call, { sink, process }) => {
  const range = rangeOf(call);
  if (!range || call.errno !== null) return;
  sink.call({ op: 'mprotect', ...range, prot: protOf(call.args[2]), ...factsOf(call, process) });
};

const mremap: SystemCall = (call, { sink, process }) => {
  const range = rangeOf(call);
  const newsize = numberOf(call.args[2] ?? '');
  const to = numberOf(call.result ?? '');
  if (!range || newsize === null || to === null || call.errno !== null) return;
  sink.call({ op: 'mremap', ...range, newsize, to, ...factsOf(call, process) });
};

const limit: SystemCall = (call, { sink }) => {
  const text = call.args.join(', ');
  if (!text.includes('RLIMIT_MEMLOCK') || call.errno !== null) return;
  const [, soft] = /rlim_cur=([^,}]+)/.exec(text) ?? [];
  if (soft === undefined) return;
  const bytes = soft.includes('INFINITY') ? Infinity : Number(numberOf(soft) ?? 0n);
  sink.fact(`RLIMIT_MEMLOCK is ${soft}`, (facts) => (facts.memlock = bytes));
};

const OUTPUTS = [1, 2];

const write: SystemCall = (call, { sink }) => {
  if (!OUTPUTS.includes(readDescriptor(call.args[0] ?? '').fd)) return;
  for (const line of textOf(call.args[1]).split('\n')) if (line.trim() !== '') sink.inner(line);
};

/** The system calls that matter, by name. */
export const systemCalls: Readonly<Record<string, SystemCall>> = {
  ...{ openat: opened(1), open: opened(0), creat: opened(0) },
  memfd_create: memfdCreate,
  ...{ dup: duplicate, dup2: duplicate, dup3: duplicate, fcntl, close },
  ...{ fork, vfork: fork, clone: fork, clone3: fork },
  ...{ ioctl, mmap, mmap2: mmap, munmap: ranged('munmap'), mlock: ranged('mlock') },
  ...{ munlock: ranged('munlock'), madvise, mprotect, mremap },
  ...{ setrlimit: limit, getrlimit: limit, prlimit64: limit, write },
};
