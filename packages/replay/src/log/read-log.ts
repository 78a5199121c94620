/** Reads logs line by line, whatever formats are mixed in them. */
import { InputError } from '@pinfold/base';
import { formats } from '../formats/index.ts';
import {
  MalformedLine,
  type CallBody,
  type CallFacts,
  type HostFacts,
  type LoggedCall,
  type LoggedFact,
  type LoggedMessage,
  type LogReaderState,
  type Place,
  type Sink,
} from './entries.ts';

/** A line that could not be read although its format is known. */
export interface Malformed {
  /** Where it is. */
  readonly at: Place;
  /** What is wrong. */
  readonly what: string;
}

/** What was read. */
export interface Log {
  /** The calls in order. */
  readonly calls: readonly LoggedCall[];
  /** The messages in order. */
  readonly messages: readonly LoggedMessage[];
  /** The facts. */
  readonly facts: HostFacts;
  /** What each fact says, in order. */
  readonly said: readonly LoggedFact[];
  /** Lines that are broken. */
  readonly malformed: readonly Malformed[];
  /** Calls whose arguments are not there, by what they are. */
  readonly missing: ReadonlyMap<string, number>;
  /** Lines per format. */
  readonly formats: ReadonlyMap<string, number>;
  /** Lines that are none of any format and not empty. */
  readonly foreign: number;
  /** All lines. */
  readonly lines: number;
}

/** Characters of a line that are looked at; longer lines are none of these logs. */
const MAX_LINE = 2 ** 16;
/** Malformed lines that are kept. */
const MAX_MALFORMED = 1000;
/** How far back a call may be whose outcome comes in a later line. */
const OUTCOME_WITHIN = 64;
/** How deep a line may quote another. */
const MAX_DEPTH = 3;
/** Characters of a line that are kept as its text. */
const MAX_TEXT = 400;

/** Takes the text of logs in, and collects what they tell. */
export class LogReader {
  readonly #calls: LoggedCall[] = [];
  readonly #messages: LoggedMessage[] = [];
  readonly #facts: HostFacts = {};
  readonly #said: LoggedFact[] = [];
  readonly #malformed: Malformed[] = [];
  readonly #missing = new Map<string, number>();
  readonly #formats = new Map<string, number>();
  #foreign = 0;
  #lines = 0;

  /** Lines that were read so far. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * Begins a file.
   *
   * @param file its name
   * @returns takes its text in pieces, cut anywhere
   */
  open(file: string): FileReader {
    const states = formats.map(({ name, open }) => ({ name, state: open() }));
    return new FileReader(file, (line, number) => {
      this.#read(states, line, { file, line: number });
    });
  }

  /**
   * What was read.
   *
   * @returns all of it
   * @throws {InputError} when no line is of any format
   */
  end(): Log {
    const log: Log = {
      ...{ calls: this.#calls, messages: this.#messages, facts: this.#facts, said: this.#said },
      ...{ malformed: this.#malformed, missing: this.#missing, formats: this.#formats },
      ...{ foreign: this.#foreign, lines: this.#lines },
    };
    if (this.#formats.size > 0 || this.#malformed.length > 0) return log;
    const known = formats.map(({ name }) => name).join(', ');
    throw new InputError('logs', `lines of ${known}`, `${this.#lines} lines of none of them`);
  }

  #read(
    states: { readonly name: string; readonly state: LogReaderState }[],
    line: string,
    at: Place,
  ): void {
    this.#lines++;
    if (line.includes('\0')) {
      throw new InputError(`${at.file}:${at.line}`, 'a line of text', 'binary bytes');
    }
    if (line.length > MAX_LINE || line.trim() === '') {
      if (line.length > MAX_LINE) this.#foreign++;
      return;
    }
    if (!this.#readAs(states, line, at, 0)) this.#foreign++;
  }

  #readAs(
    states: { readonly name: string; readonly state: LogReaderState }[],
    line: string,
    at: Place,
    depth: number,
  ): boolean {
    const sink = this.#sink(line, at, (text) => {
      if (depth < MAX_DEPTH) this.#readAs(states, text, at, depth + 1);
    });
    try {
      for (const [index, one] of states.entries()) {
        if (!one.state.read(line, sink)) continue;
        this.#formats.set(one.name, (this.#formats.get(one.name) ?? 0) + (depth === 0 ? 1 : 0));
        // A log is mostly of one format: the next line is tried as that first.
        if (index > 0) [states[0], states[index]] = [states[index], states[0]];
        return true;
      }
    } catch (error) {
      if (!(error instanceof MalformedLine)) throw error;
      if (this.#malformed.length < MAX_MALFORMED) this.#malformed.push({ at, what: error.message });
      return true;
    }
    return false;
  }

  #sink(line: string, at: Place, inner: (text: string) => void): Sink {
    const text = line.trim().slice(0, MAX_TEXT);
    return {
      call: (body: CallBody & CallFacts) => {
        this.#calls.push({ ...body, at, text });
      },
      outcome: (errno, matches) => this.#outcome(errno, matches, at, text),
      message: (message) => {
        this.#messages.push({ ...message, at, text });
      },
      fact: (said, change) => {
        change(this.#facts);
        this.#said.push({ at, said });
      },
      change: (change) => {
        change(this.#facts);
      },
      missing: (what) => {
        this.#missing.set(what, (this.#missing.get(what) ?? 0) + 1);
      },
      inner,
    };
  }

  /** Gives one of the last calls the outcome that a later line tells. */
  #outcome(
    errno: string,
    matches: (call: LoggedCall) => boolean,
    at: Place,
    text: string,
  ): boolean {
    for (let back = 1; back <= Math.min(OUTCOME_WITHIN, this.#calls.length); back++) {
      const index = this.#calls.length - back;
      const call = this.#calls[index];
      if (!matches(call)) continue;
      this.#calls[index] = { ...call, errno, at, text };
      return true;
    }
    return false;
  }
}

/** Takes the text of one file in. */
export class FileReader {
  readonly #file: string;
  readonly #line: (line: string, number: number) => void;
  #rest = '';
  #number = 0;

  /**
   * @param file its name
   * @param line called with each line and its number
   */
  constructor(file: string, line: (line: string, number: number) => void) {
    this.#file = file;
    this.#line = line;
  }

  /** Name of the file. */
  get file(): string {
    return this.#file;
  }

  /**
   * Takes a piece of it.
   *
   * @param text the piece; it may end within a line
   */
  feed(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#give(line);
  }

  /** Takes in that there is no more. */
  end(): void {
    if (this.#rest !== '') this.#give(this.#rest);
    this.#rest = '';
  }

  #give(line: string): void {
    this.#number++;
    this.#line(line.endsWith('\r') ? line.slice(0, -1) : line, this.#number);
  }
}
