/* SPDX-License-Identifier: MIT */
/* Times a map and an unmap, of shared memory or of a file in a folder. */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .iova = 1ULL << 32 };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = 1ULL << 32 };
	int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/1", O_RDWR), fd = -1;
	int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
	char path[4096];
	double start;

	map.size = unmap.size = strtoull(argv[1], NULL, 0);
	if (argc > 2) {
		struct statfs fs;
		if (statfs(argv[2], &fs)) return 1;
		printf("page %ld\n", (long)fs.f_bsize);
		snprintf(path, sizeof(path), "%s/timed.XXXXXX", argv[2]);
		fd = mkstemp(path);
		if (fd < 0 || unlink(path) || ftruncate(fd, map.size)) return 1;
		flags = MAP_SHARED;
	}
	ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	map.vaddr = (uint64_t)mmap(NULL, map.size, PROT_READ | PROT_WRITE, flags, fd, 0);
	start = now();
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) return 2;
	printf("map %.2f s\n", now() - start);
	start = now();
	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap)) return 3;
	printf("unmap %.2f s\n", now() - start);
	return 0;
}
