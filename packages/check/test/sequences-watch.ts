/**
 * Watches what a device can reach: the frames that its IOMMU maps, and those that were unmapped and
 * whose IOTLB entries are not flushed yet. A frame that is freed or handed out meanwhile is what
 * the order unmap, IOTLB flush, unpin is there to prevent.
 */
import { X86_64 } from '@pinfold/base';
import { IommuDomain, type IotlbGather } from '@pinfold/iommu';
import { FrameRun, type FrameSource } from '@pinfold/mm';

/** Pages with consecutive frames. */
interface Run {
  readonly iovaPn: number;
  readonly pfn: number;
  readonly npage: number;
}

/** The watch that sees the calls of all domains now; one machine runs at a time. */
let current: DeviceWatch | null = null;

/** What a device can reach on one machine, from its construction until `stop`. */
export class DeviceWatch {
  /** What it saw that must not be. */
  readonly violations: string[] = [];
  /** Per section and page: by how many IOMMU entries, flushed or not, the frame can be reached. */
  readonly #reach = new Map<number, Uint16Array>();
  readonly #mapped = new WeakMap<IommuDomain, Run[]>();
  readonly #unflushed = new WeakMap<IotlbGather, Run[]>();
  readonly #unwatch: () => void;

  /**
   * Begins to watch.
   *
   * @param frames the machine's frames; told of what is handed out and freed
   */
  constructor(frames: FrameSource) {
    if (current) throw new Error('one machine is watched at a time');
    this.#unwatch = watchDomains();
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the patched calls find it there
    current = this;
    const framesFor = frames.framesFor.bind(frames);
    const framesFreed = frames.framesFreed?.bind(frames);
    frames.framesFor = (vpn, npage, order, out: FrameRun, pageFlags): void => {
      framesFor(vpn, npage, order, out, pageFlags);
      if (out.pfn >= 0) this.#check(out.pfn, 2 ** out.order, 'handed out');
    };
    frames.framesFreed = (pfn, order, pageFlags): void => {
      this.#check(pfn, 2 ** order, 'freed');
      framesFreed?.(pfn, order, pageFlags);
    };
  }

  /**
   * The calls of all domains are the model's own again. Test files share their modules: a watch left
   * in place keeps a list of every page that any later test maps, and searches it at every unmap.
   */
  stop(): void {
    this.#unwatch();
    current = null;
  }

  /** A domain has mapped a run. */
  map(domain: IommuDomain, run: Run): void {
    const runs = this.#mapped.get(domain) ?? [];
    this.#mapped.set(domain, runs);
    runs.push(run);
    this.#add(run, 1);
  }

  /** A domain has unmapped pages; without a gather they are flushed. */
  unmap(domain: IommuDomain, iovaPn: number, npage: number, gather: IotlbGather | null): void {
    const end = iovaPn + npage;
    const left: Run[] = [];
    const taken: Run[] = [];
    for (const run of this.#mapped.get(domain) ?? []) {
      const runEnd = run.iovaPn + run.npage;
      const [from, to] = [Math.max(iovaPn, run.iovaPn), Math.min(end, runEnd)];
      if (from >= to) {
        left.push(run);
        continue;
      }
      const part = (start: number, stop: number): Run => ({
        ...{ iovaPn: start, pfn: run.pfn + (start - run.iovaPn), npage: stop - start },
      });
      taken.push(part(from, to));
      if (run.iovaPn < from) left.push(part(run.iovaPn, from));
      if (to < runEnd) left.push(part(to, runEnd));
    }
    this.#mapped.set(domain, left);
    if (gather) this.#unflushed.set(gather, [...(this.#unflushed.get(gather) ?? []), ...taken]);
    else for (const run of taken) this.#add(run, -1);
  }

  /** The IOTLB entries of a gather are gone. */
  flush(gather: IotlbGather): void {
    for (const run of this.#unflushed.get(gather) ?? []) this.#add(run, -1);
    this.#unflushed.delete(gather);
  }

  #add({ pfn, npage }: Run, by: number): void {
    for (let at = pfn; at < pfn + npage; at++) this.#section(at)[at % X86_64.sectionPages] += by;
  }

  #section(pfn: number): Uint16Array {
    const section = Math.floor(pfn / X86_64.sectionPages);
    const known = this.#reach.get(section) ?? new Uint16Array(X86_64.sectionPages);
    this.#reach.set(section, known);
    return known;
  }

  #check(pfn: number, npage: number, what: string): void {
    for (let at = pfn; at < pfn + npage; at++) {
      if (this.#reach.get(Math.floor(at / X86_64.sectionPages))?.[at % X86_64.sectionPages]) {
        this.violations.push(`frame ${at} is ${what} while the device can reach it`);
        return;
      }
    }
  }
}

/**
 * Puts the watch in front of the calls of every domain.
 *
 * @returns takes it away again
 */
function watchDomains(): () => void {
  const domain = IommuDomain.prototype;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- each is called on its own domain
  const { map, unmap, unmapFast, iotlbSync } = domain;
  domain.map = function (this: IommuDomain, iovaPn, pfn, npage, prot): number {
    const ret = map.call(this, iovaPn, pfn, npage, prot);
    if (ret === 0) current?.map(this, { iovaPn, pfn, npage });
    return ret;
  };
  domain.unmap = function (this: IommuDomain, iovaPn, npage): number {
    const unmapped = unmap.call(this, iovaPn, npage);
    current?.unmap(this, iovaPn, unmapped, null);
    return unmapped;
  };
  domain.unmapFast = function (this: IommuDomain, iovaPn, npage, gather): number {
    const unmapped = unmapFast.call(this, iovaPn, npage, gather);
    current?.unmap(this, iovaPn, unmapped, gather);
    return unmapped;
  };
  domain.iotlbSync = function (this: IommuDomain, gather): void {
    iotlbSync.call(this, gather);
    current?.flush(gather);
  };
  return () => {
    Object.assign(domain, { map, unmap, unmapFast, iotlbSync });
  };
}
