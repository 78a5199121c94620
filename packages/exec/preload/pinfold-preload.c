/* SPDX-License-Identifier: MIT */
/*
 * Sends what a program does with VFIO and iommufd to the model that `pinfold exec` runs beside it.
 *
 * The library is preloaded. A file of /dev/vfio that the program opens is a connection to the model: it is
 * closed when the last descriptor of it is, in whatever process and by whatever death, so that dup, fork,
 * exec and kill need no care here. Every call is one request on a connection of the process's own. Memory
 * of the program is read and written with process_vm_readv and process_vm_writev of itself: a wild
 * pointer is EFAULT, as in the kernel. What is not about VFIO goes through untouched.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define VFIO_IOCTL_TYPE 0x3b
#define VFIO_GROUP_SET_CONTAINER 0x3b68
#define VFIO_DEVICE_BIND_IOMMUFD 0x3b76
#define ARGUMENT_BYTES 256
/* Where the connection of the process lies among its descriptors: where few programs put their own. */
#define CONNECTION_FD 900

/* Kinds of request; exec-protocol.ts has the same. */
enum { REQ_OPEN = 1, REQ_ADOPT, REQ_IOCTL, REQ_MEMORY, REQ_MMAP_DEVICE, REQ_DEVICE_MAPPED, REQ_DEVICE_READ,
       REQ_DEVICE_WRITE, REQ_CLOSED, REQ_RLIMIT };
/* What happened to memory, in the first argument of REQ_MEMORY. */
enum { MEM_MMAP = 1, MEM_MUNMAP, MEM_MREMAP, MEM_MADVISE, MEM_MPROTECT, MEM_MLOCK, MEM_MUNLOCK,
       MEM_POPULATED };
/* What a reply wants done, besides its writes. */
enum { REPLY_PLAIN = 0, REPLY_DESCRIPTOR = 1, REPLY_FOREIGN = 2 };

struct request {
	uint32_t length, kind;
	int32_t pid, tid;
	int64_t arg[6];
};

struct reply {
	uint32_t length;
	int32_t kind;
	int64_t ret, extra, model_ns;
	uint32_t nwrite, path_length;
};

/* What the model shares with every process: a page of a file. */
struct shared {
	/* Nanoseconds by which the program's clock is ahead of the real one. */
	volatile int64_t clock_offset;
	/* Whether the program's memory is known to the model, so that changes of it matter. */
	volatile int32_t watches_memory;
	/* Whether a device file is open anywhere. */
	volatile int32_t has_device;
	/* Whether clock_offset moves. */
	volatile int32_t predicted_clock;
	/* Whether the program's own memory may stay empty: the model fills its own. */
	volatile int32_t lazy;
};

static const char *root, *socket_path;
static size_t root_length;
static struct shared *shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int connection = -1;
static ino_t connection_ino;

