/**
 * What the kernel prints: warnings, and messages about what it refuses.
 *
 * @source include/asm-generic/bug.h WARN_ON, WARN_ON_ONCE, 6.16
 */

/** A message. */
export interface KernelMessage {
  /** A warning, a warning that a place gives once per boot, or another message. */
  readonly kind: 'warn' | 'warn-once' | 'print';
  /** Of a warning the kernel function, of another message its text. */
  readonly text: string;
}

/** Messages that are kept until they are taken; of more, the first go. */
const MAX_MESSAGES = 256;

/** The messages of one machine. */
export class KernelLog {
  #messages: KernelMessage[] = [];

  /**
   * Adds a message.
   *
   * @param kind a warning, a warning that a place gives once, or another message
   * @param text of a warning the kernel function, of another message its text
   */
  add(kind: KernelMessage['kind'], text: string): void {
    if (this.#messages.length >= MAX_MESSAGES) this.#messages.shift();
    this.#messages.push({ kind, text });
  }

  /**
   * Takes the messages since the last time.
   *
   * @returns the messages, in order
   */
  take(): readonly KernelMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }
}
