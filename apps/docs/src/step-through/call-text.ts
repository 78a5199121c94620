/** Calls as a trace writes them, and the numbers in them. */
import {
  formatSize,
  PAGE_SIZE,
  TRACED_FUNCTIONS,
  writeArguments,
  writeReturn,
} from '@pinfold/base';
import { Col, Kind, type Step } from './steps.ts';

/** Made once: making one costs more than a drawing. */
const THOUSANDS = new Intl.NumberFormat('en-US');

/**
 * A number as the site writes it.
 *
 * @param n a whole number
 * @returns with a comma between thousands
 */
export function count(n: number): string {
  return THOUSANDS.format(n);
}

/**
 * A page frame number or a page number.
 *
 * @param pn the number
 * @returns in hexadecimal
 */
export function hex(pn: number): string {
  return `0x${pn.toString(16)}`;
}

/**
 * A number of things.
 *
 * @param n how many
 * @param one what one is called
 * @param many what several are called
 * @returns for example `1 pin`, `512 pins`
 */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * The call of a step, as a function-graph trace writes it.
 *
 * @param step the step
 * @returns name and arguments at the entry, the result at the return, both of a call that makes none
 */
export function callText(step: Step): string {
  const kind = step.at(Col.kind);
  if (step.fn === null) return ioctlText(step);
  if (kind === Kind.take) return takeText(step);
  const isVoid = TRACED_FUNCTIONS[step.fn].ret === null;
  const ret = isVoid ? '' : ` = ${writeReturn(step.fn, step.at(Col.ret))}`;
  if (kind === Kind.exit) return `${step.fn} returns${ret.replace(' =', '')}`;
  const values = [Col.a, Col.b, Col.c, Col.d].map((col) => step.at(col));
  const args = writeArguments(step.fn, values)
    .map(({ name, text }) => `${name}=${text}`)
    .join(', ');
  if (kind === Kind.enter) return `${step.fn}(${args})`;
  if (kind === Kind.call) return `${step.fn}(${args})${ret}`;
  return `${step.fn}(${args}, …)${ret}, … × ${count(step.at(Col.n))}`;
}

function ioctlText(step: Step): string {
  const name = step.at(Col.phase) === 0 ? 'VFIO_IOMMU_MAP_DMA' : 'VFIO_IOMMU_UNMAP_DMA';
  if (step.at(Col.kind) === Kind.exit) return `${name} returns 0`;
  const size = `size=${formatSize(step.at(Col.c) * PAGE_SIZE)}`;
  const iova = `iova=${address(step.at(Col.b))}`;
  return step.at(Col.phase) === 0
    ? `${name}(vaddr=${address(step.at(Col.a))}, ${iova}, ${size})`
    : `${name}(${iova}, ${size})`;
}

function takeText(step: Step): string {
  const taken = step.at(Col.a);
  return `vfio_pin_pages_remote: ${taken > 0 ? `the chunk takes ${pages(taken)}` : 'the chunk ends'}`;
}

/**
 * The address of a page.
 *
 * @param pn page number
 * @returns of its first byte, in hexadecimal
 */
export function address(pn: number): string {
  return `0x${pn.toString(16)}000`;
}

/**
 * A number of pages.
 *
 * @param n how many
 * @returns for example `1 page`
 */
export function pages(n: number): string {
  return plural(n, 'page');
}

/**
 * A number of pages, as the subject of a sentence.
 *
 * @param n how many
 * @returns for example `1 page is`, `512 pages are`
 */
export function pagesAre(n: number): string {
  return plural(n, 'page is', 'pages are');
}