#define REAL(ret, name, ...) \
	static ret (*real_##name)(__VA_ARGS__); \
	static ret (*get_##name(void))(__VA_ARGS__) { \
		if (!real_##name) real_##name = (ret(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name); \
		return real_##name; \
	}

REAL(int, open, const char *, int, ...)
REAL(int, openat, int, const char *, int, ...)
REAL(int, close, int)
REAL(int, ioctl, int, unsigned long, ...)
REAL(void *, mmap, void *, size_t, int, int, int, off_t)
REAL(int, munmap, void *, size_t)
REAL(void *, mremap, void *, size_t, size_t, int, ...)
REAL(int, madvise, void *, size_t, int)
REAL(int, mprotect, void *, size_t, int)
REAL(int, mlock, const void *, size_t)
REAL(int, munlock, const void *, size_t)
REAL(ssize_t, pread, int, void *, size_t, off_t)
REAL(ssize_t, pwrite, int, const void *, size_t, off_t)
REAL(FILE *, fopen, const char *, const char *)
REAL(DIR *, opendir, const char *)
REAL(int, access, const char *, int)
REAL(int, faccessat, int, const char *, int, int)
REAL(ssize_t, readlink, const char *, char *, size_t)
REAL(ssize_t, readlinkat, int, const char *, char *, size_t)
REAL(char *, realpath, const char *, char *)
REAL(int, stat, const char *, struct stat *)
REAL(int, lstat, const char *, struct stat *)
REAL(int, fstatat, int, const char *, struct stat *, int)
REAL(int, statx, int, const char *, int, unsigned int, struct statx *)
REAL(int, statfs, const char *, struct statfs *)
REAL(int, fstatfs, int, struct statfs *)
REAL(int, clock_gettime, clockid_t, struct timespec *)
REAL(int, gettimeofday, struct timeval *, void *)
REAL(int, setrlimit, __rlimit_resource_t, const struct rlimit *)
REAL(int, prlimit, pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *)

static void after_fork_in_child(void)
{
	if (connection >= 0) get_close()(connection);
	connection = -1;
	pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void start(void)
{
	char path[PATH_MAX];
	int fd;

	root = getenv("PINFOLD_EXEC_ROOT");
	socket_path = getenv("PINFOLD_EXEC_SOCKET");
	if (!root || !socket_path) {
		root = NULL;
		return;
	}
	root_length = strlen(root);
	snprintf(path, sizeof(path), "%s/.shared", root);
	fd = get_open()(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		void *page = get_mmap()(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (page != MAP_FAILED) shared = page;
		get_close()(fd);
	}
	if (!shared) root = NULL;
	pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* ---- requests ---- */

static int write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR) continue;
		if (done <= 0) return -1;
		at += done;
		n -= done;
	}
	return 0;
}

static int read_all(int fd, void *bytes, size_t n)
{
	char *at = bytes;

	while (n > 0) {
		ssize_t done = recv(fd, at, n, 0);
		if (done < 0 && errno == EINTR) continue;
		if (done <= 0) return -1;
		at += done;
		n -= done;
	}
	return 0;
}

static int connect_model(int flags)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	if (fd < 0) return -1;
	strncpy(to.sun_path, socket_path, sizeof(to.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		get_close()(fd);
		return -1;
	}
	return fd;
}

static ino_t socket_ino(int fd)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) != 0 || !S_ISSOCK(st.st_mode)) return 0;
	return st.st_ino;
}

/* The connection of this process, made anew when the program has closed it with everything else. */
static int own_connection(void)
{
	int fd, high;

	if (connection >= 0 && socket_ino(connection) == connection_ino) return connection;
	fd = connect_model(SOCK_CLOEXEC);
	if (fd < 0) return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, CONNECTION_FD);
	if (high >= 0) {
		get_close()(fd);
		fd = high;
	}
	connection = fd;
	connection_ino = socket_ino(fd);
	return fd;
}

static ssize_t own_memory(int writes, uint64_t address, void *bytes, size_t n)
{
	struct iovec here = { bytes, n }, there = { (void *)address, n };
	long call = writes ? SYS_process_vm_writev : SYS_process_vm_readv;

	return syscall(call, getpid(), &here, 1, &there, 1, 0);
}

/* Writes what a reply brings for the program's memory; -EFAULT where there is none. */
static int apply_writes(const char *at, uint32_t n)
{
	int ret = 0;

	while (n-- > 0) {
		uint64_t head[2];
		memcpy(head, at, sizeof(head));
		at += sizeof(head);
		if (head[1] > 0 && own_memory(1, head[0], (void *)at, head[1]) != (ssize_t)head[1]) ret = -EFAULT;
		at += head[1];
	}
	return ret;
}

/*
 * One request and its reply. ret is what the kernel would return; path takes the reply's path, if it has
 * one. With no model at the other end every call fails with ENODEV.
 */
