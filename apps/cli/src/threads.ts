/**
 * Worker threads that do tasks, each one at a time: one home for all commands that need them. A library
 * was no help, because a thread here has a heartbeat of its own: a user's code that does not come to an
 * end must be told from a model that computes for long.
 */
import { Worker } from 'node:worker_threads';

/** Milliseconds between two looks at a heartbeat. */
const INTERVAL = 100;

/** A thread called nothing for longer than it may: code of a user's file does not come to an end. */
export class ThreadStuck extends Error {
  override readonly name = 'ThreadStuck';
}

/** How to tell that code of a user's file does not come to an end. */
export interface Heartbeat {
  /** Calls that the code has made, and 0 while none of it runs; shared with the thread. */
  readonly beats: Int32Array;
  /** Seconds that the code may run without a call. */
  readonly patience: number;
}

/** One thread. The file answers each message with one message. */
export class Thread<Task, Answer> {
  readonly #worker: Worker;
  readonly #heartbeat: Heartbeat | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answered: ((answer: Answer) => void) | null = null;
  #failed: ((error: unknown) => void) | null = null;

  /**
   * @param file the module that the thread runs
   * @param workerData what it is started with
   * @param heartbeat what tells that it is stuck; without one it never is
   */
  constructor(file: URL, workerData: unknown, heartbeat?: Heartbeat) {
    this.#heartbeat = heartbeat;
    this.#worker = new Worker(file, { workerData });
    this.#worker.on('message', (answer: Answer) => this.#answered?.(answer));
    this.#worker.on('error', (error) => this.#failed?.(error));
    // Without an answer nothing would wait any more, and the command end as if all were well.
    this.#worker.on('exit', (code) => this.#failed?.(new Error(`the thread has ended (${code})`)));
  }

  /**
   * Has a task done.
   *
   * @param task the task
   * @returns the answer
   * @throws {ThreadStuck} when the thread has called nothing for longer than it may; else whatever has
   *   ended the thread
   */
  async ask(task: Task): Promise<Answer> {
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      if (this.#heartbeat) this.#watch(this.#heartbeat, reject);
    });
    this.#worker.postMessage(task);
    try {
      return await answer;
    } finally {
      clearInterval(this.#timer);
    }
  }

  /** Ends the thread, whatever it does. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#worker.terminate();
  }

  #watch({ beats, patience }: Heartbeat, reject: (error: unknown) => void): void {
    let seen = beats[0];
    let silent = 0;
    this.#timer = setInterval(() => {
      const [count, running] = beats;
      if (count !== seen || running === 0) {
        seen = count;
        silent = 0;
      } else if (++silent * INTERVAL >= patience * 1000) reject(new ThreadStuck());
    }, INTERVAL);
  }
}

/** Several threads that share a queue of tasks. */
export class ThreadPool<Task, Answer> {
  readonly #start: () => Thread<Task, Answer>;
  readonly #threads: Thread<Task, Answer>[];

  /**
   * @param count number of threads
   * @param start makes one
   */
  constructor(count: number, start: () => Thread<Task, Answer>) {
    this.#start = start;
    this.#threads = Array.from({ length: count }, start);
  }

  /**
   * Has every thread serve.
   *
   * @param serve what to do with a thread, until there is nothing left to do
   */
  async each(serve: (thread: Thread<Task, Answer>) => Promise<void>): Promise<void> {
    await Promise.all(this.#threads.map(serve));
  }

  /**
   * Has tasks done, each by the first thread that is free.
   *
   * @param tasks the tasks
   * @param instead the answer to a task that has ended its thread; another thread is started then
   * @param onAnswer called after each answer with the number of them
   * @returns the answers, in the order of the tasks
   */
  async map(
    tasks: readonly Task[],
    instead: (task: Task, error: unknown) => Answer,
    onAnswer: (done: number) => void = () => undefined,
  ): Promise<Answer[]> {
    const queue = tasks.entries();
    const answers: Answer[] = [];
    let done = 0;
    const serve = async (_: unknown, place: number): Promise<void> => {
      for (const [index, task] of queue) {
        try {
          answers[index] = await this.#threads[place].ask(task);
        } catch (error) {
          answers[index] = instead(task, error);
          await this.#threads[place].end();
          this.#threads[place] = this.#start();
        }
        onAnswer(++done);
      }
    };
    await Promise.all(this.#threads.map(serve));
    return answers;
  }

  /** Ends all threads. */
  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}
