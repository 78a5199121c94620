/** Operations as lines of a scenario: the inverse of reading them. */
import { ModelBug } from '@pinfold/base';
import { type Operation, ops } from '@pinfold/guest';
import { type Regions, hex, type FrameExtent } from '@pinfold/scenario';

const PAGE = 4096n;
/** Fields that the language calls otherwise. */
const OTHER_NAMES: Readonly<Record<string, string>> = { 'dirty flags': 'what' };
/** Words for flag bits, where the language has some. */
const FLAG_WORDS: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  'map flags': [
    [3, 'rw'],
    [1, 'r'],
    [2, 'w'],
  ],
  'unmap flags': [
    [1, 'bitmap'],
    [2, 'all'],
    [4, 'vaddr'],
  ],
  'dirty flags': [
    [1, 'start'],
    [2, 'stop'],
    [4, 'get'],
  ],
  'pin prot': [
    [1, 'r'],
    [2, 'w'],
  ],
  'pinlist prot': [
    [1, 'r'],
    [2, 'w'],
  ],
};

/**
 * The shortest line that is read as an operation.
 *
 * @param operation the operation
 * @param regions the regions that are mapped
 * @returns its line
 * @throws {ModelBug} when the language cannot say it
 */
export function operationText(operation: Operation, regions: Regions): string {
  const { op } = operation;
  let words = Object.entries(operation)
    .filter(([name, value]) => name !== 'op' && value !== undefined && !isEmptyList(value))
    .map(([name, value]) => {
      const key = `${op} ${name}`;
      return `${OTHER_NAMES[key] ?? name}=${valueText(key, value, regions)}`;
    });
  // Some defaults have no word, so that nothing can be read as long as they stand there.
  for (let before = words.length + 1; words.length < before;) {
    before = words.length;
    for (const word of [...words]) {
      const without = words.filter((other) => other !== word);
      if (sameOperation(tryRead(op, without, regions), operation)) words = without;
    }
  }
  if (!sameOperation(tryRead(op, words, regions), operation)) {
    throw new ModelBug(`no line for the operation ${op} ${words.join(' ')}`);
  }
  return [op, ...words].join(' ');
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function tryRead(op: string, words: readonly string[], regions: Regions): Operation | null {
  try {
    return ops.get(op)?.read(words, op).evaluate(regions) ?? null;
  } catch {
    return null;
  }
}

/** Whether two operations ask for the same. */
function sameOperation(one: Operation | null, other: Operation): boolean {
  return one !== null && canonical(one) === canonical(other);
}

function canonical(operation: Operation): string {
  const entries = Object.entries(operation).filter(([, value]) => value !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(entries, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
}

function valueText(key: string, value: unknown, regions: Regions): string {
  const name = key.split(' ')[1];
  if (typeof value === 'bigint') return bytesText(name, value, regions);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number') {
    const word = FLAG_WORDS[key]?.find(([bits]) => bits === value)?.[1];
    return word ?? (name === 'copies' ? hex(value) : String(value));
  }
  if (Array.isArray(value)) return value.map((item) => itemText(name, item, regions)).join(',');
  return value === '' ? 'none' : String(value);
}

function itemText(name: string, item: unknown, regions: Regions): string {
  if (typeof item === 'bigint') return bytesText(name, item, regions);
  if (typeof item === 'object' && item !== null) return extentText(item as FrameExtent);
  return String(item);
}

function extentText({ pfn, npage, order }: FrameExtent): string {
  return `${hex(pfn)}${npage > 1 ? `x${npage}` : ''}${order > 0 ? `:${order}` : ''}`;
}

/** Addresses of the process by its regions, lengths in pages, the rest in hex. */
function bytesText(name: string, value: bigint, regions: Regions): string {
  if (name === 'va') {
    for (const [region, { va, size }] of [...regions].reverse()) {
      if (value < va || value >= va + size) continue;
      return value === va ? region : `${region}+${pagesText(value - va)}`;
    }
  }
  const isLength = name === 'size' || name === 'bytes' || name === 'fsize' || name === 'off';
  return isLength ? pagesText(value) : hex(value);
}

function pagesText(value: bigint): string {
  return value % PAGE === 0n && value / PAGE < 2n ** 32n ? `${value / PAGE}P` : hex(value);
}
