/** Runs checks for the page "Break it". */
import { answerCalls } from '../browser/worker-calls.ts';
import type { CheckRequest } from './request.ts';
import { runCheck } from './run-check.ts';

answerCalls((request: CheckRequest, progress) => runCheck(request, progress));