static int64_t exchange(int fd, struct request *request, const void *payload, size_t n, struct reply *reply,
			char *path)
{
	int64_t ret = -ENODEV;
	char *body;

	request->length = sizeof(*request) + n;
	request->pid = getpid();
	request->tid = syscall(SYS_gettid);
	if (write_all(fd, request, sizeof(*request)) || (n > 0 && write_all(fd, payload, n))) return ret;
	if (read_all(fd, reply, sizeof(*reply))) return ret;
	n = reply->length - sizeof(*reply);
	body = n > 0 ? malloc(n) : NULL;
	if (n > 0 && (!body || read_all(fd, body, n))) {
		free(body);
		return ret;
	}
	ret = reply->ret;
	if (path) {
		size_t length = reply->path_length < PATH_MAX ? reply->path_length : PATH_MAX - 1;
		memcpy(path, body ? body : "", body ? length : 0);
		path[body ? length : 0] = 0;
	}
	if (body) {
		int fault = apply_writes(body + reply->path_length, reply->nwrite);
		if (fault && ret >= 0) ret = fault;
	}
	free(body);
	return ret;
}

static int64_t real_ns(void)
{
	struct timespec now;

	get_clock_gettime()(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int64_t call(struct request *request, const void *payload, size_t n, struct reply *reply, char *path)
{
	sigset_t all, before;
	int64_t ret = -ENODEV, start = shared->predicted_clock ? real_ns() : 0;
	int fd;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&lock);
	memset(reply, 0, sizeof(*reply));
	fd = own_connection();
	if (fd >= 0) ret = exchange(fd, request, payload, n, reply, path);
	/* The program's clock sees the predicted time of the call, and nothing of the model's work. */
	if (shared->predicted_clock)
		__atomic_add_fetch(&shared->clock_offset, reply->model_ns - (real_ns() - start), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static long result(int64_t ret)
{
	if (ret >= 0) return ret;
	errno = -ret;
	return -1;
}

/* A new descriptor that stands for a file of the model: the connection on which it was asked for. */
static int descriptor(struct request *request, const void *payload, size_t n, int flags)
{
	struct reply reply;
	sigset_t all, before;
	int64_t ret;
	int fd = connect_model(flags & O_CLOEXEC ? SOCK_CLOEXEC : 0);

	if (fd < 0) return result(-ENODEV);
	request->arg[0] = socket_ino(fd);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = exchange(fd, request, payload, n, &reply, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret < 0) get_close()(fd);
	return ret < 0 ? result(ret) : fd;
}

/* ---- paths ---- */

static const char *const OURS[] = { "/dev/vfio", "/dev/iommu", "/sys/bus/pci", "/sys/devices/pci",
				    "/sys/kernel/iommu_groups", "/sys/class/iommu", "/sys/class/vfio",
				    "/sys/class/vfio-dev", "/sys/module/vfio" };

/* The path in the tree that the model has made, where the program means one of its devices. */
static const char *redirect(const char *path, char *to)
{
	if (!root || !path) return path;
	for (size_t i = 0; i < sizeof(OURS) / sizeof(*OURS); i++) {
		size_t n = strlen(OURS[i]);
		if (strncmp(path, OURS[i], n) != 0) continue;
		if (path[n] && path[n] != '/' && i != 3 && i != 8) continue;
		if (root_length + strlen(path) >= PATH_MAX) return path;
		memcpy(to, root, root_length);
		strcpy(to + root_length, path);
		return to;
	}
	return path;
}

/* A file of /dev that the model answers for; NULL for any other. */
static const char *device_file(const char *path)
{
	if (!root || !path) return NULL;
	if (strncmp(path, "/dev/vfio/", 10) == 0) return strcmp(path, "/dev/vfio/devices") ? path : NULL;
	return strcmp(path, "/dev/iommu") == 0 ? path : NULL;
}

static int open_device_file(const char *path, int flags)
{
	struct request request = { .kind = REQ_OPEN, .arg = { 0, flags } };

	return descriptor(&request, path, strlen(path), flags);
}

static void as_device(const char *path, struct stat *st)
{
	const char *name = device_file(path);

	if (!name || S_ISDIR(st->st_mode)) return;
	st->st_mode = S_IFCHR | 0666;
	st->st_rdev = strcmp(name, "/dev/vfio/vfio") == 0 ? makedev(10, 196) : makedev(240, st->st_ino & 0xff);
}

#define MODE_OF(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | __O_TMPFILE)) { \
		va_list list; \
		va_start(list, flags); \
		mode = va_arg(list, mode_t); \
		va_end(list); \
	}

PUBLIC int open(const char *path, int flags, ...)
{
	char to[PATH_MAX];
	MODE_OF(flags)

	if (device_file(path) && !(flags & (O_DIRECTORY | O_PATH))) return open_device_file(path, flags);
	return get_open()(redirect(path, to), flags, mode);
}

PUBLIC int openat(int dir, const char *path, int flags, ...)
{
	char to[PATH_MAX];
	MODE_OF(flags)

	if (device_file(path) && !(flags & (O_DIRECTORY | O_PATH))) return open_device_file(path, flags);
	return get_openat()(dir, redirect(path, to), flags, mode);
}

PUBLIC int open64(const char *path, int flags, ...) __attribute__((alias("open")));
PUBLIC int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));
PUBLIC int __open_2(const char *path, int flags) { return open(path, flags); }
PUBLIC int __open64_2(const char *path, int flags) { return open(path, flags); }
PUBLIC int __openat_2(int dir, const char *path, int flags) { return openat(dir, path, flags); }
PUBLIC int __openat64_2(int dir, const char *path, int flags) { return openat(dir, path, flags); }

