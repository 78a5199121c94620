/** The commands whose figures the pages under Results show; the pages name them. */
export const resultCommands = {
  bench: 'pinfold bench',
  compare: 'pinfold compare --size 1G --repeat 1 --no-time',
  verify: 'pinfold verify packages/recordings',
} as const;
