/** How to record what a log lacks: scripts whose output is read. */

/** A recipe. */
export interface Recipe {
  /** Its name. */
  readonly name: string;
  /** The script, with a comment that says how to run it. */
  readonly text: string;
}

const STRACE = `# The calls, with files and durations; strace shows the structures of VFIO as bare pointers, so that
# the bpftrace recipe has to run beside it where maps matter.
strace -f -y -T -o trace.strace -e \\
  trace=ioctl,openat,close,dup,dup2,fcntl,mmap,munmap,mremap,mprotect,madvise,memfd_create,clone,fork \\
  COMMAND
`;

const BPFTRACE = `#!/usr/bin/env bpftrace
// Every map and unmap of a container or an IOAS with its arguments. Run as root: bpftrace vfio.bt > log,
// start the program, end with Ctrl-C, then: pinfold replay log
tracepoint:syscalls:sys_enter_ioctl
/(args.cmd >> 8) == 0x3b/
{
  @cmd[tid] = args.cmd; @fd[tid] = args.fd; @arg[tid] = args.arg; @at[tid] = nsecs;
}
tracepoint:syscalls:sys_exit_ioctl
/@cmd[tid]/
{
  $p = @arg[tid]; $us = (nsecs - @at[tid]) / 1000;
  $flags = *(uint32*)uptr($p + 4);
  $a = *(uint64*)uptr($p + 8); $b = *(uint64*)uptr($p + 16); $c = *(uint64*)uptr($p + 24);
  if (@cmd[tid] == 0x3b66) {
    printf("%u.%06u %d VFIO_SET_IOMMU fd=%d arg=%d ret=%d us=%d\\n", nsecs / 1000000000,
      nsecs / 1000 % 1000000, pid, @fd[tid], $p, args.ret, $us);
  }
  if (@cmd[tid] == 0x3b71) {
    printf("%u.%06u %d VFIO_IOMMU_MAP_DMA fd=%d flags=0x%x vaddr=0x%lx iova=0x%lx size=0x%lx ret=%d us=%d\\n",
      nsecs / 1000000000, nsecs / 1000 % 1000000, pid, @fd[tid], $flags, $a, $b, $c, args.ret, $us);
  }
  if (@cmd[tid] == 0x3b72) {
    printf("%u.%06u %d VFIO_IOMMU_UNMAP_DMA fd=%d flags=0x%x iova=0x%lx size=0x%lx ret=%d us=%d\\n",
      nsecs / 1000000000, nsecs / 1000 % 1000000, pid, @fd[tid], $flags, $a, $b, args.ret, $us);
  }
  if (@cmd[tid] == 0x3b85) {
    $d = *(uint64*)uptr($p + 32);
    printf("%u.%06u %d IOMMU_IOAS_MAP fd=%d flags=0x%x user_va=0x%lx length=0x%lx iova=0x%lx ret=%d us=%d\\n",
      nsecs / 1000000000, nsecs / 1000 % 1000000, pid, @fd[tid], $flags, $b, $c, $d, args.ret, $us);
  }
  if (@cmd[tid] == 0x3b86) {
    printf("%u.%06u %d IOMMU_IOAS_UNMAP fd=%d iova=0x%lx length=0x%lx ret=%d us=%d\\n",
      nsecs / 1000000000, nsecs / 1000 % 1000000, pid, @fd[tid], $a, $b, args.ret, $us);
  }
  delete(@cmd[tid]); delete(@fd[tid]); delete(@arg[tid]); delete(@at[tid]);
}
`;

const FTRACE = `#!/bin/sh
# The same with nothing but tracefs, for type1 on x86-64. Run as root; afterwards: pinfold replay trace
cd /sys/kernel/tracing || exit 1
echo 'p:pinfold_ioctl vfio_iommu_type1_ioctl cmd=%si:x32 argsz=+u0(%dx):u32 flags=+u4(%dx):x32 w1=+u8(%dx):x64 w2=+u16(%dx):x64 w3=+u24(%dx):x64' > kprobe_events
echo 'r:pinfold_ret vfio_iommu_type1_ioctl ret=$retval:s64' >> kprobe_events
echo 1 > events/kprobes/enable
cat trace_pipe > /tmp/trace
`;

const PERF = `# Names and durations, without arguments.
perf trace -e ioctl -p PID -o perf.log
`;

const QEMU = `# QEMU itself tells what it maps: add these to its command line.
-trace "vfio_listener_region_*" -trace "vfio_*dma_map*" -trace "iommufd_backend_*" -D qemu.log
`;

/** All recipes. */
export const recipes: readonly Recipe[] = [
  { name: 'strace', text: STRACE },
  { name: 'bpftrace', text: BPFTRACE },
  { name: 'ftrace', text: FTRACE },
  { name: 'perf', text: PERF },
  { name: 'qemu', text: QEMU },
];