PUBLIC FILE *fopen(const char *path, const char *mode)
{
	char to[PATH_MAX];

	return get_fopen()(redirect(path, to), mode);
}
PUBLIC FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

PUBLIC DIR *opendir(const char *path)
{
	char to[PATH_MAX];

	return get_opendir()(redirect(path, to));
}

PUBLIC int access(const char *path, int mode)
{
	char to[PATH_MAX];

	return get_access()(redirect(path, to), mode);
}

PUBLIC int faccessat(int dir, const char *path, int mode, int flags)
{
	char to[PATH_MAX];

	return get_faccessat()(dir, redirect(path, to), mode, flags);
}

PUBLIC ssize_t readlink(const char *path, char *buffer, size_t n)
{
	char to[PATH_MAX];

	return get_readlink()(redirect(path, to), buffer, n);
}

PUBLIC ssize_t readlinkat(int dir, const char *path, char *buffer, size_t n)
{
	char to[PATH_MAX];

	return get_readlinkat()(dir, redirect(path, to), buffer, n);
}

PUBLIC char *realpath(const char *path, char *resolved)
{
	char to[PATH_MAX];
	const char *asked = redirect(path, to);
	char *found = get_realpath()(asked, resolved);

	/* The tree's own place stays hidden. */
	if (found && root && strncmp(found, root, root_length) == 0 && found[root_length] == '/')
		memmove(found, found + root_length, strlen(found + root_length) + 1);
	return found;
}
PUBLIC char *canonicalize_file_name(const char *path) { return realpath(path, NULL); }

PUBLIC int stat(const char *path, struct stat *st)
{
	char to[PATH_MAX];
	int ret = get_stat()(redirect(path, to), st);

	if (ret == 0) as_device(path, st);
	return ret;
}

PUBLIC int lstat(const char *path, struct stat *st)
{
	char to[PATH_MAX];
	int ret = get_lstat()(redirect(path, to), st);

	if (ret == 0) as_device(path, st);
	return ret;
}

PUBLIC int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	char to[PATH_MAX];
	int ret = get_fstatat()(dir, redirect(path, to), st, flags);

	if (ret == 0) as_device(path, st);
	return ret;
}
PUBLIC int stat64(const char *path, struct stat64 *st) { return stat(path, (struct stat *)st); }
PUBLIC int lstat64(const char *path, struct stat64 *st) { return lstat(path, (struct stat *)st); }
PUBLIC int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dir, path, (struct stat *)st, flags);
}
PUBLIC int __xstat(int version, const char *path, struct stat *st) { (void)version; return stat(path, st); }
PUBLIC int __lxstat(int version, const char *path, struct stat *st) { (void)version; return lstat(path, st); }

