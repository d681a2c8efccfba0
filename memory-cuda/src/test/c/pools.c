/* The driver's own pools: cuMemAllocAsync and what belongs to it. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

struct pool {
    int device;
    uint64_t used, reserved, most_used, most_reserved;
    uint64_t threshold; /* what it may keep after a synchronisation */
};

static struct pool *pool_of(Handle handle) {
    struct object *object = object_expect(MEMORY_POOL, handle, "no such pool");
    return object == NULL ? NULL : object->part;
}

static Handle pool_open(int device) {
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        abort();
    }
    pool->device = device;
    Handle handle = next_handle();
    object_add(MEMORY_POOL, handle, 0, device)->part = pool;
    return handle;
}

static Handle default_pool(int device) {
    if (devices[device].default_pool == 0) {
        devices[device].default_pool = pool_open(device);
    }
    return devices[device].default_pool;
}

static void shrink(struct pool *pool, uint64_t kept) {
    uint64_t least = kept > pool->used ? kept : pool->used;
    if (pool->reserved > least) {
        device_give(pool->device, pool->reserved - least);
        pool->reserved = least;
    }
}

void pool_give(Handle handle, int device, uint64_t size) {
    (void)device;
    struct object *object = object_find(MEMORY_POOL, handle);
    if (object != NULL) {
        ((struct pool *)object->part)->used -= size;
    }
}

static bool settle(struct object *object, void *device) {
    struct pool *pool = object->part;
    if (object->kind == MEMORY_POOL && pool->device == *(int *)device) {
        shrink(pool, pool->threshold);
    }
    return false;
}

void pools_settle(int device) {
    objects_visit(settle, &device);
}

static CUresult allocate(CUdeviceptr *address, size_t size, Handle handle, Handle stream) {
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    struct pool *pool = code == SUCCESS ? pool_of(handle) : NULL;
    if (pool == NULL || size == 0 || address == NULL) {
        return code != SUCCESS ? code : INVALID_VALUE;
    }
    uint64_t idle = pool->reserved - pool->used;
    uint64_t more = size <= idle ? 0 : (size - idle + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
    if (size > devices[pool->device].total || !device_take(pool->device, more)) {
        return OUT_OF_MEMORY;
    }
    pool->reserved += more;
    pool->used += size;
    pool->most_used = pool->used > pool->most_used ? pool->used : pool->most_used;
    pool->most_reserved = pool->reserved > pool->most_reserved ? pool->reserved : pool->most_reserved;
    struct object *object = object_add(POOL_MEMORY, address_take(size, 512), size, pool->device);
    object->bytes = bytes_map(size);
    object->context = handle; /* memory of a pool belongs to the pool */
    *address = object->handle;
    return SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t size, Handle stream) {
    ENTER(CONTEXT);
    int index = index_of(current_device());
    if (devices[index].no_pools) {
        LEAVE(NOT_SUPPORTED);
    }
    LEAVE(allocate(address, size, default_pool(index), stream));
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t size, Handle pool, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(allocate(address, size, pool, stream));
}

CUresult cuMemFreeAsync(CUdeviceptr address, Handle stream) {
    ENTER_RELEASE(CONTEXT, POOL_MEMORY, address);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code == SUCCESS && object_expect(POOL_MEMORY, address, "no memory of a pool") == NULL) {
        code = INVALID_VALUE;
    }
    LEAVE(code != SUCCESS ? code : submit(queue, (struct work){.what = RELEASE, .target = address}));
}

CUresult cuDeviceGetDefaultMemPool(Handle *pool, CUdevice ordinal) {
    ENTER(DRIVER);
    const struct device *device = visible(ordinal);
    if (device == NULL || device->no_pools) {
        LEAVE(device == NULL ? INVALID_DEVICE : NOT_SUPPORTED);
    }
    *pool = default_pool(index_of(device));
    LEAVE(SUCCESS);
}

CUresult cuMemPoolCreate(Handle *pool, const struct pool_props *props) {
    ENTER(DRIVER);
    if (pool == NULL || props == NULL || props->type != 1 || props->location.type != 1 || props->usage != 0) {
        LEAVE(INVALID_VALUE);
    }
    for (size_t i = 0; i < sizeof props->reserved; i++) {
        if (props->reserved[i] != 0) {
            LEAVE(INVALID_VALUE);
        }
    }
    const struct device *device = visible(props->location.id);
    if (device == NULL || device->no_pools) {
        LEAVE(device == NULL ? INVALID_DEVICE : NOT_SUPPORTED);
    }
    *pool = pool_open(index_of(device));
    LEAVE(SUCCESS);
}

CUresult cuMemPoolDestroy(Handle handle) {
    ENTER_RELEASE(DRIVER, MEMORY_POOL, handle);
    struct pool *pool = pool_of(handle);
    if (pool == NULL || devices[pool->device].default_pool == handle || pool->used > 0) {
        LEAVE(INVALID_VALUE);
    }
    shrink(pool, 0);
    free(pool);
    object_remove(object_find(MEMORY_POOL, handle));
    LEAVE(SUCCESS);
}

CUresult cuMemPoolTrimTo(Handle handle, size_t kept) {
    ENTER(DRIVER);
    struct pool *pool = pool_of(handle);
    if (pool == NULL) {
        LEAVE(INVALID_VALUE);
    }
    shrink(pool, kept);
    LEAVE(SUCCESS);
}

static uint64_t *attribute_of(struct pool *pool, int attribute) {
    switch (attribute) {
    case 4:
        return &pool->threshold;
    case 5:
        return &pool->reserved;
    case 6:
        return &pool->most_reserved;
    case 7:
        return &pool->used;
    case 8:
        return &pool->most_used;
    default:
        return NULL;
    }
}

CUresult cuMemPoolGetAttribute(Handle handle, int attribute, void *value) {
    ENTER(DRIVER);
    struct pool *pool = pool_of(handle);
    const uint64_t *figure = pool == NULL ? NULL : attribute_of(pool, attribute);
    if (figure == NULL) {
        LEAVE(INVALID_VALUE);
    }
    memcpy(value, figure, sizeof *figure);
    LEAVE(SUCCESS);
}

/* The threshold, and the peaks, which can only be set back to zero. */
CUresult cuMemPoolSetAttribute(Handle handle, int attribute, const void *value) {
    ENTER(DRIVER);
    struct pool *pool = pool_of(handle);
    uint64_t *figure = pool == NULL ? NULL : attribute_of(pool, attribute);
    uint64_t wanted = 0;
    memcpy(&wanted, value, sizeof wanted);
    bool peak = attribute == 6 || attribute == 8;
    if (figure == NULL || !(attribute == 4 || (peak && wanted == 0))) {
        LEAVE(INVALID_VALUE);
    }
    *figure = wanted;
    LEAVE(SUCCESS);
}
