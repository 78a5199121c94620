/**
 * Random scenarios, as text: every op that the model has, on the addresses and sizes where the code
 * decides. A scenario follows from its seed alone.
 *
 * The writer does not know what its steps will return; it keeps a guess of what is mapped, so that
 * most steps meet something and some do not.
 */
import { mulberry32 } from '@pinfold/base';
import type { SequenceMachine } from './sequences-machines.ts';

/** A region, as far as the writer knows. */
interface GuessedRegion {
  readonly name: string;
  readonly kind: string;
  readonly pages: number;
  /** Pages that later mmaps and munmaps may not cut. */
  readonly unit: number;
}

/** A mapping that was asked for. */
interface GuessedMap {
  readonly iova: bigint;
  readonly size: bigint;
  readonly va: string;
}

type Weighted = readonly (readonly [weight: number, write: (writer: Writer) => string])[];

const PAGE = 4096n;
const MIB = 2n ** 20n;
const GIB = 2n ** 30n;
/** The window of interrupts, at both of whose ends mappings are refused. */
const MSI = { start: 0xfee00000n, end: 0xfef00000n };
const TYPE1 = '/sys/module/vfio_iommu_type1/parameters/';
const THP = '/sys/kernel/mm/transparent_hugepage/';
const U64_END = 2n ** 64n;
const DEVICES = ['edu', 'ivsh16', 'ivsh1g'] as const;

/** Writes one scenario. */
class Writer {
  readonly random: () => number;
  readonly machine: SequenceMachine;
  readonly #regions: GuessedRegion[] = [];
  #maps: GuessedMap[] = [];
  /** Regions behind which another one lies. */
  readonly #extended = new Set<string>();
  readonly #devices = new Set<string>();
  #names = 0;
  /** Whether the container is (probably) v2, so that dirty pages can be tracked. */
  type = '';
  tracking = false;
  /** Lines that come next. */
  readonly next: string[] = [];

  constructor(machine: SequenceMachine, seed: number) {
    this.machine = machine;
    const mixed = Array.from(machine.name).reduce(
      (hash, c) => hash * 31 + c.charCodeAt(0),
      seed * 2654435761,
    );
    this.random = mulberry32(mixed);
  }

