/* SPDX-License-Identifier: MIT */
/*
 * Stress: `threads N ROUNDS` maps and unmaps from N threads at once; `children N` lets N children open and
 * map one after the other, at once; `kill` dies with a mapping; `wild ROUNDS SEED` makes ioctls of random
 * commands with random pointers and structures.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

static int container, group, device, rounds;
static int failures;

static int open_all(void)
{
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/1", O_RDWR);
	if (group < 0) return -errno;
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) return -errno;
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) return -errno;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:04.0");
	return device < 0 ? -errno : 0;
}

static int map(uint64_t iova, void *at, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3,
						.vaddr = (uint64_t)at, .iova = iova, .size = size };
	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static int unmap(uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = size };
	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static void *memory_of(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *work(void *argument)
{
	uint64_t iova = (1 + (uint64_t)argument) << 30;
	char *at = memory_of(16 * PAGE);

	for (int i = 0; i < rounds; i++) {
		at[0] = i;
		if (map(iova, at, 16 * PAGE) || unmap(iova, 16 * PAGE)) __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int threads(int n)
{
	pthread_t ids[64];

	if (open_all()) return 1;
	for (long i = 0; i < n; i++) pthread_create(&ids[i], NULL, work, (void *)i);
	for (int i = 0; i < n; i++) pthread_join(ids[i], NULL);
	printf("%d failures\n", failures);
	return failures != 0;
}

static int child(void)
{
	int ret;

	/* The group can be open once: whoever finds it open waits. */
	for (int i = 0; (ret = open_all()) == -EBUSY && i < 10000; i++) {
		close(container);
		usleep(1000);
	}
	if (ret) return 2;
	return map(1 << 20, memory_of(PAGE), PAGE) ? 3 : 0;
}

static int children(int n)
{
	int status, bad = 0;

	for (int i = 0; i < n; i++) if (fork() == 0) _exit(child());
	for (int i = 0; i < n; i++) {
		wait(&status);
		bad += status != 0;
	}
	printf("%d of %d children failed\n", bad, n);
	return bad != 0;
}

static uint64_t state;

static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int wild(int n, uint64_t seed)
{
	char *bytes = memory_of(PAGE);
	int ok = 0;

	state = seed * 0x9e3779b97f4a7c15ULL + 1;
	open_all();
	for (int i = 0; i < n; i++) {
		int fds[] = { container, group, device };
		/* SET_IRQS, hot reset and what else is about interrupts waits for eventfds: not these. */
		unsigned long command = 0x3b64 + random64() % 16;
		uint32_t *words = (uint32_t *)bytes;
		void *at = bytes;

		for (int j = 0; j < 16; j++) words[j] = random64() % 3 ? random64() % 64 : random64();
		if (random64() % 4) words[0] = 8 * (random64() % 9);
		if (random64() % 3 == 0) *(uint64_t *)(bytes + 8) = (uint64_t)bytes;
		switch (random64() % 8) {
		case 0: at = (void *)random64(); break;
		case 1: at = bytes + PAGE - random64() % 48; break;
		case 2: at = NULL; break;
		}
		ok += ioctl(fds[random64() % 3], command, at) >= 0;
	}
	printf("done, %s\n", ok > 0 ? "some succeeded" : "none succeeded");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	rounds = argc > 3 ? atoi(argv[3]) : 10;
	if (strcmp(what, "threads") == 0) return threads(atoi(argv[2]));
	if (strcmp(what, "children") == 0) return children(atoi(argv[2]));
	if (strcmp(what, "wild") == 0) return wild(atoi(argv[2]), atoi(argv[3]));
	if (strcmp(what, "kill") == 0) {
		if (open_all() || map(1 << 20, memory_of(PAGE), PAGE)) return 1;
		kill(getpid(), SIGKILL);
	}
	return 2;
}
