/* SPDX-License-Identifier: MIT */
/* Binds a device to an iommufd, maps and unmaps, and prints what each call returned. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What older headers lack. */
#define IOMMUFD(nr) _IO(';', 0x80 + (nr))
enum { DESTROY = IOMMUFD(0), IOAS_ALLOC = IOMMUFD(1), IOVA_RANGES = IOMMUFD(4), IOAS_MAP = IOMMUFD(5),
       IOAS_UNMAP = IOMMUFD(6), OPTION = IOMMUFD(7) };
enum { BIND = _IO(';', 100 + 18), ATTACH = _IO(';', 100 + 19), DETACH = _IO(';', 100 + 20) };
enum { OPTION_HUGE_PAGES = 1, OPTION_GET = 1 };

static void show(const char *what, int ret)
{
	printf("%s %s\n", what, ret < 0 ? strerrorname_np(errno) : "ok");
}

int main(void)
{
	struct { uint32_t size, flags, out_ioas_id; } alloc = { .size = sizeof(alloc) };
	struct { uint64_t start, last; } ranges[8];
	struct { uint32_t size, ioas_id, num_iovas, reserved; uint64_t allowed_iovas, out_alignment; } usable =
		{ .size = sizeof(usable), .num_iovas = 8, .allowed_iovas = (uint64_t)ranges };
	struct { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; } map =
		{ .size = sizeof(map), .flags = 7, .length = 1 << 20, .iova = 1 << 20 };
	struct { uint32_t size, ioas_id; uint64_t iova, length; } unmap =
		{ .size = sizeof(unmap), .iova = 1 << 20, .length = 1 << 20 };
	struct { uint32_t size, option_id; uint16_t op, reserved; uint32_t object_id; uint64_t val64; } option =
		{ .size = sizeof(option), .option_id = OPTION_HUGE_PAGES, .op = OPTION_GET };
	struct { uint32_t size, id; } destroy = { .size = sizeof(destroy) };
	struct { uint32_t argsz, flags; int32_t iommufd; uint32_t out_devid; } bind = { .argsz = sizeof(bind) };
	struct { uint32_t argsz, flags, pt_id; } attach = { .argsz = sizeof(attach) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int iommufd = open("/dev/iommu", O_RDWR), device = open("/dev/vfio/devices/vfio0", O_RDWR);

	map.user_va = (uint64_t)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	show("info early", ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	bind.iommufd = iommufd;
	show("bind", ioctl(device, BIND, &bind));
	show("bind again", ioctl(device, BIND, &bind));
	show("info", ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	show("alloc", ioctl(iommufd, IOAS_ALLOC, &alloc));
	printf("ioas %s device\n", alloc.out_ioas_id == bind.out_devid ? "is" : "is not");
	attach.pt_id = alloc.out_ioas_id;
	show("attach", ioctl(device, ATTACH, &attach));
	usable.ioas_id = map.ioas_id = unmap.ioas_id = option.object_id = destroy.id = alloc.out_ioas_id;
	show("ranges", ioctl(iommufd, IOVA_RANGES, &usable));
	printf("%u ranges, first to 0x%llx\n", usable.num_iovas, (unsigned long long)ranges[0].last);
	show("map", ioctl(iommufd, IOAS_MAP, &map));
	show("map again", ioctl(iommufd, IOAS_MAP, &map));
	map.flags = 6;
	show("map anywhere", ioctl(iommufd, IOAS_MAP, &map));
	printf("elsewhere %d\n", map.iova != 1 << 20);
	show("option", ioctl(iommufd, OPTION, &option));
	printf("huge pages %llu\n", (unsigned long long)option.val64);
	show("unmap", ioctl(iommufd, IOAS_UNMAP, &unmap));
	printf("unmapped %llu\n", (unsigned long long)unmap.length);
	show("unmap again", ioctl(iommufd, IOAS_UNMAP, &unmap));
	show("destroy in use", ioctl(iommufd, DESTROY, &destroy));
	show("detach", ioctl(device, DETACH, &attach));
	show("destroy", ioctl(iommufd, DESTROY, &destroy));
	destroy.size = 4;
	show("short", ioctl(iommufd, DESTROY, &destroy));
	close(iommufd);
	show("device goes on", ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	close(device);
	show("open anew", open("/dev/iommu", O_RDWR));
	return 0;
}
