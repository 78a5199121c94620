/** The thread of the watchdog: looks at the heartbeat, and where the main thread is if it is silent. */
import { writeSync } from 'node:fs';
import { Session, type Debugger } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { ALGORITHM_STEPS } from '@pinfold/vfio-type1';
import { IMPORTING, type WatchdogOptions } from './watchdog.ts';

/** Milliseconds between two looks. */
const INTERVAL = 50;
/** Milliseconds after which the main thread does not answer any more. */
const NO_ANSWER = 10_000;
/** Code that does not even compute is stuck after so many times the patience. */
const ASLEEP = 10;
const STDERR = 2;
const EXIT_USAGE = 2;

const { name, url, patience, heartbeat } = workerData as WatchdogOptions;
let seen = heartbeat[0];
let looks = 0;
let cpu = process.cpuUsage();

setInterval(() => {
  if (heartbeat[0] !== seen || heartbeat[1] === 0) startAnew();
  else if (isStuck(++looks)) findOut();
}, INTERVAL);

function startAnew(): void {
  seen = heartbeat[0];
  looks = 0;
  cpu = process.cpuUsage();
}

/**
 * Looks are counted, not seconds: a machine that sleeps makes none. And where the main thread hardly
 * gets a processor, it is not stuck.
 */
function isStuck(silentLooks: number): boolean {
  const silent = silentLooks * INTERVAL;
  const { user, system } = process.cpuUsage(cpu);
  const busy = (user + system) / 1000 > (patience * 1000) / 2;
  return silent >= patience * 1000 && (busy || silent >= ASLEEP * patience * 1000);
}

/** Pauses the main thread, and ends it if it runs the user's code. */
function findOut(): void {
  const session = new Session();
  const urls = new Map<string, string>();
  const stuckAt = seen;
  startAnew();
  const noAnswer = setTimeout(() => {
    report(name);
    process.kill(process.pid, 'SIGKILL');
  }, NO_ANSWER);
  session.connectToMainThread();
  session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
  session.on('Debugger.paused', ({ params: { callFrames } }) => {
    clearTimeout(noAnswer);
    const inFiles = callFrames.filter(({ location }) =>
      fileOf(urls, location)?.startsWith('file:'),
    );
    const frame = callFrames.find(({ location }) => fileOf(urls, location) === url) ?? inFiles[0];
    // Node itself takes its time to read a file; that is no code of the user's.
    if (frame && heartbeat[0] === stuckAt && heartbeat[1] !== 0) {
      report(placeOf(fileOf(urls, frame.location) ?? url, frame.location));
      exit(session, callFrames[0]);
    } else session.post('Debugger.resume', () => session.disconnect());
  });
  session.post('Debugger.enable');
  session.post('Debugger.pause');
}

function fileOf(urls: ReadonlyMap<string, string>, at: Debugger.Location): string | undefined {
  return urls.get(at.scriptId);
}

function placeOf(file: string, { lineNumber, columnNumber = 0 }: Debugger.Location): string {
  return `${file === url ? name : fileURLToPath(file)}:${lineNumber + 1}:${columnNumber + 1}`;
}

/** Lets the main thread exit, which is paused. */
function exit(session: Session, { callFrameId }: Debugger.CallFrame): void {
  // Node would say on stderr that it waits for the debugger.
  const quietly = `process.getBuiltinModule('fs').closeSync(${STDERR})`;
  const expression = `${quietly}; process.reallyExit(${EXIT_USAGE})`;
  session.post('Debugger.evaluateOnCallFrame', { callFrameId, expression });
}

function report(place: string): void {
  const running = heartbeat[1];
  const what = running === IMPORTING ? 'the import' : ALGORITHM_STEPS[running - 1];
  writeSync(STDERR, `pinfold: ${place}: ${what} does not end: no call in ${patience} s\n`);
}

parentPort?.postMessage('ready');