PUBLIC int statx(int dir, const char *restrict path, int flags, unsigned int mask, struct statx *restrict st)
{
	char to[PATH_MAX];
	int ret = get_statx()(dir, redirect(path, to), flags, mask, st);

	if (ret == 0 && device_file(path) && !S_ISDIR(st->stx_mode)) st->stx_mode = S_IFCHR | 0666;
	return ret;
}

/* ---- files ---- */

PUBLIC int ioctl(int fd, unsigned long command, ...)
{
	struct request request = { .kind = REQ_IOCTL };
	struct reply reply;
	char bytes[ARGUMENT_BYTES];
	ssize_t n;
	int64_t ret;
	ino_t ino;
	void *argument;
	va_list list;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	command &= 0xffffffffUL;
	if (!root || _IOC_TYPE(command) != VFIO_IOCTL_TYPE || !(ino = socket_ino(fd)))
		return get_ioctl()(fd, command, argument);
	n = own_memory(0, (uint64_t)argument, bytes, sizeof(bytes));
	/* The structure may lie at the end of what is mapped. */
	if (n < 0) {
		size_t left = 4096 - ((uint64_t)argument & 4095);
		n = left < sizeof(bytes) ? own_memory(0, (uint64_t)argument, bytes, left) : -1;
	}
	request.arg[0] = ino;
	request.arg[1] = command;
	request.arg[2] = (int64_t)argument;
	if (command == VFIO_GROUP_SET_CONTAINER && n >= 4) {
		int other;
		memcpy(&other, bytes, sizeof(other));
		request.arg[3] = socket_ino(other);
	}
	if (command == VFIO_DEVICE_BIND_IOMMUFD && n >= 12) {
		int other;
		memcpy(&other, bytes + 8, sizeof(other));
		request.arg[3] = socket_ino(other);
	}
	ret = call(&request, bytes, n > 0 ? n : 0, &reply, NULL);
	if (reply.kind == REPLY_FOREIGN) return get_ioctl()(fd, command, argument);
	if (reply.kind == REPLY_DESCRIPTOR && ret >= 0) {
		struct request adopt = { .kind = REQ_ADOPT, .arg = { 0, reply.extra } };
		return descriptor(&adopt, NULL, 0, O_CLOEXEC);
	}
	return result(ret);
}

PUBLIC int close(int fd)
{
	struct request request = { .kind = REQ_CLOSED };
	struct reply reply;
	int ours = root && shared->has_device && socket_ino(fd) && fd != connection;
	int ret = get_close()(fd);

	/* The model learns of it before the program goes on. */
	if (ours) {
		int saved = errno;
		call(&request, NULL, 0, &reply, NULL);
		errno = saved;
	}
	return ret;
}

/* A read or write of a device's registers and regions. */
static ssize_t device_access(int kind, int fd, void *bytes, size_t n, off_t offset, int *foreign)
{
	struct request request = { .kind = kind, .arg = { 0, offset, n, (int64_t)bytes } };
	struct reply reply;
	int64_t ret;
	char small[ARGUMENT_BYTES];

	*foreign = 1;
	if (!root || !shared->has_device || !(request.arg[0] = socket_ino(fd))) return 0;
	if (n > sizeof(small)) n = request.arg[2] = sizeof(small);
	if (kind == REQ_DEVICE_WRITE && own_memory(0, (uint64_t)bytes, small, n) != (ssize_t)n) n = 0;
	ret = call(&request, small, kind == REQ_DEVICE_WRITE ? n : 0, &reply, NULL);
	*foreign = reply.kind == REPLY_FOREIGN;
	return result(ret);
}

PUBLIC ssize_t pread(int fd, void *bytes, size_t n, off_t offset)
{
	int foreign;
	ssize_t ret = device_access(REQ_DEVICE_READ, fd, bytes, n, offset, &foreign);

	return foreign ? get_pread()(fd, bytes, n, offset) : ret;
}

PUBLIC ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
	int foreign;
	ssize_t ret = device_access(REQ_DEVICE_WRITE, fd, (void *)bytes, n, offset, &foreign);

	return foreign ? get_pwrite()(fd, bytes, n, offset) : ret;
}
PUBLIC ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) { return pread(fd, bytes, n, at); }
PUBLIC ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { return pwrite(fd, bytes, n, at); }

