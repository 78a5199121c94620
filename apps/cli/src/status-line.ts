/** One line on a terminal that is overwritten again and again; on anything else, nothing. */
export class StatusLine {
  readonly #stream: NodeJS.WriteStream;

  /** @param stream where to write; only a terminal is written to */
  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /**
   * Shows a text in place of the one before.
   *
   * @param text one line
   */
  show(text: string): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\u001b[K${text}`);
  }

  /** Takes the line away. */
  clear(): void {
    this.show('');
  }
}
