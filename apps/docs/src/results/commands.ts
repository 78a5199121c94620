/** The commands that make the figures of the pages under Results; the pages name them. */
export const resultCommands = {
  bench: 'pinfold bench',
  compare: 'pinfold compare --size 1G --repeat 1 --no-time',
  calibrate: 'pinfold calibrate',
  verify: 'pinfold verify packages/recordings',
} as const;

/** The algorithms of the series of June 2025, patch by patch: what the guide's page on it explains. */
export const seriesPatches = [
  'series-1-compare',
  'series-1-2',
  'series-1-3',
  'series-1-4',
] as const;
