/** strace, with or without -f, -y, -T, timestamps, and raw numbers. */
import type { LogFormat } from '../log/entries.ts';
import { Descriptors } from '../strace/descriptors.ts';
import { systemCalls } from '../strace/system-calls.ts';
import { readCall, readStraceLine, type WrittenCall } from '../strace/syntax.ts';

/** The format. */
export const strace: LogFormat = {
  name: 'strace',
  open() {
    const descriptors = new Descriptors();
    const unfinished = new Map<number, { name: string; begin: string }>();
    return {
      read(line, sink) {
        const read = readStraceLine(line);
        if (!read) return false;
        const { process } = read;
        let call: WrittenCall | null = null;
        if (read.kind === 'unfinished') unfinished.set(process, read);
        else if (read.kind === 'resumed') {
          const begun = unfinished.get(process);
          unfinished.delete(process);
          if (begun?.name !== read.name) return true;
          const between = begun.begin === '' || /[,(]\s*$/.test(begun.begin) ? '' : ', ';
          const separator = read.end.trim().startsWith(')') ? '' : between;
          call = readCall(read.name, `${begun.begin}${separator}${read.end}`);
        } else if (read.kind === 'call') ({ call } = read);
        if (call && Object.hasOwn(systemCalls, call.name)) {
          systemCalls[call.name](call, { descriptors, sink, process });
        }
        return true;
      },
    };
  },
};
