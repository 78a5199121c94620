/** The step in words, above the drawings; a screen reader reads it out. */
import { h } from './dom.ts';
import { explain } from './explain.ts';
import type { ShownStep } from './shown-step.ts';
import { Col, isCall } from './steps.ts';

/** The words. */
export class ToldStep {
  readonly #call = h('code', { className: 'st-call' });
  readonly #during = h('p', { className: 'st-note st-during' });
  readonly #text = h('p', { className: 'st-text' });
  /** The element. */
  readonly element: HTMLElement = h(
    'div',
    { className: 'st-told', role: 'status' },
    ...[this.#call, this.#during, this.#text],
  );

  /**
   * Says what a step does.
   *
   * @param shown the step
   * @param breakpoint the function at which a run stops; empty: none
   * @param playing whether it plays: then nothing is read out
   * @param hasName whether to say which algorithm does it
   */
  show(shown: ShownStep, breakpoint: string, playing: boolean, hasName: boolean): void {
    const { step, before, overview } = shown;
    const { call, text } = explain({ step, before, shape: overview.shape });
    this.element.ariaLive = playing ? 'off' : 'polite';
    this.#call.textContent = call;
    this.#text.textContent = text;
    const isStop = step.fn === breakpoint && isCall(step.row);
    this.element.classList.toggle('st-stopped', isStop);
    const ioctl = step.at(Col.phase) === 0 ? 'VFIO_IOMMU_MAP_DMA' : 'VFIO_IOMMU_UNMAP_DMA';
    const name = hasName ? `, ${overview.algorithm}` : '';
    this.#during.textContent = `${isStop ? 'Breakpoint. ' : ''}During ${ioctl}${name}`;
  }
}
