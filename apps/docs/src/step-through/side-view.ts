/** What the page shows of one algorithm: numbers, drawings, and where the pin loop is, in words. */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import { bandsOf } from './bands.ts';
import { pfnOf } from './memory-shape.ts';
import { h } from './dom.ts';
import { count, hex, plural } from './call-text.ts';
import type { Overview } from './recording.ts';
import type { Palette } from './cells.ts';
import { drawBatch, drawIommu, drawMemory, type Scene } from './scene.ts';
import { batchOf, Col, type Step } from './steps.ts';

/** Fewest pixels that a drawing needs. */
const MIN_WIDTH = 240;

/** The view of one algorithm. */
export class SideView {
  /** The element. */
  readonly element: HTMLElement;
  readonly #title = h('h2', { className: 'st-title' });
  readonly #stats = h('dl', { className: 'st-stats' });
  readonly #bar = h('div', { className: 'st-bar' });
  readonly #barText = h('p', { className: 'st-note' });
  readonly #memory = h('canvas', { role: 'img' });
  readonly #batch = h('canvas', { role: 'img' });
  readonly #iommu = h('canvas', { role: 'img' });
  readonly #batchTitle = h('h3', {});
  readonly #facts = h('dl', { className: 'st-facts' });
  readonly #loading = h('p', { className: 'st-loading', hidden: true });
  readonly #drawings: HTMLElement;

