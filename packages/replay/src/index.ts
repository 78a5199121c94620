/**
 * Logs and traces of VFIO's DMA mappings: read in whatever format they are, run on the model, and what went
 * wrong in them in words.
 */
export { formats } from './formats/index.ts';
export type {
  Backing,
  HostFacts,
  LoggedCall,
  LoggedFact,
  LoggedMessage,
  LogFormat,
  Place,
} from './log/entries.ts';
export { LogReader, type FileReader, type Log, type Malformed } from './log/read-log.ts';
export {
  replayLog,
  type Replay,
  type ReplayDifference,
  type ReplayFinding,
  type ReplayOptions,
  type TimelinePoint,
} from './replay.ts';
export { recipes, type Recipe } from './recipes.ts';
export type { Mapping } from './scenario/mapped.ts';
