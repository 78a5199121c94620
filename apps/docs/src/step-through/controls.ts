/** The menus that choose what is run, and the buttons that step through it. */
import { formatSize } from '@pinfold/base';
import { backing, backings, layouts } from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { fill, h, menu, type Choice } from './dom.ts';
import { count } from './call-text.ts';
import type { Overview } from './recording.ts';
import {
  KERNELS_OWN,
  layoutsOf,
  sizesOf,
  withBacking,
  type Pace,
  type PageState,
} from './settings.ts';
import { FUNCTIONS } from './steps.ts';

/** What the page can be asked to do. */
export interface Commands {
  /** Shows another memory, kernel or algorithm, from the first step on. */
  choose(state: Partial<PageState>): void;
  /** Goes to a step. */
  go(index: number): void;
  /** Goes some steps on, or back. */
  by(steps: number): void;
  /** Plays, or pauses. */
  toggle(): void;
  /** Sets the breakpoint; empty: none. */
  breakAt(fn: string): void;
  /** Goes to the next, or the previous, call of the breakpoint's function. */
  run(forward: boolean): void;
  /** Sets how fast it plays. */
  speed(name: string): void;
}

/** Speeds by name: steps a second, or 0 for everything in some twenty seconds. */
export const SPEEDS: Readonly<Record<string, number>> = {
  '1 step a second': 1,
  '4 steps a second': 4,
  '15 steps a second': 15,
  '60 steps a second': 60,
  'all in 20 seconds': 0,
};

/** The speed at first. */
export const DEFAULT_SPEED = '4 steps a second';

/**
 * Whether there is room for everything at once.
 *
 * @returns false on a phone
 */
export function isWide(): boolean {
  return matchMedia('(min-width: 50rem)').matches;
}

/** The menus of memory, kernel and algorithms. */
export class SettingsForm {
  /** The element. */
  readonly element: HTMLElement;
  readonly #note = h('p', { className: 'st-note' });
  readonly #summary = h('summary', {});
  readonly #menus: Readonly<Record<string, HTMLSelectElement>>;
  readonly #pace: HTMLElement;
  #state: PageState | null = null;

