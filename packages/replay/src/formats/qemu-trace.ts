/**
 * Trace events of QEMU's VFIO code, as its `log` backend writes them (with `PID@TIME:` or without), and as
 * simpletrace.py prints those of the `simple` backend (`event 12.3 pid=1 iova_start=0x0 ...`).
 *
 * @source QEMU hw/vfio/trace-events
 */
import type { LogFormat, Sink } from '../log/entries.ts';
import { u64 } from '../log/numbers.ts';

const EVENT = /(?:^|[\s:])((?:vfio|iommufd)_\w+)[ :](.*)$/;
const HEX = '(0x[0-9a-fA-F]+)';
const RANGE = new RegExp(`${HEX} - ${HEX}`);
const LAST_BITS = 0xfffn;

/** Both ends of a range; QEMU writes the last byte, old releases of some events the byte after it. */
function sizeOfRange(first: bigint, last: bigint): bigint {
  return (last & LAST_BITS) === LAST_BITS ? last + 1n - first : last - first;
}

/** The first byte of a range, and its size. */
function rangeIn(text: string): { iova: bigint; size: bigint } | null {
  const [, first, last] = RANGE.exec(text) ?? [];
  if (first === undefined || last === undefined) return null;
  const iova = u64(first, 'the first address');
  return { iova, size: sizeOfRange(iova, u64(last, 'the last address')) };
}

/** The arguments of an event of the `simple` backend, in the words of the `log` backend. */
function argumentsOf(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/(\w+)=\s*('[^']*'|\S+)/g)].map(([, key, value]) => [
      key,
      value.replace(/,$/, ''),
    ]),
  );
}

type EventReader = (text: string, sink: Sink) => void;

const addRam: EventReader = (text, sink) => {
  const simple = argumentsOf(text);
  const [first, last] = [simple.get('iova_start'), simple.get('iova_end')];
  const [, written] = /\[(0x[0-9a-fA-F]+)\]/.exec(text) ?? [];
  const vaddr = written ?? simple.get('vaddr');
  const range = first !== undefined ? rangeIn(`${first} - ${last ?? ''}`) : rangeIn(text);
  if (!range || vaddr === undefined) {
    sink.missing('region_add');
    return;
  }
  sink.call({
    ...{ op: 'map', backend: 'type1', ...range, va: u64(vaddr, 'the address'), flags: 3 },
    errno: null,
  });
};

const del: EventReader = (text, sink) => {
  const simple = argumentsOf(text);
  const range = simple.has('start')
    ? rangeIn(`${simple.get('start') ?? ''} - ${simple.get('end') ?? ''}`)
    : rangeIn(text);
  if (!range) sink.missing('region_del');
  else sink.call({ op: 'unmap', backend: 'type1', ...range, flags: 0, errno: null });
};

const dirty: EventReader = (text, sink) => {
  const values = argumentsOf(text);
  const [iova, size, bitmapSize] = ['iova', 'size', 'bitmap_size'].map((key) => values.get(key));
  if (iova === undefined || size === undefined) return;
  sink.call({
    ...{ op: 'dirty', what: 'get', errno: null },
    ...{ iova: u64(iova, 'iova'), size: u64(size, 'size') },
    ...(bitmapSize !== undefined && { bitmapSize: u64(bitmapSize, 'bitmap_size') }),
  });
};

const notify: EventReader = (text, sink) => {
  const range = rangeIn(text);
  if (range && /UNMAP|unmap/.test(text)) {
    sink.call({ op: 'unmap', backend: 'type1', ...range, flags: 0, errno: null });
  } else sink.missing('map of a virtual IOMMU');
};

const iommufdMap: EventReader = (text, sink) => {
  const values = argumentsOf(text);
  const [iova, va, size] = ['iova', 'addr', 'size'].map((key) => values.get(key));
  const [, ret = '0'] = /\((-?\d+)\)\s*$/.exec(text) ?? [];
  const errno = ret === '0' || ret === '-0' ? null : undefined;
  if (iova === undefined || va === undefined || size === undefined) return;
  sink.call({
    ...{ op: 'map', backend: 'iommufd', iova: u64(iova, 'iova'), va: u64(va, 'addr') },
    ...{ size: u64(size, 'size'), flags: text.includes('readonly=1') ? 1 : 3 },
    ...(errno === null && { errno }),
  });
};

/** The events that tell of mappings; others of VFIO are read and tell nothing. */
const EVENTS: Readonly<Record<string, EventReader>> = {
  vfio_listener_region_add_ram: addRam,
  vfio_listener_region_del: del,
  vfio_iommu_map_notify: notify,
  vfio_get_dirty_bitmap: dirty,
  vfio_container_query_dirty_bitmap: dirty,
  iommufd_backend_map_dma: iommufdMap,
};

/** The format. */
export const qemuTrace: LogFormat = {
  name: 'QEMU trace',
  open: () => ({
    read(line, sink) {
      const [, event = '', text = ''] = EVENT.exec(line) ?? [];
      const known = Object.hasOwn(EVENTS, event);
      if (!known && !/^(?:\d+@[\d.]+:)?(?:vfio|iommufd)_\w+ (?!.*= -\d)/.test(line)) return false;
      if (known) EVENTS[event](text, sink);
      return true;
    },
  }),
};
