/** `pinfold calibrate`: costs of a host from measurements, and predictions beside measurements. */
import { InputError } from '@pinfold/base';
import {
  calibrate,
  calibrationHtml,
  calibrationText,
  instructionKernels,
  instructionProfile,
  instructionText,
  markdownStyle,
  MICRO,
  OWN,
  parseMeasurements,
  predictedRows,
  profileJson,
  profileNames,
  textStyle,
  UNCALIBRATED,
  type Calibration,
  type CalibrationSpec,
  type PublishedRecord,
} from '@pinfold/bench';
import { Option, type Command } from 'commander';
import { flag, list, oneOf } from '../flags.ts';
import { measureMicro, type MicroResult } from '../micro.ts';
import { outputWidth, print } from '../output.ts';
import { checkOutput, readText } from '../read-file.ts';
import { plotLibraries } from '../plot-libraries.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { writeForFlag } from '../write-file.ts';

/** Bytes that a file of measurements may have. */
const LIMIT = 16 * 2 ** 20;

const reports = ['text', 'markdown', 'html', 'json'] as const;

/** The command's flags, read. */
interface CalibrateFlags {
  readonly profile?: readonly string[];
  readonly predict?: string;
  readonly holdOut?: RegExp;
  readonly micro?: boolean;
  readonly save?: string;
  readonly report: (typeof reports)[number];
  readonly json?: boolean;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addCalibrate(program: Command): void {
  const command = program
    .command('calibrate')
    .summary('costs of operations from measurements, and how well they predict')
    .description(
      'Fits the costs of operations to measured times and prints every measurement beside its ' +
        'prediction, with its 90 % interval and whether it was fitted, held out or excluded. ' +
        'Without files: the published measurements, a profile per host.',
    )
    .argument(
      '[files...]',
      'measurements of one host of your own, as JSON or CSV (op,size,backing,seconds)',
    )
    .addOption(profiles())
    .addOption(
      flag('--predict <file>', 'predict the measurements of this file too', (text) => text),
    )
    .addOption(holdOut())
    .addOption(
      new Option(
        '--micro',
        "measure this machine first, in Node alone: the priors' rates; without files, a profile of " +
          'these priors alone',
      ),
    )
    .addOption(
      flag('--save <file>', 'write the profile for --profile of other commands', (text) => text),
    )
    .addOption(report())
    .addOption(new Option('--json', 'as --report json'));
  command.action(runCalibrate);
  command.addHelpText(
    'after',
    '\nExamples:\n' +
      '  pinfold calibrate --profile li-zhe-2025\n' +
      "  pinfold calibrate --hold-out 'unpin-v' --report markdown\n" +
      '  pinfold calibrate --predict rows.json --json\n' +
      '  pinfold calibrate own.csv --micro --save own.json',
  );
  throwUsageErrors(command);
}

/** Profiles in instructions, of recorded kernels. */
const INSTRUCTIONS = instructionKernels.map((kernel) => `icount-${kernel}`);

function profiles(): Option {
  const names = profileNames.filter((name) => name !== UNCALIBRATED);
  return flag('--profile <list>', `only these: a comma list of ${names.join(',')}`, (text, place) =>
    list(text, (item) => oneOf(item, place, [...names, ...INSTRUCTIONS, OWN])),
  );
}

function holdOut(): Option {
  const description =
    'predict measurements and do not fit them: those whose name, variant or date holds the expression';
  return flag('--hold-out <regexp>', description, (text, place) => {
    try {
      return new RegExp(text, 'i');
    } catch {
      throw new InputError(place, 'a regular expression', `'${text}'`);
    }
  });
}

function report(): Option {
  const read = (text: string, place: string): string => oneOf(text, place, reports);
  return flag('--report <form>', `how to print it: ${reports.join(', ')}`, read).default(
    reports[0],
    reports[0],
  );
}

async function runCalibrate(files: readonly string[], flags: CalibrateFlags): Promise<void> {
  const counted = flags.profile?.filter((name) => INSTRUCTIONS.includes(name)) ?? [];
  if (counted.length > 0) {
    print(instructions(counted, flags));
    return;
  }
  checkSave(files, flags);
  const own = files.flatMap(measurements);
  const micro = flags.micro ? await measureMicro() : null;
  const alone = files.length === 0 && micro !== null && !flags.profile;
  const spec: CalibrationSpec = {
    ...(files.length > 0 ? { fit: own, own: OWN } : {}),
    ...(alone ? { fit: [], own: MICRO, host: micro.host } : {}),
    ...(flags.predict === undefined ? {} : { predict: measurements(flags.predict) }),
    ...(flags.profile ? { profiles: flags.profile } : {}),
    ...(flags.holdOut ? { holdOut: heldOut(flags.holdOut) } : {}),
    ...(micro ? { rates: micro.rates } : {}),
  };
  const found = calibrate(spec);
  if (flags.save !== undefined) writeForFlag('--save', flags.save, profileJson(found.profiles[0]));
  print(output(found, flags, micro));
}

/** One profile is saved: of one's own measurements, of this machine, or the only one asked for. */
function checkSave(files: readonly string[], { save, micro, profile }: CalibrateFlags): void {
  if (save === undefined) return;
  checkOutput('--save', save, files);
  const named = profile?.filter((name) => name !== OWN) ?? [];
  if (files.length > 0 && named.length === 0) return;
  if (files.length === 0 && (named.length === 1 || (micro && named.length === 0))) return;
  const expected = 'files of measurements, --micro, or one --profile beside it';
  throw new InputError('--save', expected, `'${save}' without or with several`);
}

function instructions(names: readonly string[], flags: CalibrateFlags): string {
  const found = names.map((name) => instructionProfile(name.replace('icount-', '')));
  if (flags.json || flags.report === 'json') {
    const all = found.map(({ name, rows }) => ({ name, rows }));
    return `${JSON.stringify({ unit: 'instructions', profiles: all }, null, 2)}\n`;
  }
  const style = flags.report === 'markdown' ? markdownStyle : textStyle(outputWidth());
  return found.map((one) => instructionText(one, style)).join('\n');
}

function output(found: Calibration, flags: CalibrateFlags, micro: MicroResult | null): string {
  const form = flags.json ? 'json' : flags.report;
  if (form === 'json') return json(found, micro);
  if (form === 'html') return calibrationHtml(found, plotLibraries());
  const style = form === 'markdown' ? markdownStyle : textStyle(outputWidth());
  const about = micro ? `${micro.lines.map((line) => style.paragraph(line)).join('')}\n` : '';
  return `${about}${calibrationText(found, style)}`;
}

function json(found: Calibration, micro: MicroResult | null): string {
  const profiles = found.profiles.map(({ name, host, rows, classes, remarks, posterior }) => {
    return { name, host, drift: posterior.drift, rows, classes, remarks };
  });
  const all = { rows: predictedRows(found), profiles, ...(micro ? { micro } : {}) };
  return `${JSON.stringify(all, null, 2)}\n`;
}

function measurements(path: string): PublishedRecord[] {
  return parseMeasurements(readText(path, 'measurements', LIMIT), path);
}

function heldOut(pattern: RegExp): (record: PublishedRecord) => boolean {
  return ({ id, variant, source }) => [id, variant, source.date].some((text) => pattern.test(text));
}