/* ---- memory ---- */

static void memory_changed(int what, const void *at, size_t n, int64_t third, int64_t fourth, int64_t fifth)
{
	struct request request = { .kind = REQ_MEMORY,
				   .arg = { what, (int64_t)at, (int64_t)n, third, fourth, fifth } };
	struct reply reply;
	int saved = errno;

	if (root && (shared->watches_memory || what == MEM_POPULATED)) call(&request, NULL, 0, &reply, NULL);
	errno = saved;
}

static void *map_device(void *at, size_t n, int prot, int flags, int fd, off_t offset, ino_t ino)
{
	struct request request = { .kind = REQ_MMAP_DEVICE, .arg = { ino, offset, n, prot, flags } };
	struct reply reply;
	char path[PATH_MAX];
	int64_t ret = call(&request, NULL, 0, &reply, path);
	void *mapped;

	if (reply.kind == REPLY_FOREIGN) return get_mmap()(at, n, prot, flags, fd, offset);
	if (ret < 0) return (void *)result(ret);
	fd = get_open()(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) return MAP_FAILED;
	mapped = get_mmap()(at, n, prot, flags, fd, reply.extra);
	get_close()(fd);
	if (mapped != MAP_FAILED) {
		struct request done = { .kind = REQ_DEVICE_MAPPED,
					.arg = { ino, offset, n, prot, flags, (int64_t)mapped } };
		call(&done, NULL, 0, &reply, NULL);
	}
	return mapped;
}

PUBLIC void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	ino_t ino;
	void *mapped;
	int asked = flags, known = root && shared->has_device;

	if (known && fd >= 0 && !(flags & MAP_ANONYMOUS) && (ino = socket_ino(fd)))
		return map_device(at, n, prot, flags, fd, offset, ino);
	if (known && shared->lazy) {
		/* Private memory that nobody writes is one page of zeros, however often it is read. */
		flags &= ~MAP_POPULATE;
		flags |= MAP_NORESERVE;
		if (flags & MAP_ANONYMOUS && flags & MAP_SHARED) flags = (flags & ~MAP_SHARED) | MAP_PRIVATE;
	}
	mapped = get_mmap()(at, n, prot, flags, fd, offset);
	if (mapped == MAP_FAILED) return mapped;
	if (flags & MAP_FIXED) memory_changed(MEM_MMAP, mapped, n, prot, flags, 0);
	/* What /proc does not tell: shared memory that was populated was read, not written. */
	if (known && asked & MAP_SHARED && (asked & MAP_POPULATE || shared->lazy))
		memory_changed(MEM_POPULATED, mapped, n, prot, asked, 0);
	return mapped;
}
PUBLIC void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
	return mmap(at, n, prot, flags, fd, offset);
}

PUBLIC int munmap(void *at, size_t n)
{
	int ret = get_munmap()(at, n);

	if (ret == 0) memory_changed(MEM_MUNMAP, at, n, 0, 0, 0);
	return ret;
}

PUBLIC void *mremap(void *at, size_t n, size_t size, int flags, ...)
{
	void *to = NULL, *ret;
	va_list list;

	if (flags & MREMAP_FIXED) {
		va_start(list, flags);
		to = va_arg(list, void *);
		va_end(list);
	}
	ret = get_mremap()(at, n, size, flags, to);
	if (ret != MAP_FAILED) memory_changed(MEM_MREMAP, at, n, size, flags, (int64_t)ret);
	return ret;
}

PUBLIC int madvise(void *at, size_t n, int advice)
{
	int ret = get_madvise()(at, n, advice);

	if (ret == 0) memory_changed(MEM_MADVISE, at, n, advice, 0, 0);
	return ret;
}

PUBLIC int mprotect(void *at, size_t n, int prot)
{
	int ret = get_mprotect()(at, n, prot);

	if (ret == 0) memory_changed(MEM_MPROTECT, at, n, prot, 0, 0);
	return ret;
}

