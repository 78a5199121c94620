/** Runs an unmodified program on the model: its calls of VFIO are answered as a kernel would. */
export {
  ExecModel,
  machineOfWords,
  type DoneOperation,
  type LeftMapping,
  type MapFailure,
} from './model.ts';
export { cacheFolder, preloadLibrary } from './preload.ts';
export { runProgram, type ProgramRun } from './run-program.ts';
export type { MemoryKind, MemoryView } from './mirrored-memory.ts';
export type { ExecSession, SessionOptions, TimedCall } from './session.ts';
