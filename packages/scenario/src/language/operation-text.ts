/** Operations as lines of a scenario: the inverse of reading them. */
import { ModelBug } from '@pinfold/base';
import { hex } from '../hex.ts';
import type { AnyOperation } from '../machine/any-operation.ts';
import type { Regions } from './expression.ts';
import type { FrameExtent } from './frame-extent.ts';
import type { Op } from './op-entry.ts';

const PAGE = 4096n;

/**
 * The shortest line that is read as an operation.
 *
 * @param op the op
 * @param operation the operation
 * @param regions the regions that are mapped
 * @param argumentOf fields of the operation that the line calls otherwise
 * @returns its line
 * @throws {ModelBug} when the language cannot say it
 */
export function operationText(
  op: Op,
  operation: AnyOperation,
  regions: Regions,
  argumentOf: Readonly<Record<string, string | undefined>> = {},
): string {
  let words = Object.entries(operation)
    .filter(([name, value]) => name !== 'op' && value !== undefined && !isEmptyList(value))
    .map(([name, value]) => {
      const argument = argumentOf[name] ?? name;
      const written = op.arguments?.[argument]?.kind.write?.(value);
      return `${argument}=${written ?? valueText(argument, value, regions)}`;
    });
  // Some defaults have no word, so that nothing can be read as long as they stand there.
  for (let before = words.length + 1; words.length < before;) {
    before = words.length;
    for (const word of [...words]) {
      const without = words.filter((other) => other !== word);
      if (sameOperation(tryRead(op, operation.op, without, regions), operation)) words = without;
    }
  }
  if (!sameOperation(tryRead(op, operation.op, words, regions), operation)) {
    throw new ModelBug(`no line for the operation ${operation.op} ${words.join(' ')}`);
  }
  return [operation.op, ...words].join(' ');
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function tryRead(
  op: Op,
  name: string,
  words: readonly string[],
  regions: Regions,
): AnyOperation | null {
  try {
    return op.read(words, name).evaluate(regions);
  } catch {
    return null;
  }
}

/** Whether two operations ask for the same. */
function sameOperation(one: AnyOperation | null, other: AnyOperation): boolean {
  return one !== null && canonical(one) === canonical(other);
}

function canonical(operation: AnyOperation): string {
  const entries = Object.entries(operation).filter(([, value]) => value !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(entries, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  );
}

function valueText(name: string, value: unknown, regions: Regions): string {
  if (typeof value === 'bigint') return bytesText(name, value, regions);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number') return name === 'copies' ? hex(value) : String(value);
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
