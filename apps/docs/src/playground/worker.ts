/** Runs scenarios and recordings for the playground. */
import { answerCalls } from '../browser/worker-calls.ts';
import { dataUrl } from './index-files.ts';
import type { PlaygroundRequest, RunOutcome } from './outcome.ts';
import { runRecording } from './run-recording.ts';
import { runUserScenario } from './run-scenario.ts';

/** Fetches a recording; a server may have undone the compression that the name promises. */
async function fetchRecording(name: string): Promise<Uint8Array> {
  const response = await fetch(dataUrl(`recordings/${name}`));
  if (!response.ok) throw new Error(`status ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? bytes : compressed(bytes);
}

async function compressed(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

answerCalls((request: PlaygroundRequest): Promise<RunOutcome> =>
  request.kind === 'recording' ? runRecording(request, fetchRecording) : runUserScenario(request),
);
