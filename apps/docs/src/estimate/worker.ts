/** Runs estimates for the page "Estimate". */
import { answerCalls } from '../browser/worker-calls.ts';
import type { EstimateRequest } from './request.ts';
import { runEstimate } from './run-estimate.ts';

answerCalls((request: EstimateRequest) => Promise.resolve(runEstimate(request)));
