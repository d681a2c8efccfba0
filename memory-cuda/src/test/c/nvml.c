/* What of NVML Headroom calls. It looks at the same devices, hidden ones included, and needs no context. */
#include "double.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, UNSUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

static int users;

/* Handles: the index of a device and one, a slice has the same shape but another range. */
#define CARD 0xCA4D0000ull
#define SLICE 0x511CE0000ull

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct pci {
    char legacy_id[16];
    unsigned domain, bus, device, vendor, subsystem;
    char id[32];
};

#define NVML                                                                                                           \
    ENTER(NOTHING);                                                                                                    \
    if (users == 0)                                                                                                    \
    LEAVE(UNINITIALIZED)

/* Cards come in the order of their first device; slices share the card they are on. */
static int first_of_card(int index) {
    for (int i = 0; i < index; i++) {
        bool same = devices[i].domain == devices[index].domain && devices[i].bus == devices[index].bus &&
                    devices[i].slot == devices[index].slot;
        if (same) {
            return i;
        }
    }
    return index;
}

static int card(int number) {
    for (int i = 0; i < device_count; i++) {
        if (first_of_card(i) == i && number-- == 0) {
            return i;
        }
    }
    return -1;
}

static int index_of_handle(Handle handle, bool *slice) {
    *slice = handle >= SLICE;
    uint64_t index = handle - (*slice ? SLICE : CARD);
    return handle >= CARD && index < (uint64_t)device_count ? (int)index : -1;
}

#define DEVICE(handle)                                                                                                 \
    bool slice = false;                                                                                                \
    int index = index_of_handle(handle, &slice);                                                                       \
    if (index < 0)                                                                                                     \
    LEAVE(INVALID_ARGUMENT)

static void print_uuid(char text[48], int index, bool slice) {
    const unsigned char *u = devices[index].slice && !slice ? devices[index].card_uuid : devices[index].uuid;
    snprintf(text, 48, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", slice ? "MIG" : "GPU",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static int put(char *target, unsigned room, const char *text) {
    if (strlen(text) >= room) {
        return INSUFFICIENT_SIZE;
    }
    snprintf(target, room, "%s", text);
    return SUCCESS;
}

int nvmlInit_v2(void) {
    ENTER(NOTHING);
    users++;
    LEAVE(SUCCESS);
}

int nvmlInitWithFlags(unsigned flags) {
    ENTER(NOTHING);
    (void)flags; /* 1: no device is fine as well */
    users++;
    LEAVE(SUCCESS);
}

int nvmlShutdown(void) {
    NVML;
    users--;
    LEAVE(SUCCESS);
}

void nvml_reset(void) {
    users = 0;
}

int double_nvml_users(void) {
    pthread_mutex_lock(&lock);
    int open = users;
    pthread_mutex_unlock(&lock);
    return open;
}

int nvmlSystemGetDriverVersion(char *text, unsigned room) {
    NVML;
    LEAVE(put(text, room, "560.35.03"));
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    NVML;
    *version = driver_version;
    LEAVE(SUCCESS);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    NVML;
    *count = 0;
    while (card((int)*count) >= 0) {
        ++*count;
    }
    LEAVE(SUCCESS);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned number, Handle *handle) {
    NVML;
    int index = card((int)number);
    if (index < 0) {
        LEAVE(INVALID_ARGUMENT);
    }
    *handle = CARD + (uint64_t)index;
    LEAVE(SUCCESS);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Handle *handle) {
    NVML;
    for (int i = 0; i < device_count; i++) {
        char text[48];
        for (int slice = 0; slice <= (devices[i].slice ? 1 : 0); slice++) {
            print_uuid(text, i, slice != 0);
            if (strcasecmp(text, uuid) == 0) {
                *handle = slice != 0 ? SLICE + (uint64_t)i : CARD + (uint64_t)first_of_card(i);
                LEAVE(SUCCESS);
            }
        }
    }
    LEAVE(NOT_FOUND);
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *id, Handle *handle) {
    NVML;
    unsigned domain = 0, bus = 0, slot = 0;
    if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
        LEAVE(INVALID_ARGUMENT);
    }
    for (int i = 0; i < device_count; i++) {
        const struct device *device = &devices[i];
        if (device->domain == (int)domain && device->bus == (int)bus && device->slot == (int)slot) {
            *handle = CARD + (uint64_t)i;
            LEAVE(SUCCESS);
        }
    }
    LEAVE(NOT_FOUND);
}

