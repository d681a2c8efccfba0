/* Memory of devices and page-locked memory of the host. */
#include "double.h"

#include <string.h>

/* Memory is handed out in such pieces; what is asked for is rounded up. */
#define PIECE 512

static uint64_t host_limit = 4096 * MIB;
static uint64_t host_used;

uint64_t charged(uint64_t size) {
    return (size + PIECE - 1) / PIECE * PIECE;
}

void host_give(uint64_t size) {
    host_used -= size;
}

static bool host_take(uint64_t size) {
    if (size > host_limit || host_used > host_limit - size) {
        return false;
    }
    host_used += size;
    return true;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    ENTER(CONTEXT);
    *free_bytes = device_free(index_of(current_device()));
    *total = current_device()->total;
    LEAVE(SUCCESS);
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    ENTER(CONTEXT);
    int index = index_of(current_device());
    if (size == 0 || address == NULL) {
        LEAVE(INVALID_VALUE);
    }
    *address = 0xBADBADBAD; /* a failed call leaves anything here */
    if (size > devices[index].total || !device_take(index, charged(size))) {
        LEAVE(OUT_OF_MEMORY);
    }
    uint64_t taken = address_take(size, size < MIB ? 512 : 2 * MIB);
    unsigned char *bytes = taken == 0 ? NULL : bytes_map(size);
    if (bytes == NULL) {
        device_give(index, charged(size));
        LEAVE(OUT_OF_MEMORY);
    }
    struct object *object = object_add(DEVICE_MEMORY, taken, size, index);
    object->bytes = bytes;
    *address = taken;
    LEAVE(SUCCESS);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    ENTER_RELEASE(CONTEXT, DEVICE_MEMORY, address);
    if (address == 0) {
        LEAVE(SUCCESS); /* so says the manual */
    }
    struct object *object = object_find(DEVICE_MEMORY, address);
    if (object == NULL && object_find(POOL_MEMORY, address) != NULL) {
        object = object_find(POOL_MEMORY, address);
    }
    if (object == NULL) {
        misuse("no such memory", address);
        LEAVE(INVALID_VALUE);
    }
    if (object->device != index_of(current_device())) {
        foreign("memory of another device", address);
        LEAVE(INVALID_VALUE);
    }
    range_goes(address, object->size);
    bytes_unmap(object->bytes, object->size);
    if (object->kind == POOL_MEMORY) {
        pool_give(object->context, object->device, object->size);
    } else {
        device_give(object->device, charged(object->size));
    }
    object_remove(object);
    LEAVE(SUCCESS);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address) {
    ENTER(CONTEXT);
    struct object *object = span_at(address);
    if (object == NULL) {
        LEAVE(INVALID_VALUE);
    }
    if (base != NULL) {
        *base = object->handle;
    }
    if (size != NULL) {
        *size = object->size;
    }
    LEAVE(SUCCESS);
}

/* --- page-locked memory ------------------------------------------------------------------------------------------ */

static CUresult host_alloc(void **address, size_t size, unsigned flags) {
    if (size == 0 || address == NULL || flags > 7) {
        return INVALID_VALUE;
    }
    if (!host_take(size)) {
        return OUT_OF_MEMORY;
    }
    unsigned char *bytes = bytes_map(size);
    if (bytes == NULL) {
        host_give(size);
        return OUT_OF_MEMORY;
    }
    struct object *object = object_add(PINNED, (Handle)(uintptr_t)bytes, size, index_of(current_device()));
    object->bytes = bytes;
    object->flags = flags;
    *address = bytes;
    return SUCCESS;
}

CUresult cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    ENTER(CONTEXT);
    LEAVE(host_alloc(address, size, flags));
}

CUresult cuMemAllocHost_v2(void **address, size_t size) {
    ENTER(CONTEXT);
    LEAVE(host_alloc(address, size, 0));
}

CUresult cuMemFreeHost(void *address) {
    ENTER_RELEASE(CONTEXT, PINNED, (Handle)(uintptr_t)address);
    struct object *object = object_expect(PINNED, (Handle)(uintptr_t)address, "no such memory");
    if (object == NULL) {
        LEAVE(INVALID_VALUE);
    }
    range_goes(object->handle, object->size);
    host_give(object->size);
    bytes_unmap(object->bytes, object->size);
    object_remove(object);
    LEAVE(SUCCESS);
}

CUresult cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    ENTER(CONTEXT);
    Handle start = (Handle)(uintptr_t)address;
    if (start == 0 || size == 0 || flags > 15 || !host_may_use(start, size)) {
        LEAVE(INVALID_VALUE);
    }
    if (span_overlaps(start, size)) {
        misuse("registered already", start);
        LEAVE(HOST_MEMORY_ALREADY_REGISTERED);
    }
    if (!host_take(size)) {
        LEAVE(OUT_OF_MEMORY);
    }
    struct object *object = object_add(REGISTERED, start, size, index_of(current_device()));
    object->flags = flags;
    LEAVE(SUCCESS);
}

CUresult cuMemHostUnregister(void *address) {
    ENTER_RELEASE(CONTEXT, REGISTERED, (Handle)(uintptr_t)address);
    struct object *object = object_expect(REGISTERED, (Handle)(uintptr_t)address, "not registered");
    if (object == NULL) {
        LEAVE(HOST_MEMORY_NOT_REGISTERED);
    }
    range_goes(object->handle, object->size);
    host_give(object->size);
    object_remove(object);
    LEAVE(SUCCESS);
}

static struct object *pinned_at(const void *address) {
    struct object *object = span_at((uint64_t)(uintptr_t)address);
    return object != NULL && (object->kind == PINNED || object->kind == REGISTERED) ? object : NULL;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *host, unsigned flags) {
    ENTER(CONTEXT);
    if (flags != 0 || pinned_at(host) == NULL) {
        misuse("not page-locked", (uint64_t)(uintptr_t)host);
        LEAVE(INVALID_VALUE);
    }
    *address = (CUdeviceptr)(uintptr_t)host;
    LEAVE(SUCCESS);
}

CUresult cuMemHostGetFlags(unsigned *flags, void *host) {
    ENTER(CONTEXT);
    struct object *object = pinned_at(host);
    if (object == NULL) {
        LEAVE(INVALID_VALUE);
    }
    *flags = object->flags;
    LEAVE(SUCCESS);
}

CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address) {
    ENTER(CONTEXT);
    struct object *object = span_at(address);
    if (object == NULL) {
        LEAVE(INVALID_VALUE);
    }
    bool host = object->kind == PINNED || object->kind == REGISTERED;
    switch (attribute) {
    case 1: /* context */
        memcpy(value, &devices[object->device].context, sizeof(Handle));
        break;
    case 2: /* 1: the host's memory, 2: a device's */
        *(unsigned *)value = host ? 1 : 2;
        break;
    case 3: /* address for kernels */
    case 4: /* address for the host */
        if (attribute == 4 && !host) {
            LEAVE(INVALID_VALUE);
        }
        memcpy(value, &address, sizeof address);
        break;
    case 8: /* managed */
        *(unsigned char *)value = 0;
        break;
    case 9: /* device */
        *(int *)value = ordinal_of(object->device);
        break;
    case 11: /* start */
        memcpy(value, &object->handle, sizeof(CUdeviceptr));
        break;
    case 12: /* size */
        memcpy(value, &object->size, sizeof(size_t));
        break;
    default:
        LEAVE(NOT_SUPPORTED);
    }
    LEAVE(SUCCESS);
}

void host_reset(uint64_t limit) {
    host_used = 0;
    host_limit = limit;
}