  int(max: number): number {
    return Math.floor(this.random() * max);
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)];
  }

  choose(list: Weighted): string {
    let at = this.random() * list.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, write] of list) {
      at -= weight;
      if (at < 0) return write(this);
    }
    return 'info';
  }

  /** A number of pages at which something begins to be different. */
  pages(max: number): number {
    const near = this.pick([1, 2, 3, 8, 16, 64, 256, 512, 512, 1024, 1536]);
    return Math.max(1, Math.min(max, near + this.pick([0, 0, 0, -1, 1])));
  }

  get region(): GuessedRegion | undefined {
    // The last regions are more interesting than the first.
    const at = Math.max(this.int(this.#regions.length), this.int(this.#regions.length));
    return this.#regions[at];
  }

  get map(): GuessedMap | undefined {
    return this.#maps[this.int(this.#maps.length)];
  }

  /** A part of a region: the whole, its ends, or something inside; the start as text. */
  part(region: GuessedRegion, aligned: number): { va: string; pages: number; off: number } {
    const { name, pages } = region;
    const unit = region.unit > 1 && this.chance(aligned) ? region.unit : 1;
    const whole = Math.floor(pages / unit);
    const n = this.chance(0.35) ? whole : Math.min(whole, Math.max(1, this.pages(whole)));
    const from = this.pick([0, 0, whole - n, this.int(whole - n + 1)]);
    const off = from * unit;
    return { va: off === 0 ? name : `${name}+${off}P`, pages: n * unit, off };
  }

  /** Opens the container; one that is open is mostly closed first. */
  open(): string {
    if (this.type !== '' && this.chance(0.8)) return this.close();
    const nesting = this.chance(0.02);
    this.type = nesting ? 'nesting' : this.chance(0.2) ? 'v1' : 'v2';
    return `open type=${this.type}${this.chance(0.3) ? ` dev=${this.pick(DEVICES)}` : ''}`;
  }

  close(): string {
    this.#maps = [];
    this.type = '';
    this.tracking = false;
    return 'close';
  }

  mmap(): string {
    const name = `R${this.#names++}`;
    const [kind, unit] = this.pick([
      ...([
        ['anon', 1],
        ['anon', 1],
        ['anon', 1],
        ['anon', 1],
        ['memfd', 1],
      ] as const),
      ...([
        ['huge2m', 512],
        ['memfd2m', 512],
        ['file', 1],
        ['bar', 1],
      ] as const),
      ...(this.chance(0.05)
        ? ([
            ['huge1g', 2 ** 18],
            ['memfd1g', 2 ** 18],
          ] as const)
        : []),
    ]);
    const pages = unit > 1 ? unit * (unit > 512 ? 1 : 1 + this.int(3)) : this.pages(1600);
    const { addr, fixed } = this.#place(unit);
    const options = this.#mmapOptions(kind, pages, fixed);
    this.#regions.push({ name, kind, pages, unit });
    return `mmap name=${name} kind=${kind} size=${pages}P${addr}${options}`;
  }

  #mmapOptions(kind: string, pages: number, fixed: boolean): string {
    const device = kind === 'bar';
    const flags = [
      ...(device ? [] : [this.chance(kind === 'anon' ? 0.1 : 0.6) ? 'shared' : 'private']),
      ...(!device && this.chance(0.3) ? ['populate'] : []),
      ...(this.chance(0.06) ? ['locked'] : []),
      ...(this.chance(0.06) ? ['noreserve'] : []),
      ...(kind !== 'anon' && !device && this.chance(0.3) ? ['filled'] : []),
      ...(fixed ? ['fixed'] : []),
    ];
    return [
      flags.length > 0 ? ` flags=${flags.join(',')}` : '',
      this.chance(0.06) ? ` prot=${this.pick(['r', 'none', 'w', 'rwx'])}` : '',
      kind === 'anon' && this.chance(0.3) ? ` advise=${this.pick(['huge', 'nohuge'])}` : '',
      ...(device ? [this.#bar()] : []),
      ...(kind === 'file' ? [this.#file(pages)] : []),
      ...(kind.startsWith('memfd') ? [this.#memfd(kind)] : []),
    ].join('');
  }

  #bar(): string {
    const dev = this.pick(this.#devices.size > 0 ? [...this.#devices] : DEVICES);
    const off = this.chance(0.3) ? ` off=${this.int(8)}P` : '';
    return ` dev=${dev} bar=${dev === 'edu' ? 0 : 2}${off}`;
  }

  #file(pages: number): string {
    return [
      ` path=${this.pick(['/tmp/a', '/tmp/b', '/root/c'])}`,
      this.chance(0.3) ? ` fsize=${this.pages(pages + 8)}P` : '',
      this.chance(0.3) ? ` off=${this.pick([1, 8, 16, 512])}P` : '',
    ].join('');
  }

  /** The memfd of another region, sometimes. */
  #memfd(kind: string): string {
    const memfds = this.#regions.filter((region) => region.kind === kind);
    return memfds.length > 0 && this.chance(0.3) ? ` of=${this.pick(memfds).name}` : '';
  }

  /** Where a region lies: alone, right behind another one, or over a part of it. */
  #place(unit: number): { addr: string; fixed: boolean } {
    const { region } = this;
    const alone = { addr: '', fixed: false };
    if (this.chance(0.05)) {
      const addr = 0x2000000000n + BigInt(this.int(4096) * unit) * PAGE;
      return { addr: ` addr=${hex(addr)}`, fixed: false };
    }
    if (!region || this.chance(0.5) || (unit > 1 && region.unit !== unit)) return alone;
    const { name, pages } = region;
    if (this.chance(0.7)) {
      if (this.#extended.has(name)) return alone;
      this.#extended.add(name);
      return { addr: ` addr=${name}.end${this.chance(0.2) ? `+${unit}P` : ''}`, fixed: false };
    }
    const off = unit * this.int(Math.max(1, Math.floor(pages / unit)));
    return { addr: ` addr=${name}+${off}P`, fixed: this.chance(0.8) };
  }

  touch(): string {
    const { region } = this;
    if (!region) return this.mmap();
    const { va, pages } = this.part(region, 0);
    const mode = this.chance(0.35) ? 'r' : 'w';
    if (this.chance(0.2)) {
      const list = Array.from({ length: 1 + this.int(6) }, () => this.int(pages));
      return `touch va=${va} pages=${list.join(',')} mode=${mode}`;
    }
    const stride = this.pick(['', '', ' stride=3P', ' stride=64P', ' stride=2M']);
    const order = this.pick(['', '', ' order=rev', ` order=rand seed=${this.int(99)}`]);
    const limit = Math.min(pages, stride === '' ? 600 : 1600);
    return `touch va=${va} size=${limit}P mode=${mode}${stride}${order}`;
  }

  /** An op on a range of memory. */
  range(op: string, extra = '', aligned = 0.8): string {
    const { region } = this;
    if (!region) return this.mmap();
    const { va, pages } = this.part(region, aligned);
    const more = this.chance(0.08) ? this.pick([1, 3, 512]) : 0;
    return `${op} va=${va} size=${pages + more}P${extra}`;
  }

  /** Memory that moves, mostly to a place of the same alignment, grows or shrinks. */
  mremap(): string {
    const place = `0x60${this.int(256).toString(16).padStart(2, '0')}${this.pick(['000000', '200000', '001000'])}`;
    const how = this.pick([` to=${place}`, ` to=${place}`, ' maymove=1', '']);
    const length = this.chance(0.4) ? ` newsize=${this.pages(1536)}P` : '';
    return this.range('mremap', `${length}${how} name=R${this.#names++}`);
  }

  /** Where a mapping may lie: congruent to the memory or not, near the borders, over another one. */
  #iova(off: number): bigint {
    const { map } = this;
    const aperture = 2n ** BigInt(this.machine.awBits);
    const shift = BigInt(off) * PAGE;
    const pages = BigInt(this.int(1200)) * PAGE;
    return this.pick([
      ...[GIB + shift, 4n * GIB + shift, GIB * BigInt(1 + this.int(8)) + shift],
      ...[GIB + shift + PAGE, BigInt(this.int(64)) * 2n * MIB, pages],
      map ? map.iova + map.size : 0n,
      map ? map.iova + map.size + 2n * MIB - (map.size % (2n * MIB)) : 0n,
      ...(this.chance(0.3) ? [map ? map.iova + PAGE : 0n] : []),
      ...(this.chance(0.3) ? [MSI.start - pages, MSI.end, MSI.start, MSI.end - PAGE] : []),
      ...(this.chance(0.3)
        ? [aperture - pages, aperture - 2n * MIB, aperture, 2n ** 64n - pages - PAGE]
        : []),
      ...(this.chance(0.1) ? [pages + 1n, 2n ** 63n] : []),
    ]);
  }

  mapDma(): string {
    const { region } = this;
    if (!region) return this.mmap();
    if (this.chance(0.06) && this.map) return this.#mapVaddr(this.map);
    const { va, pages, off } = this.part(region, 0.2);
    const beyond = this.chance(0.06) ? this.pick([1, 2, 512]) : 0;
    const iova = this.#iova(off);
    const odd = this.chance(0.02) ? '+1' : '';
    const size = BigInt(pages + beyond) * PAGE;
    const flags = this.pick([
      '',
      '',
      '',
      '',
      ' flags=r',
      ' flags=r',
      ' flags=w',
      ...(this.chance(0.1) ? [' flags=0', ' flags=vaddr', ' flags=8'] : []),
    ]);
    const argsz = this.chance(0.01) ? ' argsz=31' : '';
    this.#maps.push({ iova, size, va });
    if (this.chance(0.15)) this.#dropLater(va, pages);
    return `map iova=${hex(iova)} va=${va} size=${pages + beyond}P${odd}${flags}${argsz}`;
  }

  /** What is pinned is dropped and faulted in again: the file's page, or a new one. */
  #dropLater(va: string, pages: number): void {
    const size = `${Math.min(pages, 64)}P`;
    this.next.push(
      this.chance(0.3) ? 'fork' : `madvise va=${va} size=${size} advice=dontneed`,
      `touch va=${va} size=${size} mode=${this.pick(['r', 'w'])}`,
    );
  }

  #mapVaddr({ iova, size, va }: GuessedMap): string {
    const other = this.region;
    const to = other && this.chance(0.4) ? other.name : va;
    return `map iova=${hex(iova)} va=${to} size=${hex(size)} flags=vaddr`;
  }

  unmapDma(): string {
    const { map } = this;
    if (!map || this.chance(0.1)) {
      const flags = this.pick(['all', 'all,vaddr', 'all,vaddr', 'vaddr', 'all,bitmap']);
      if (flags === 'all') this.#maps = [];
      // A mapping that has its vaddr beside those that have lost theirs, and all of them again.
      if (flags === 'all,vaddr' && this.chance(0.5)) {
        this.next.push(this.mapDma(), 'unmap iova=0 size=0 flags=all,vaddr');
      }
      return `unmap iova=0 size=0 flags=${flags}`;
    }
    const { iova, size } = map;
    const [from, length] = this.pick([
      ...([
        [iova, size],
        [iova, size],
        [iova, size],
        [iova, size],
      ] as const),
      ...([
        [iova, size + 4n * MIB],
        [0n, iova + size],
        [iova - (iova % GIB), GIB],
      ] as const),
      ...([
        [iova + PAGE, size],
        [iova, size / 2n],
        [iova, 0n],
        [iova + size / 2n, size],
      ] as const),
      ...(this.chance(0.2)
        ? ([
            [iova, 2n ** 64n - iova],
            [iova, size + 1n],
            [0n, 2n ** 48n],
          ] as const)
        : []),
    ]);
    const flags = this.pick([
      '',
      '',
      '',
      '',
      ' flags=vaddr',
      ...(this.tracking || this.chance(0.1)
        ? [' flags=bitmap', ' flags=bitmap pgsize=2M', ' flags=bitmap bmsize=8']
        : []),
    ]);
    if (flags === '' && length >= size)
      this.#maps = this.#maps.filter((other) => other.iova !== iova);
    return `unmap iova=${hex(from)} size=${hex(length)}${flags}`;
  }

  dirty(): string {
    if (this.chance(0.4)) {
      this.tracking = this.chance(0.7);
      return `dirty what=${this.tracking ? 'start' : 'stop'}`;
    }
    const { map } = this;
    const iova = map ? map.iova : 0n;
    const size = this.pick([
      map?.size ?? GIB,
      map?.size ?? GIB,
      GIB,
      PAGE,
      (map?.size ?? 0n) + 2n * MIB,
    ]);
    const extra = this.chance(0.1)
      ? this.pick([' pgsize=2M', ' bmsize=8', ' bmsize=0', ' argsz=8'])
      : '';
    return `dirty what=get iova=${hex(iova)} size=${hex(size)}${extra}`;
  }

  sysfs(): string {
    return this.pick([
      `sysfs path=${TYPE1}disable_hugepages val=${this.pick(['Y', 'N', 'N'])}`,
      `sysfs path=${TYPE1}dma_entry_limit val=${this.pick([0, 1, 2, 3, 65535])}`,
      `sysfs path=${THP}enabled val=${this.pick(['always', 'madvise', 'never'])}`,
      `sysfs path=${THP}shmem_enabled val=${this.pick(['always', 'never', 'force', 'advise'])}`,
      `sysfs path=${THP}use_zero_page val=${this.pick([0, 1])}`,
      `sysfs path=${THP}hugepages-${this.pick([16, 64, 256, 1024, 2048])}kB/enabled val=${this.pick(['always', 'inherit', 'never', 'madvise'])}`,
    ]);
  }

  /** Devices to begin with. */
  devices(): string[] {
    const dev = this.pick(DEVICES);
    this.#devices.add(dev);
    return [`addgroup dev=${dev}`, `device dev=${dev}`];
  }

  device(): string {
    const dev = this.pick(DEVICES);
    if (this.chance(0.5) && !this.#devices.has(dev)) return `addgroup dev=${dev}`;
    this.#devices.add(dev);
    return this.pick([
      ...[`device dev=${dev}`, `device dev=${dev}`, `addgroup dev=${dev}`, `addgroup dev=${dev}`],
      ...[`pcicmd dev=${dev} val=${this.pick([0, 2, 6, 4])}`, `delgroup dev=${dev}`],
      ...[`pcicmd dev=${dev} val=${this.pick([0, 2, 6, 4])}`],
    ]);
  }
}

/** A number that fits into 64 bits. */
function hex(value: bigint): string {
  return `0x${(value < U64_END ? value : U64_END - PAGE).toString(16)}`;
}

const STEPS: Weighted = [
  [12, (w) => w.mmap()],
  [14, (w) => w.touch()],
  [20, (w) => w.mapDma()],
  [12, (w) => w.unmapDma()],
  [3, (w) => w.range('munmap')],
  [3, (w) => w.range('mprotect', ` prot=${w.pick(['r', 'rw', 'rw', 'rw', 'none', 'w'])}`)],
  [1, (w) => w.mremap()],
  [2, (w) => w.range('mlock')],
  [2, (w) => w.range('munlock')],
  [3, (w) => w.range('madvise', ' advice=dontneed')],
  [3, (w) => w.range('madvise', ' advice=collapse')],
  [2, (w) => w.range('madvise', ` advice=${w.pick(['huge', 'nohuge'])}`)],
  [2, (w) => w.range('madvise', ` advice=${w.pick(['popread', 'popwrite'])}`)],
  [3, () => 'fork'],
  [2, () => 'reap'],
  [4, (w) => w.dirty()],
  [4, (w) => w.device()],
  [2, (w) => w.sysfs()],
  [
    1.5,
    (w) => `memlock bytes=${w.pick(['0', '4K', '1M', '2M', '8M', '16M', '0xffffffffffffffff'])}`,
  ],
  [0.7, () => 'dropcap'],
  [0.5, () => 'info'],
  [0.6, (w) => w.close()],
  [0.8, (w) => w.open()],
  [0.2, (w) => w.pick(['opencontainer', 'setiommu type=3', 'setiommu type=1', 'setiommu type=9'])],
];

/**
 * Writes a random scenario.
 *
 * @param machine the machine that it is for: its address width decides where the borders are
 * @param seed decides everything
 * @returns its lines
 */
export function randomScenario(machine: SequenceMachine, seed: number): string[] {
  const writer = new Writer(machine, seed);
  const lines = writer.chance(0.1) ? [writer.sysfs()] : [];
  if (writer.chance(0.95)) lines.push(writer.open());
  if (writer.chance(0.3)) lines.push(...writer.devices());
  if (writer.chance(0.2))
    lines.push('dropcap', `memlock bytes=${writer.pick(['1M', '4M', '8M', '12M'])}`);
  const end = lines.length + 4 + writer.int(writer.pick([8, 16, 40]));
  lines.push(writer.mmap(), writer.touch());
  while (lines.length < end) {
    const planned = writer.next.shift();
    if (planned !== undefined) lines.push(planned);
    else
      lines.push(writer.type === '' && writer.chance(0.4) ? writer.open() : writer.choose(STEPS));
  }
  return lines;
}
