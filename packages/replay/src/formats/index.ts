/** The formats of logs that are read: one file each, and one line here. */
import type { LogFormat } from '../log/entries.ts';
import { bpftrace } from './bpftrace.ts';
import { cloudHypervisor } from './cloud-hypervisor.ts';
import { dpdk } from './dpdk.ts';
import { ftrace } from './ftrace.ts';
import { hostFiles } from './host-files.ts';
import { jsonLines } from './json-lines.ts';
import { kernelMessages } from './kernel-messages.ts';
import { libvirt } from './libvirt.ts';
import { perfTrace } from './perf-trace.ts';
import { qemuMessages } from './qemu-messages.ts';
import { qemuTrace } from './qemu-trace.ts';
import { smaps } from './smaps.ts';
import { spdk } from './spdk.ts';
import { strace } from './strace.ts';

/** All formats. Where a line could be of two, the first takes it. */
export const formats: readonly LogFormat[] = [
  jsonLines,
  bpftrace,
  perfTrace,
  ftrace,
  strace,
  qemuTrace,
  qemuMessages,
  spdk,
  dpdk,
  cloudHypervisor,
  kernelMessages,
  libvirt,
  smaps,
  hostFiles,
];
