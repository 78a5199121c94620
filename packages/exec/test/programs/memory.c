/* SPDX-License-Identifier: MIT */
/* Maps memory of several kinds, of which some pages are there, and changes it under the mapping. */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL

static int container;

static int map(uint64_t iova, void *at, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3,
						.vaddr = (uint64_t)at, .iova = iova, .size = size };
	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* With a page before and after it that cannot be read, so that no other memory joins it. */
static char *alone(size_t size, int flags, int fd)
{
	char *at = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mmap(at + PAGE, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

int main(void)
{
	int group, memfd = memfd_create("guest", 0);
	char *at = alone(16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1), *first, *second;

	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/1", O_RDWR);
	ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);

	madvise(at, 16 * PAGE, MADV_NOHUGEPAGE);
	memset(at + PAGE, 1, 2 * PAGE);
	memset(at + 10 * PAGE, 1, 3 * PAGE);
	if (map(0, at, 16 * PAGE)) return 1;
	madvise(at + 4 * PAGE, 2 * PAGE, MADV_DONTNEED);
	munmap(at + 14 * PAGE, 2 * PAGE);

	if (ftruncate(memfd, 8 * PAGE)) return 1;
	first = alone(8 * PAGE, MAP_SHARED, memfd);
	second = alone(8 * PAGE, MAP_SHARED, memfd);
	memset(first, 1, 4 * PAGE);
	if (map(1 << 20, first, 8 * PAGE) || map(2 << 20, second, 8 * PAGE)) return 1;
	puts("done");
	return 0;
}
