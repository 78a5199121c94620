/* SPDX-License-Identifier: MIT */
/* Maps and unmaps memory through a container, and prints what each call returned. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void show(const char *what, int ret)
{
	printf("%s %s\n", what, ret < 0 ? strerrorname_np(errno) : "ok");
}

static int map(int container, void *at, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3,
						.vaddr = (uint64_t)at, .iova = iova, .size = size };
	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

int main(int argc, char **argv)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap) };
	struct vfio_iommu_type1_info *info;
	struct vfio_device_info device_info = { .argsz = sizeof(device_info) };
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 0) : 8 << 20;
	int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/1", O_RDWR), device;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("version %d\n", ioctl(container, VFIO_GET_API_VERSION));
	printf("type1v2 %d\n", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
	show("set_iommu early", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	show("open again", open("/dev/vfio/1", O_RDWR));
	ioctl(group, VFIO_GROUP_GET_STATUS, &status);
	printf("status %u\n", status.flags);
	show("set_container", ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	show("set_iommu", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:04.0");
	show("device", device);
	show("device_info", ioctl(device, VFIO_DEVICE_GET_INFO, &device_info));
	printf("regions %u irqs %u\n", device_info.num_regions, device_info.num_irqs);

	info = calloc(1, 4096);
	info->argsz = sizeof(*info);
	show("info", ioctl(container, VFIO_IOMMU_GET_INFO, info));
	printf("needs %u\n", info->argsz);
	show("info", ioctl(container, VFIO_IOMMU_GET_INFO, info));
	printf("pgsizes %llx cap at %u\n", (unsigned long long)info->iova_pgsizes, info->cap_offset);

	memset(memory, 1, size / 2);
	show("map", map(container, memory, 0x100000, size));
	show("map again", map(container, memory, 0x100000, 4096));
	show("map unaligned", map(container, memory, 0x900123000, 123));
	show("map nothing there", map(container, (void *)0x10000, 1ULL << 40, 4096));
	show("wild pointer", ioctl(container, VFIO_IOMMU_MAP_DMA, (void *)0x10));
	unmap.iova = 0x100000;
	unmap.size = size;
	show("unmap", ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	printf("unmapped %llu\n", (unsigned long long)unmap.size);
	show("no vfio", ioctl(0, VFIO_GET_API_VERSION));
	close(device);
	show("unset", ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	close(group);
	show("open anew", open("/dev/vfio/1", O_RDWR));
	return 0;
}