  constructor() {
    const memoryTitle = h('h3', {}, 'The process’s page table, and its frames');
    const iommuTitle = h('h3', {}, 'The IOMMU’s page table');
    this.#drawings = h(
      'div',
      { className: 'st-drawings' },
      ...[this.#stats, this.#bar, this.#barText],
      ...[memoryTitle, this.#memory, this.#batchTitle],
      h('div', { className: 'st-batch' }, this.#batch, this.#facts),
      ...[iommuTitle, this.#iommu],
    );
    this.element = h(
      'article',
      { className: 'st-side' },
      this.#title,
      this.#loading,
      this.#drawings,
    );
  }

  /**
   * Says that the steps are being made.
   *
   * @param text what to say; empty when they are there
   */
  showLoading(text: string): void {
    this.#loading.textContent = text;
    this.#loading.hidden = text === '';
    this.#drawings.hidden = this.#title.textContent === '';
  }

  /**
   * Shows a step.
   *
   * @param step the step
   * @param overview what is known of all steps
   * @param kernel the kernel's series
   * @param palette the colours
   */
  show(step: Step, overview: Overview, kernel: string, palette: Palette): void {
    const { shape } = overview;
    this.#title.replaceChildren(overview.algorithm, h('small', {}, `under the rules of ${kernel}`));
    this.element.ariaLabel = overview.algorithm;
    this.#drawings.hidden = false;
    const width = Math.max(MIN_WIDTH, this.#drawings.clientWidth);
    const scene: Scene = { step, shape, width, palette };
    this.#showStats(step);
    this.#showBar(step, overview);
    this.#showBatch(step, overview);
    drawMemory(this.#memory, scene);
    drawBatch(this.#batch, scene);
    drawIommu(this.#iommu, scene);
    this.#describe(step, overview);
  }

  #showStats(step: Step): void {
    const reached = step.at(Col.mapped) - step.at(Col.unmapped);
    const stat = (name: string, key: string, value: number): HTMLElement =>
      h('div', {}, h('dt', {}, name), h('dd', { 'data-stat': key }, count(value)));
    this.#stats.replaceChildren(
      stat('pages pinned', 'pins', step.at(Col.pins)),
      stat('charged: locked_vm', 'locked', step.at(Col.lockedVm)),
      stat('reached by the device', 'mapped', reached),
    );
  }

  /** The whole mapping as a bar. */
  #showBar(step: Step, { shape: { npage } }: Overview): void {
    let start = 0;
    const parts = bandsOf(step.row, npage).map(({ end, state }) => {
      const part = h('span', { className: `st-${state}` });
      part.style.flexGrow = String(end - start);
      start = end;
      return part;
    });
    this.#bar.replaceChildren(...parts);
    const size = formatSize(npage * PAGE_SIZE);
    this.#barText.textContent = `the whole mapping: ${size}, ${count(npage)} pages`;
  }

  #showBatch(step: Step, overview: Overview): void {
    const isUnmap = step.at(Col.phase) === 1;
    this.#batchTitle.textContent = isUnmap
      ? 'Regions that wait for the IOTLB’s flush'
      : 'The batch: 512 pointers to pinned pages';
    const facts = isUnmap ? unmapFacts(step) : mapFacts(step, overview);
    this.#facts.replaceChildren(
      ...facts.map(({ name, value, className }) =>
        h('div', { className: className ?? '' }, h('dt', {}, name), h('dd', {}, value)),
      ),
    );
  }

  /** The drawings in words, for those who do not see them. */
  #describe(step: Step, { shape }: Overview): void {
    let start = 0;
    const bands = bandsOf(step.row, shape.npage).map(({ end, state }) => {
      const text = `pages ${count(start)} to ${count(end - 1)} ${state}`;
      start = end;
      return text;
    });
    const reached = step.at(Col.mapped) - step.at(Col.unmapped);
    const { offset, entries } = batchOf(step.row);
    const words = bands.join(', ');
    this.#memory.ariaLabel = `Pages in order: ${words}`;
    this.#batch.ariaLabel =
      step.at(Col.phase) === 1
        ? `Regions that wait: ${count(step.at(Col.regions))} of 512`
        : `Batch: ${plural(entries, 'pointer')} to pinned pages, from entry ${count(offset)} on`;
    this.#iommu.ariaLabel = `The IOMMU maps ${count(reached)} of ${count(shape.npage)} pages`;
  }
}

interface Fact {
  readonly name: string;
  readonly value: string;
  readonly className?: string;
}

function mapFacts(step: Step, { shape }: Overview): Fact[] {
  const base = step.at(Col.pfnBase);
  const pinned = step.at(Col.chunkPinned);
  const { entries } = batchOf(step.row);
  const next = step.at(Col.chunkStart) + pinned;
  const chunk =
    pinned > 0
      ? `${plural(pinned, 'page')} from frame ${hex(base)}`
      : base > 0
        ? 'empty'
        : 'none yet';
  const facts: Fact[] = [
    { name: 'chunk (the run being accepted)', value: chunk },
    { name: 'waiting in the batch', value: `${count(entries)} of 512` },
  ];
  if (entries === 0 || next >= shape.npage) return facts;
  const pfn = pfnOf(shape.folioPfns, shape.folioOrder, next);
  facts.push({ name: 'next entry', value: `frame ${hex(pfn)}` });
  if (base === 0) return facts;
  const needed = base + pinned;
  const fits = needed === pfn;
  facts.push({
    name: 'the chunk goes on with',
    value: `${hex(base)} + ${count(pinned)} = ${hex(needed)} ${fits ? '✓ contiguous' : '✗ not contiguous'}`,
    className: fits ? 'st-fits' : 'st-ends',
  });
  return facts;
}

function unmapFacts(step: Step): Fact[] {
  const start = step.at(Col.runStart);
  const length = step.at(Col.runPages);
  return [
    {
      name: 'run that was found',
      value: length > 0 ? `${plural(length, 'page')} from page ${count(start)} on` : 'none yet',
    },
    { name: 'regions waiting', value: `${count(step.at(Col.regions))} of 512` },
    { name: 'pages unmapped', value: count(step.at(Col.unmapped)) },
    { name: 'of these still pinned', value: count(stillPinned(step)) },
  ];
}

/** Pages that are unmapped and hold their pins. */
function stillPinned(step: Step): number {
  return Math.max(0, step.at(Col.pins) - (step.at(Col.mapped) - step.at(Col.unmapped)));
}
