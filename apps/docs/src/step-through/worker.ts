/** The worker in which the model runs: one per algorithm that the page shows. */
import type { Answer, Ask, Question, Questions } from './protocol.ts';
import { Recording } from './recording.ts';

let recording: Recording | null = null;

addEventListener('message', ({ data }: MessageEvent<Ask>) => {
  const { id } = data;
  try {
    const answer = answerTo(data);
    post({ id, answer }, transferables(answer));
  } catch (error) {
    post({ id, error: error instanceof Error ? error.message : String(error) });
  }
});

function answerTo(ask: Ask): Questions[Question]['answer'] {
  if (ask.question === 'overview') {
    recording = new Recording(ask.settings, ask.algorithm);
    return recording.overview(ask.from, ask.length, (steps) => post({ id: ask.id, steps }));
  }
  if (recording === null) throw new Error('the first question is for the overview');
  switch (ask.question) {
    case 'window':
      return recording.window(ask.from, ask.length);
    case 'find':
      return recording.find(ask.fn, ask.from, ask.forward);
    case 'locate':
      return recording.locate(ask.target);
  }
}

function post(answer: Answer, transfer: Transferable[] = []): void {
  postMessage(answer, { transfer });
}

/** The buffers of the logs in an answer: handed over, not copied. */
function transferables(answer: Questions[Question]['answer']): Transferable[] {
  if (typeof answer === 'number') return [];
  if ('rows' in answer) return [answer.rows.buffer, answer.indices.buffer];
  const { samples, window, shape } = answer;
  const logs = [samples, window].flatMap(({ rows, indices }) => [rows.buffer, indices.buffer]);
  return [...logs, shape.folioPfns.buffer];
}