int nvmlDeviceGetName(Handle handle, char *text, unsigned room) {
    NVML;
    DEVICE(handle);
    LEAVE(put(text, room, devices[index].name));
}

int nvmlDeviceGetUUID(Handle handle, char *text, unsigned room) {
    NVML;
    DEVICE(handle);
    char uuid[48];
    print_uuid(uuid, index, slice);
    LEAVE(put(text, room, uuid));
}

int nvmlDeviceGetPciInfo_v3(Handle handle, struct pci *pci) {
    NVML;
    DEVICE(handle);
    const struct device *device = &devices[index];
    memset(pci, 0, sizeof *pci);
    pci->domain = (unsigned)device->domain;
    pci->bus = (unsigned)device->bus;
    pci->device = (unsigned)device->slot;
    snprintf(pci->legacy_id, sizeof pci->legacy_id, "%04X:%02X:%02X.0", pci->domain & 0xFFFF, pci->bus & 0xFF,
             pci->device & 0xFF);
    snprintf(pci->id, sizeof pci->id, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
    LEAVE(SUCCESS);
}

/* Of a card all its slices, of a slice itself. */
static struct memory memory_of(int index, bool slice) {
    struct memory sum = {0, 0, 0};
    for (int i = 0; i < device_count; i++) {
        if (i == index || (!slice && first_of_card(i) == first_of_card(index))) {
            sum.total += devices[i].total;
            sum.free += device_free(i);
        }
    }
    sum.used = sum.total - sum.free;
    return sum;
}

int nvmlDeviceGetMemoryInfo(Handle handle, struct memory *memory) {
    NVML;
    DEVICE(handle);
    *memory = memory_of(index, slice);
    LEAVE(SUCCESS);
}

int nvmlDeviceGetMemoryInfo_v2(Handle handle, struct memory_v2 *memory) {
    NVML;
    DEVICE(handle);
    if (memory->version != (sizeof *memory | 2u << 24)) {
        LEAVE(25); /* of another version */
    }
    struct memory sum = memory_of(index, slice);
    memory->total = sum.total;
    memory->reserved = 0;
    memory->free = sum.free;
    memory->used = sum.used;
    LEAVE(SUCCESS);
}

int nvmlDeviceGetMigMode(Handle handle, unsigned *current, unsigned *pending) {
    NVML;
    DEVICE(handle);
    *current = *pending = devices[index].slice;
    LEAVE(slice ? UNSUPPORTED : SUCCESS);
}

int nvmlDeviceGetMaxMigDeviceCount(Handle handle, unsigned *count) {
    NVML;
    DEVICE(handle);
    *count = devices[index].slice ? 7 : 0;
    LEAVE(SUCCESS);
}

int nvmlDeviceGetMigDeviceHandleByIndex(Handle handle, unsigned number, Handle *found) {
    NVML;
    DEVICE(handle);
    for (int i = 0; i < device_count; i++) {
        if (devices[i].slice && first_of_card(i) == first_of_card(index) && number-- == 0) {
            *found = SLICE + (uint64_t)i;
            LEAVE(SUCCESS);
        }
    }
    LEAVE(NOT_FOUND);
}

const char *nvmlErrorString(int code) {
    switch (code) {
    case SUCCESS:
        return "Success";
    case UNINITIALIZED:
        return "Uninitialized";
    case INVALID_ARGUMENT:
        return "Invalid Argument";
    case NOT_FOUND:
        return "Not Found";
    default:
        return "Unknown Error";
    }
}