  /** @param commands what the menus do */
  constructor(commands: Commands) {
    const set = (change: (state: PageState) => Partial<PageState>) => (): void => {
      if (this.#state) commands.choose(change(this.#state));
    };
    const chosen = (name: string): string => this.#menus[name].value;
    const fields = {
      backing: menu(
        'Memory',
        set((s) => ({ settings: withBacking(s.settings, chosen('backing')) })),
      ),
      layout: menu(
        'Layout of the frames',
        set((s) => ({
          settings: {
            ...s.settings,
            layout: layouts[chosen('layout') as keyof typeof layouts].tag,
          },
        })),
      ),
      size: menu(
        'Size',
        set((s) => ({ settings: { ...s.settings, bytes: Number(chosen('size')) } })),
      ),
      kernel: menu(
        'Kernel',
        set((s) => ({ settings: { ...s.settings, kernel: chosen('kernel') } })),
      ),
      algorithm: menu(
        'Pin algorithm',
        set(() => ({ algorithm: chosen('algorithm') })),
      ),
      versus: menu(
        'Compare with',
        set(() => ({ versus: chosen('versus') || null })),
      ),
      pace: menu(
        'The second stops',
        set(() => ({ pace: chosen('pace') as Pace })),
      ),
    };
    this.#menus = Object.fromEntries(
      Object.entries(fields).map(([name, { select }]) => [name, select]),
    );
    this.#pace = fields.pace.field;
    const all = Object.values(fields).map(({ field }) => field);
    const form = h('form', { className: 'st-settings' }, ...all, this.#note);
    form.ariaLabel = 'What is run';
    // Closed where it would push the drawing off the screen.
    this.element = h('details', { className: 'st-what', open: isWide() }, this.#summary, form);
  }

  /**
   * Shows what is chosen.
   *
   * @param state the page's state
   */
  show(state: PageState): void {
    this.#state = state;
    const { settings } = state;
    const memory = backing(settings.backing);
    const own = kernelVersion(settings.kernel).type1.pinAlgorithm.name;
    const algorithms = pinAlgorithms.map(({ name }) => ({ value: name, label: name }));
    const withOwn = [{ value: KERNELS_OWN, label: `the kernel’s: ${own}` }, ...algorithms];
    const fillMenu = (name: string, choices: readonly Choice[], value: string): void =>
      fill(this.#menus[name], choices, value);
    fillMenu(
      'backing',
      backings.map(({ name }) => ({ value: name, label: name })),
      memory.name,
    );
    const tags = layoutsOf(memory);
    fillMenu(
      'layout',
      tags.map((tag) => ({ value: tag, label: `${tag}: ${layouts[tag].summary}` })),
      settings.layout,
    );
    const sizes = new Set([...sizesOf(memory), settings.bytes]);
    const sorted = [...sizes].sort((a, b) => a - b);
    fillMenu(
      'size',
      sorted.map((bytes) => ({ value: String(bytes), label: formatSize(bytes) })),
      String(settings.bytes),
    );
    fillMenu(
      'kernel',
      kernelVersions.map(({ series }) => ({ value: series, label: series })),
      settings.kernel,
    );
    fillMenu('algorithm', withOwn, state.algorithm);
    fillMenu(
      'versus',
      [{ value: '', label: 'no second algorithm' }, ...withOwn],
      state.versus ?? '',
    );
    fillMenu(
      'pace',
      [
        { value: 'page', label: 'at the same page' },
        { value: 'step', label: 'after as many steps' },
      ],
      state.pace,
    );
    this.#pace.hidden = state.versus === null;
    const versus = state.versus === null ? '' : ` and ${state.versus}`;
    const chosen = state.algorithm === KERNELS_OWN ? own : state.algorithm;
    this.#summary.textContent = `${memory.name}, ${settings.layout}, ${formatSize(settings.bytes)} on ${settings.kernel}: ${chosen}${versus}`;
    const algorithm = pinAlgorithms.find(
      ({ name }) => name === (state.algorithm === KERNELS_OWN ? own : state.algorithm),
    );
    this.#note.textContent = `${algorithm?.name ?? ''}: ${algorithm?.summary ?? ''}.`;
  }
}

/** The buttons that step, and the slider. */
export class Transport {
  /** The element with the buttons. */
  readonly element: HTMLElement;
  /** The element with speed and breakpoint: in `element` where there is room. */
  readonly options: HTMLElement;
  readonly #play: HTMLButtonElement;
  readonly #slider: HTMLInputElement;
  readonly #place = h('output', { className: 'st-place' });
  readonly #break: HTMLSelectElement;
  /** The buttons that need a breakpoint, and what they say once there is one. */
  readonly #runs: readonly { readonly button: HTMLButtonElement; readonly title: string }[];
  readonly #back: readonly HTMLButtonElement[];
  readonly #on: HTMLButtonElement;

  /** @param commands what the buttons do */
  constructor(commands: Commands) {
    const button = (text: string, title: string, onclick: () => void): HTMLButtonElement =>
      h('button', { type: 'button', title, onclick }, text);
    this.#back = [
      button('⇤ Start', 'to the first step (Home)', () => commands.go(0)),
      button('← Back', 'one step back (left arrow)', () => commands.by(-1)),
    ];
    this.#on = button('Step →', 'one step on (right arrow)', () => commands.by(1));
    this.#on.className = 'st-primary';
    this.#play = button('Play', 'play or pause (space)', () => commands.toggle());
    this.#runs = [
      button('Previous call', 'to the previous call of that function (Page Up)', () =>
        commands.run(false),
      ),
      button('Next call', 'to the next call of that function (Page Down)', () =>
        commands.run(true),
      ),
    ].map((run) => ({ button: run, title: run.title }));
    const speed = menu('Speed', (value) => commands.speed(value));
    fill(
      speed.select,
      Object.keys(SPEEDS).map((value) => ({ value, label: value })),
      DEFAULT_SPEED,
    );
    const breakpoint = menu('Breakpoint', (value) => commands.breakAt(value));
    this.#break = breakpoint.select;
    this.#slider = h('input', { type: 'range', min: '0', value: '0', 'aria-label': 'Step' });
    this.#slider.addEventListener('input', () => commands.go(Number(this.#slider.value)));
    this.options = h(
      'div',
      { className: 'st-options' },
      ...[speed.field, breakpoint.field, ...this.#runs.map((run) => run.button)],
    );
    const buttons = h('div', { className: 'st-buttons' }, ...this.#back, this.#on, this.#play);
    const slider = h('div', { className: 'st-slider' }, this.#slider, this.#place);
    this.element = h('div', { className: 'st-transport' }, buttons, slider);
    if (isWide()) this.element.insertBefore(this.options, slider);
    this.element.role = 'group';
    this.element.ariaLabel = 'Stepping';
  }

  /**
   * Fills the menu of functions to stop at: those that are called.
   *
   * @param overview what is known of all steps; null while it is not
   * @param breakpoint the function that is chosen; empty: none
   */
  showFunctions(overview: Overview | null, breakpoint: string): void {
    const called = FUNCTIONS.flatMap((fn, i) => {
      const calls = overview?.calls[i] ?? 0;
      return calls > 0 || fn === breakpoint ? [{ value: fn, label: `${fn}: ${count(calls)}` }] : [];
    });
    fill(this.#break, [{ value: '', label: 'no breakpoint' }, ...called], breakpoint);
    for (const { button, title } of this.#runs) {
      button.disabled = breakpoint === '';
      button.title = breakpoint === '' ? 'choose a breakpoint first' : title;
    }
  }

  /**
   * Shows where the page is.
   *
   * @param index number of the step
   * @param last number of the last one
   * @param playing whether it plays
   */
  show(index: number, last: number, playing: boolean): void {
    this.#slider.max = String(last);
    this.#slider.value = String(index);
    this.#slider.setAttribute('aria-valuetext', `step ${count(index)} of ${count(last)}`);
    this.#place.textContent = `step ${count(index)} of ${count(last)}`;
    this.#play.textContent = playing ? 'Pause' : 'Play';
    // Not disabled, or a button would lose the focus to which a key brought someone.
    for (const back of this.#back) back.ariaDisabled = String(index === 0);
    this.#on.ariaDisabled = String(index >= last);
  }
}
