/** The steps around the one that is shown, as a function-graph trace lists them. */
import { h } from './dom.ts';
import { callText, count } from './call-text.ts';
import { Col, Kind, type Step } from './steps.ts';

/** Steps before and after the one that is shown. */
const BEFORE = 4;
const AFTER = 7;

/** The list. */
export class TraceList {
  /** The element. */
  readonly element: HTMLElement;
  readonly #list = h('ol', { className: 'st-trace' });
  readonly #onChoose: (index: number) => void;

  /** @param onChoose called with the number of a step that someone has chosen */
  constructor(onChoose: (index: number) => void) {
    this.#onChoose = onChoose;
    this.element = h('section', { className: 'st-panel' }, h('h2', {}, 'Trace'), this.#list);
    this.element.ariaLabel = 'Trace';
  }

  /**
   * Shows the steps around one.
   *
   * @param index its number
   * @param last number of the last step
   * @param stepAt gives a step, if it is here
   */
  show(index: number, last: number, stepAt: (index: number) => Step | null): void {
    const from = Math.max(0, Math.min(index - BEFORE, last - BEFORE - AFTER));
    const to = Math.min(last, from + BEFORE + AFTER);
    const items: HTMLElement[] = [];
    for (let i = from; i <= to; i++) items.push(this.#item(i, i === index, stepAt(i)));
    this.#list.replaceChildren(...items);
    this.#list.start = from;
  }

  #item(index: number, isShown: boolean, step: Step | null): HTMLElement {
    const text = step ? traceLine(step) : '…';
    const button = h(
      'button',
      { type: 'button', tabIndex: -1, title: `step ${count(index)}` },
      text,
    );
    button.style.paddingInlineStart = `${(step?.at(Col.depth) ?? 0) * 0.9 + 0.4}em`;
    if (isShown) button.ariaCurrent = 'step';
    button.addEventListener('click', () => this.#onChoose(index));
    return h('li', {}, button);
  }
}

/** A line as the function-graph tracer writes it. */
function traceLine(step: Step): string {
  const kind = step.at(Col.kind);
  // Names of arguments are in the text above; here is little room.
  const text = callText(step).replace(/\w+=(?=\S)/g, '');
  if (kind === Kind.exit) {
    const ret = / returns (.+)$/.exec(text)?.[1];
    return ret === undefined ? '}' : `} = ${ret}  /* ${step.fn ?? 'ioctl'} */`;
  }
  if (kind === Kind.enter) return `${text} {`;
  return kind === Kind.take ? `/* ${text.replace(/^.*: /, '')} */` : `${text};`;
}
