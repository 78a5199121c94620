/** The editor of scenarios: CodeMirror, loaded when a page needs it. */
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { EditorState } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** What the page is told. */
export interface EditorEvents {
  /** The user has changed the text. */
  readonly onChange: (text: string) => void;
  /** The user wants the text to be run. */
  readonly onRun: () => void;
}

/** A mistake in the text. */
export interface Mistake {
  /** Number of its line, from 1. */
  readonly line: number;
  readonly message: string;
}

/** An editor in a page. */
export class ScenarioEditor {
  readonly #view: EditorView;
  #quiet = false;

  /**
   * @param parent gets the editor
   * @param text what it shows at first
   * @param events tells the page
   */
  constructor(parent: HTMLElement, text: string, events: EditorEvents) {
    const changes = EditorView.updateListener.of((update) => {
      if (update.docChanged && !this.#quiet) events.onChange(update.state.doc.toString());
    });
    const run = (): boolean => {
      events.onRun();
      return true;
    };
    this.#view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text,
        extensions: [
          ...[lineNumbers(), lintGutter(), history(), drawSelection(), highlightActiveLine()],
          // Tab leaves the editor, as the keyboard's users expect of a page.
          keymap.of([{ key: 'Mod-Enter', run }, ...defaultKeymap, ...historyKeymap]),
          ...[scenarioLanguage, syntaxHighlighting(colors), changes, look],
          EditorView.contentAttributes.of({
            'aria-label': 'Scenario, one step per line',
            tabindex: '0',
          }),
        ],
      }),
    });
  }

  /**
   * Replaces the text; the page is not told.
   *
   * @param text the text
   */
  setText(text: string): void {
    if (text === this.#view.state.doc.toString()) return;
    this.#quiet = true;
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
    this.#quiet = false;
  }

  /**
   * Marks a mistake, and takes earlier marks away.
   *
   * @param mistake the mistake; null if there is none
   */
  mark(mistake: Mistake | null): void {
    const { state } = this.#view;
    const diagnostics: Diagnostic[] = [];
    if (mistake && mistake.line >= 1 && mistake.line <= state.doc.lines) {
      const { from, to } = state.doc.line(mistake.line);
      diagnostics.push({ from, to, severity: 'error', message: mistake.message });
    }
    this.#view.dispatch(setDiagnostics(state, diagnostics));
  }

  /**
   * Puts the cursor into a line.
   *
   * @param line its number, from 1
   */
  goTo(line: number): void {
    const { from } = this.#view.state.doc.line(line);
    this.#view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    this.#view.focus();
  }
}

/** `op key=value ... # comment`. */
const scenarioLanguage = StreamLanguage.define<{ atStart: boolean }>({
  startState: () => ({ atStart: true }),
  token(stream, state) {
    if (stream.sol()) state.atStart = true;
    if (stream.eatSpace()) return null;
    if (stream.peek() === '#') {
      stream.skipToEnd();
      return 'comment';
    }
    if (state.atStart) {
      state.atStart = false;
      if (stream.match(/title\b/)) {
        stream.skipToEnd();
        return 'heading';
      }
      stream.match(/\S+/);
      return 'keyword';
    }
    if (stream.match(/\w+(?==)/)) return 'propertyName';
    if (stream.match(/0x[\da-f]+|\d+[KMGTP]?\b/i)) return 'number';
    if (stream.match(/\w+/)) return 'string';
    stream.next();
    return null;
  },
});

const colors = HighlightStyle.define([
  { tag: tags.keyword, class: 'code-op' },
  { tag: tags.propertyName, class: 'code-key' },
  { tag: tags.number, class: 'code-number' },
  { tag: tags.string, class: 'code-word' },
  { tag: tags.comment, class: 'code-comment' },
  { tag: tags.heading, class: 'code-title' },
]);

const look = EditorView.theme({
  '&': {
    color: 'var(--sl-color-white)',
    backgroundColor: 'var(--sl-color-bg-inline-code)',
    fontSize: 'var(--sl-text-code-sm)',
    border: '1px solid var(--sl-color-gray-5)',
  },
  '&.cm-focused': { outline: '2px solid var(--sl-color-text-accent)' },
  '.cm-scroller': { fontFamily: 'var(--__sl-font-mono)', maxHeight: '24rem', overflow: 'auto' },
  '.cm-content': { caretColor: 'var(--sl-color-white)' },
  '.cm-cursor': { borderLeftColor: 'var(--sl-color-white)' },
  '.cm-gutters': {
    color: 'var(--sl-color-gray-2)',
    backgroundColor: 'transparent',
    borderRight: '1px solid var(--sl-color-gray-5)',
  },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--sl-color-gray-6)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'var(--sl-color-accent-low) !important',
  },
  '.cm-tooltip': {
    color: 'var(--sl-color-white)',
    backgroundColor: 'var(--sl-color-bg)',
    border: '1px solid var(--sl-color-gray-5)',
  },
});
