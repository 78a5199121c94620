/**
 * A scenario of a VFIO container in the calls of iommufd itself.
 *
 * @source reference iommufd.md §4 and §8; README-iofd, "Additional operations"
 */
import { InputError } from '@pinfold/base';

/** A scenario in other calls. */
export interface NativeScript {
  /** Its text. */
  readonly script: string;
  /** Of each of its lines, the line that it stands for, from 1. */
  readonly lines: readonly number[];
}

type Words = Readonly<Record<string, string>>;

/** Letters of IOAS_MAP's flags for those of MAP_DMA. */
const MAP_FLAGS: Readonly<Record<string, string>> = {
  ...{ rw: 'frw', r: 'fr', w: 'fw', '0': 'f', '1': 'fr', '2': 'fw', '3': 'frw' },
};

/** What stands for an operation; none: iommufd has no such call. */
const CALLS: Readonly<Record<string, (words: Words, place: string) => readonly string[]>> = {
  open: ({ dev = 'edu' }) => [`iofd dev=${dev}`],
  addgroup: ({ dev = 'edu' }) => [`bind dev=${dev}`, `attach dev=${dev}`],
  delgroup: ({ dev = 'edu' }) => [`unbind dev=${dev}`],
  map: ({ iova = '', va = '', size = '', flags = 'rw' }, place) => {
    if (!Object.hasOwn(MAP_FLAGS, flags)) {
      const wanted = `flags ${Object.keys(MAP_FLAGS).join(', ')} for iommufd`;
      throw new InputError(place, wanted, `'${flags}'`);
    }
    return [`ioas_map iova=${iova} va=${va} size=${size} flags=${MAP_FLAGS[flags]}`];
  },
  unmap: ({ iova = '', size = '', flags = '0' }, place) => {
    if (flags === 'all' || flags === '2') return ['ioas_unmap iova=0 size=max'];
    if (flags === '0') return [`ioas_unmap iova=${iova} size=${size}`];
    throw new InputError(place, 'flags=all or no flags for iommufd', `'${flags}'`);
  },
  info: () => ['iova_ranges'],
  // A device is open from its binding on; dirty logging is one of page tables.
  ...{ device: () => [], closedev: () => [], dirty: () => [] },
};

/** Operations that need a container, and that nothing stands for. */
const NONE: ReadonlySet<string> = new Set([
  ...['opencontainer', 'container', 'closecontainer', 'opengroup', 'closegroup', 'setcontainer'],
  ...['setiommu', 'unset', 'groupstatus', 'extension', 'addext', 'delext', 'extmode', 'pin'],
  ...['unpin', 'pinlist', 'unpinlist', 'dmarw'],
]);

/**
 * Writes a scenario in the calls of iommufd.
 *
 * @param script the scenario
 * @param file its name, for messages
 * @returns the scenario, with the lines that its own stand for
 * @throws {InputError} for an operation or a flag that nothing stands for
 */
export function nativeScript(script: string, file: string): NativeScript {
  const written: { readonly text: string; readonly line: number }[] = [];
  script.split(/\r?\n/).forEach((text, at) => {
    const line = at + 1;
    const [op = '', ...rest] = text.replace(/#.*/, '').trim().split(/\s+/);
    if (NONE.has(op)) {
      throw new InputError(`${file}:${line}`, 'a call that iommufd has too', `'${op}'`);
    }
    const call = Object.hasOwn(CALLS, op) ? CALLS[op] : undefined;
    if (!call) {
      written.push({ text, line });
      return;
    }
    const words = Object.fromEntries(
      rest.map((word) => [word.split('=', 1)[0], word.slice(word.indexOf('=') + 1)]),
    );
    const again = words.repeat === undefined ? '' : ` repeat=${words.repeat}`;
    for (const one of call(words, `${file}:${line}`)) written.push({ text: one + again, line });
  });
  return {
    script: written.map(({ text }) => `${text}\n`).join(''),
    lines: written.map(({ line }) => line),
  };
}
