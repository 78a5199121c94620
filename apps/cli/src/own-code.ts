/** What code of a user's file must not do: end the command, write into its output, fail unseen. */
import { Console } from 'node:console';
import { AlgorithmFault, stackOf } from '@pinfold/vfio-type1';

/** A file whose code runs. */
export interface OwnCode {
  /** As the user wrote it. */
  readonly name: string;
  /** Its address, as stacks write it. */
  readonly url: string;
}

/** Milliseconds that timers and threads of a user's file have left once the result is there. */
const GRACE = 1000;

/** As they are before any code of a user's file can replace them. */
const captureStackTrace = Error.captureStackTrace.bind(Error);
const reallyExit = process.exit.bind(process);
/** The files whose code runs in this thread. */
const files: OwnCode[] = [];

/**
 * Prepares this thread for code of a user's file. What it prints goes to stderr, as stdout is the
 * result, be it by the console or by process.stdout; `process.exit` throws; and what it throws outside of its steps, such as in a timer or in a
 * promise that nobody waits for, becomes a fault of the file.
 *
 * @param file the file; a thread may have several
 * @param onLate told of what was thrown outside of its steps, as a fault if it is one of the files';
 *   that of the first file is
 */
export function containOwnCode(file: OwnCode, onLate: (error: unknown) => void): void {
  const { stderr } = process;
  if (files.push(file) > 1) return;
  globalThis.console = new Console(stderr, stderr);
  process.stdout.write = stderr.write.bind(stderr);
  process.exit = function exit(): never {
    const error = new Error('process.exit is called, which would end pinfold');
    // The place is that of the call.
    captureStackTrace(error, exit);
    throw error;
  };
  process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
    onLate(lateFault(error));
  });
}

/**
 * Ends this process soon, if code of a user's file runs in it: an interval or a thread that it has
 * left would keep it alive for ever. What it throws until then still becomes a fault of the file.
 */
export function endWithOwnCode(): void {
  if (files.length > 0) setTimeout(() => reallyExit(), GRACE).unref();
}

function lateFault(error: NodeJS.ErrnoException): unknown {
  const stack = stackOf(error);
  const { name, url } = files.find((file) => stack.includes(`${file.url}:`)) ?? files[0];
  const [, inFile] = stack.split(`${url}:`);
  // Node says so of a promise that is rejected with something else than an error.
  if (inFile === undefined && error.code !== 'ERR_UNHANDLED_REJECTION') return error;
  const at = /^\d+:\d+/.exec(inFile ?? '')?.[0];
  const place = at === undefined ? name : `${name}:${at}`;
  return new AlgorithmFault(place, `throws outside of its steps: ${error.name}: ${error.message}`);
}
