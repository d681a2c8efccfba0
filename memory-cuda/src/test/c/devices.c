/* The devices, and what can be asked about them without a context. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct device devices[MOST_DEVICES];
int device_count;

static int shown[MOST_DEVICES]; /* indices in the order programs count */
static int shown_count;

int visible_count(void) {
    return shown_count;
}

struct device *visible(CUdevice ordinal) {
    return ordinal >= 0 && ordinal < shown_count ? &devices[shown[ordinal]] : NULL;
}

int index_of(const struct device *device) {
    return (int)(device - devices);
}

CUdevice ordinal_of(int index) {
    for (int i = 0; i < shown_count; i++) {
        if (shown[i] == index) {
            return i;
        }
    }
    return -1;
}

static void print_uuid(char text[48], const struct device *device) {
    const unsigned char *u = device->uuid;
    snprintf(text, 48, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             device->slice ? "MIG" : "GPU", u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
             u[12], u[13], u[14], u[15]);
}

/* The device an entry of CUDA_VISIBLE_DEVICES names, by number or by the beginning of its UUID. */
static int named(const char *entry) {
    char *end;
    long number = strtol(entry, &end, 10);
    if (end != entry && *end == 0) {
        return number >= 0 && number < device_count ? (int)number : -1;
    }
    for (int i = 0; i < device_count; i++) {
        char uuid[48];
        print_uuid(uuid, &devices[i]);
        if (strlen(entry) > 4 && strncasecmp(uuid, entry, strlen(entry)) == 0) {
            return i;
        }
    }
    return -1;
}

/* Decides which devices programs see: the first entry that names none ends the list, as the manual says. */
void devices_show(void) {
    shown_count = 0;
    const char *wanted = getenv("CUDA_VISIBLE_DEVICES");
    if (wanted == NULL) {
        for (int i = 0; i < device_count; i++) {
            if (!devices[i].hidden) {
                shown[shown_count++] = i;
            }
        }
        return;
    }
    char list[512];
    snprintf(list, sizeof list, "%s", wanted);
    char *rest = NULL;
    for (char *entry = strtok_r(list, ",", &rest); entry != NULL; entry = strtok_r(NULL, ",", &rest)) {
        int index = named(entry);
        if (index < 0 || ordinal_of(index) >= 0) {
            return;
        }
        shown[shown_count++] = index;
    }
}

uint64_t device_free(int index) {
    const struct device *device = &devices[index];
    uint64_t taken = device->used + device->others;
    return taken < device->total ? device->total - taken : 0;
}

bool device_take(int index, uint64_t bytes) {
    if (bytes > device_free(index)) {
        return false;
    }
    devices[index].used += bytes;
    return true;
}

void device_give(int index, uint64_t bytes) {
    devices[index].used -= bytes;
}

/* --- the driver's functions -------------------------------------------------------------------------------------- */

CUresult cuInit(unsigned flags) {
    ENTER(NOTHING);
    if (flags != 0) {
        LEAVE(INVALID_VALUE);
    }
    devices_show();
    if (shown_count == 0) {
        LEAVE(NO_DEVICE);
    }
    initialised = true;
    LEAVE(SUCCESS);
}

CUresult cuDriverGetVersion(int *version) {
    ENTER(NOTHING);
    *version = driver_version;
    LEAVE(SUCCESS);
}

CUresult cuDeviceGetCount(int *count) {
    ENTER(DRIVER);
    *count = shown_count;
    LEAVE(SUCCESS);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(DRIVER);
    if (visible(ordinal) == NULL) {
        LEAVE(INVALID_DEVICE);
    }
    *device = ordinal;
    LEAVE(SUCCESS);
}

#define DEVICE(ordinal)                                                                                                \
    struct device *device = visible(ordinal);                                                                          \
    if (device == NULL)                                                                                                \
    LEAVE(INVALID_DEVICE)

CUresult cuDeviceGetName(char *name, int length, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    snprintf(name, (size_t)length, "%s", device->name);
    LEAVE(SUCCESS);
}

/* Of a slice this one gives the card's, as it did before there were slices. */
CUresult cuDeviceGetUuid(unsigned char uuid[16], CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    memcpy(uuid, device->slice ? device->card_uuid : device->uuid, 16);
    LEAVE(SUCCESS);
}

CUresult cuDeviceGetUuid_v2(unsigned char uuid[16], CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    memcpy(uuid, device->uuid, 16);
    LEAVE(SUCCESS);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    *bytes = device->total;
    LEAVE(SUCCESS);
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    *major = device->major;
    *minor = device->minor;
    LEAVE(SUCCESS);
}

CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    char text[32];
    int wanted = snprintf(text, sizeof text, "%04x:%02x:%02x.0", device->domain, device->bus, device->slot);
    if (length <= wanted) {
        LEAVE(INVALID_VALUE);
    }
    snprintf(id, (size_t)length, "%s", text);
    LEAVE(SUCCESS);
}

CUresult cuDeviceGetByPCIBusId(CUdevice *found, const char *id) {
    ENTER(DRIVER);
    int domain = 0, bus = 0, slot = 0;
    if (sscanf(id, "%x:%x:%x", (unsigned *)&domain, (unsigned *)&bus, (unsigned *)&slot) == 3) {
        for (int i = 0; i < shown_count; i++) {
            const struct device *device = visible(i);
            if (device->domain == domain && device->bus == bus && device->slot == slot) {
                *found = i;
                LEAVE(SUCCESS);
            }
        }
    }
    LEAVE(INVALID_DEVICE);
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    switch (attribute) {
    case 1: /* threads in a block */
        *value = 1024;
        break;
    case 10: /* width of a warp */
        *value = 32;
        break;
    case 16: /* multiprocessors */
        *value = 40;
        break;
    case 18: /* integrated */
        *value = device->integrated;
        break;
    case 19: /* can map host memory */
    case 31: /* runs kernels side by side */
    case 41: /* one address space */
        *value = 1;
        break;
    case 20: /* mode of computing: anybody */
    case 35: /* the simple kind of driver */
        *value = 0;
        break;
    case 33:
        *value = device->bus;
        break;
    case 34:
        *value = device->slot;
        break;
    case 40: /* engines that copy */
        *value = 2;
        break;
    case 50:
        *value = device->domain;
        break;
    case 75:
        *value = device->major;
        break;
    case 76:
        *value = device->minor;
        break;
    case 83: /* managed memory */
    case 84: /* several of them on a board */
        *value = 0;
        break;
    case 102: /* virtual memory */
        *value = !device->no_virtual_memory;
        break;
    case 103: /* handles as file descriptors */
        *value = !device->no_virtual_memory;
        break;
    case 115: /* memory pools */
        *value = !device->no_pools;
        break;
    default:
        *value = 0;
        LEAVE(attribute > 0 && attribute < 140 ? SUCCESS : INVALID_VALUE);
    }
    LEAVE(SUCCESS);
}

CUresult cuDeviceCanAccessPeer(int *can, CUdevice ordinal, CUdevice peer) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    if (visible(peer) == NULL) {
        LEAVE(INVALID_DEVICE);
    }
    *can = (device->peers_allowed >> index_of(visible(peer)) & 1) != 0;
    LEAVE(SUCCESS);
}