PUBLIC int mlock(const void *at, size_t n)
{
	int ret = get_mlock()(at, n);

	if (ret == 0) memory_changed(MEM_MLOCK, at, n, 0, 0, 0);
	return ret;
}

PUBLIC int munlock(const void *at, size_t n)
{
	int ret = get_munlock()(at, n);

	if (ret == 0) memory_changed(MEM_MUNLOCK, at, n, 0, 0, 0);
	return ret;
}

/* A folder that is to look like a hugetlbfs: PINFOLD_EXEC_HUGETLBFS is its path, a colon and a page size. */
static long hugetlbfs_page(const char *path)
{
	const char *setting = root ? getenv("PINFOLD_EXEC_HUGETLBFS") : NULL, *colon;

	if (!setting || !path || !(colon = strrchr(setting, ':'))) return 0;
	if (strncmp(path, setting, colon - setting) != 0) return 0;
	return path[colon - setting] == 0 || path[colon - setting] == '/' ? atol(colon + 1) : 0;
}

PUBLIC int statfs(const char *path, struct statfs *fs)
{
	int ret = get_statfs()(path, fs);
	long page = hugetlbfs_page(path);

	if (ret != 0 || page == 0) return ret;
	fs->f_type = HUGETLBFS_MAGIC;
	fs->f_bsize = page;
	return ret;
}
PUBLIC int statfs64(const char *path, struct statfs64 *fs) { return statfs(path, (struct statfs *)fs); }

PUBLIC int fstatfs(int fd, struct statfs *fs)
{
	char link[64], path[PATH_MAX];
	int ret = get_fstatfs()(fd, fs);
	ssize_t n;
	long page;

	if (ret != 0 || !root) return ret;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = get_readlink()(link, path, sizeof(path) - 1);
	if (n < 0) return ret;
	path[n] = 0;
	page = hugetlbfs_page(path);
	if (page == 0) return ret;
	fs->f_type = HUGETLBFS_MAGIC;
	fs->f_bsize = page;
	return ret;
}
PUBLIC int fstatfs64(int fd, struct statfs64 *fs) { return fstatfs(fd, (struct statfs *)fs); }

/* ---- limits and clocks ---- */

static void limit_changed(int resource, const struct rlimit *limit)
{
	struct request request = { .kind = REQ_RLIMIT };
	struct reply reply;
	int saved = errno;

	if (!root || resource != RLIMIT_MEMLOCK || !limit) return;
	request.arg[0] = limit->rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit->rlim_cur;
	call(&request, NULL, 0, &reply, NULL);
	errno = saved;
}

PUBLIC int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	int ret = get_setrlimit()(resource, limit);

	if (ret == 0) limit_changed(resource, limit);
	return ret;
}
PUBLIC int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return setrlimit(resource, (const struct rlimit *)limit);
}

PUBLIC int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new, struct rlimit *old)
{
	int ret = get_prlimit()(pid, resource, new, old);

	if (ret == 0 && (pid == 0 || pid == getpid())) limit_changed(resource, new);
	return ret;
}

static int64_t clock_offset(void)
{
	return root && shared->predicted_clock ? __atomic_load_n(&shared->clock_offset, __ATOMIC_RELAXED) : 0;
}

PUBLIC int clock_gettime(clockid_t clock, struct timespec *now)
{
	int ret = get_clock_gettime()(clock, now);
	int64_t offset = clock_offset(), ns;

	if (ret != 0 || offset == 0) return ret;
	if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID) return ret;
	ns = now->tv_sec * 1000000000LL + now->tv_nsec + offset;
	now->tv_sec = ns / 1000000000LL;
	now->tv_nsec = ns % 1000000000LL;
	return ret;
}

PUBLIC int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int ret = get_gettimeofday()(now, zone);
	int64_t offset = clock_offset(), us;

	if (ret != 0 || !now || offset == 0) return ret;
	us = now->tv_sec * 1000000LL + now->tv_usec + offset / 1000;
	now->tv_sec = us / 1000000LL;
	now->tv_usec = us % 1000000LL;
	return ret;
}
