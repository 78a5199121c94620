/** Calls of a function that runs in a worker, so that the page stays usable. */
import { InputError } from '@pinfold/base';

/** An error that crossed from a worker to the page. */
export interface WorkerError {
  /** Class of the error: `InputError`, `ModelBug`. */
  readonly name: string;
  readonly message: string;
  /** Of an InputError: file and line, or what else it names. */
  readonly place?: string;
}

interface Question<Request> {
  readonly id: number;
  readonly request: Request;
}

type Answer<Result> = { readonly id: number } & (
  { readonly progress: number } | { readonly result: Result } | { readonly error: WorkerError }
);

/** What became of a call. */
export type Outcome<Result> =
  { readonly result: Result } | { readonly error: WorkerError } | { readonly stopped: true };

/** The page's side: one call at a time. A new call, or `stop`, ends one that is under way. */
export class WorkerCalls<Request, Result> {
  readonly #start: () => Worker;
  #worker: Worker | null = null;
  #id = 0;
  #waiting: ((outcome: Outcome<Result>) => void) | null = null;
  #onProgress: (done: number) => void = () => undefined;

  /** @param start starts the worker, which runs `answerCalls` */
  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** Whether a call is under way. */
  get busy(): boolean {
    return this.#waiting !== null;
  }

  /**
   * Calls the function.
   *
   * @param request its argument, which can be cloned
   * @param onProgress told how far the function is, in units of its own
   * @returns what became of it
   */
  call(
    request: Request,
    onProgress: (done: number) => void = () => undefined,
  ): Promise<Outcome<Result>> {
    this.stop();
    this.#onProgress = onProgress;
    const worker = (this.#worker ??= this.#started());
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#waiting = resolve;
      worker.postMessage({ id, request } satisfies Question<Request>);
    });
  }

  /** Ends the call that is under way, if any, and its worker with it. */
  stop(): void {
    if (!this.#waiting) return;
    this.#worker?.terminate();
    this.#worker = null;
    this.#finish({ stopped: true });
  }

  #started(): Worker {
    const worker = this.#start();
    worker.addEventListener('message', ({ data }: MessageEvent<Answer<Result>>) => {
      if (data.id !== this.#id) return;
      if ('progress' in data) this.#onProgress(data.progress);
      else this.#finish(data);
    });
    worker.addEventListener('error', ({ message }) => {
      this.#finish({ error: { name: 'Error', message } });
    });
    return worker;
  }

  #finish(outcome: Outcome<Result>): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(outcome);
  }
}

/**
 * The worker's side: answers every call.
 *
 * @param run the function; its types are those of the page's `WorkerCalls`. It may say how far it is
 */
export function answerCalls(
  run: (request: never, progress: (done: number) => void) => Promise<unknown>,
): void {
  const answer = async ({ id, request }: Question<never>): Promise<Answer<unknown>> => {
    try {
      const progress = (done: number): void => self.postMessage({ id, progress: done });
      return { id, result: await run(request, progress) };
    } catch (error) {
      return { id, error: asWorkerError(error) };
    }
  };
  self.addEventListener('message', ({ data }: MessageEvent<Question<never>>) => {
    void answer(data).then((message) => self.postMessage(message));
  });
}

function asWorkerError(error: unknown): WorkerError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message } = error;
  return error instanceof InputError ? { name, message, place: error.place } : { name, message };
}
