/* Virtual memory: addresses, memory, and which lies behind which. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

void physical_drop(struct physical *physical) {
    if (--physical->users == 0) {
        bytes_unmap(physical->bytes, physical->size);
        device_give(physical->device, physical->size);
        free(physical);
    }
}

/* What a driver looks at before it trusts a description, and null if it is wrong. */
static struct device *checked(const struct allocation_prop *prop) {
    static const unsigned char zeros[sizeof prop->reserved];
    if (prop == NULL || prop->type != 1 || (prop->handle_types & ~1) != 0 || prop->location.type != 1 ||
        visible(prop->location.id) == NULL || prop->win32_meta_data != NULL || prop->compression > 1 ||
        prop->gpu_direct > 1 || prop->usage != 0 || memcmp(prop->reserved, zeros, sizeof zeros) != 0) {
        return NULL;
    }
    return visible(prop->location.id);
}

static bool whole(uint64_t size, uint64_t granularity) {
    return size > 0 && size % granularity == 0;
}

static uint64_t granularity_of_all(void) {
    uint64_t most = 1;
    for (int i = 0; i < visible_count(); i++) {
        most = visible(i)->granularity > most ? visible(i)->granularity : most;
    }
    return most;
}

CUresult cuMemGetAllocationGranularity(size_t *granularity, const struct allocation_prop *prop, int option) {
    ENTER(DRIVER);
    const struct device *device = checked(prop);
    if (device == NULL || granularity == NULL || option < 0 || option > 1) {
        LEAVE(INVALID_VALUE);
    }
    if (device->no_virtual_memory) {
        LEAVE(NOT_SUPPORTED);
    }
    *granularity = device->granularity;
    LEAVE(SUCCESS);
}

CUresult cuMemAddressReserve(CUdeviceptr *address, size_t size, size_t alignment, CUdeviceptr wish,
                             unsigned long long flags) {
    ENTER(DRIVER);
    uint64_t granularity = granularity_of_all();
    bool aligned = alignment == 0 || (alignment & (alignment - 1)) == 0;
    if (address == NULL || flags != 0 || !aligned || !whole(size, granularity) || wish % granularity != 0) {
        LEAVE(INVALID_VALUE);
    }
    uint64_t taken = address_take(size, alignment > granularity ? alignment : granularity);
    if (taken == 0) {
        LEAVE(OUT_OF_MEMORY);
    }
    object_add(RESERVATION, taken, size, -1);
    *address = taken;
    LEAVE(SUCCESS);
}

struct search {
    uint64_t address, size;
    struct object *found;
};

static bool holds(struct object *object, void *argument) {
    struct search *search = argument;
    bool inside = object->kind == RESERVATION && object->handle <= search->address &&
                  search->address + search->size <= object->handle + object->size;
    if (inside) {
        search->found = object;
    }
    return inside;
}

/* The one reservation a range lies in. */
static struct object *reservation_of(uint64_t address, uint64_t size) {
    struct search search = {address, size, NULL};
    objects_visit(holds, &search);
    return search.found;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t size) {
    ENTER_RELEASE(DRIVER, RESERVATION, address);
    struct object *object = object_expect(RESERVATION, address, "no such address range");
    if (object == NULL || object->size != size || span_overlaps(address, size)) {
        if (object != NULL) {
            misuse("address range of another size, or still mapped", address);
        }
        LEAVE(INVALID_VALUE);
    }
    object_remove(object);
    LEAVE(SUCCESS);
}

CUresult cuMemCreate(Handle *handle, size_t size, const struct allocation_prop *prop, unsigned long long flags) {
    ENTER(DRIVER);
    const struct device *device = checked(prop);
    if (handle == NULL || flags != 0 || device == NULL || !whole(size, device->granularity)) {
        LEAVE(INVALID_VALUE);
    }
    if (device->no_virtual_memory) {
        LEAVE(NOT_SUPPORTED);
    }
    int index = index_of(device);
    if (!device_take(index, size)) {
        LEAVE(OUT_OF_MEMORY);
    }
    struct physical *physical = calloc(1, sizeof *physical);
    unsigned char *bytes = bytes_map(size);
    if (physical == NULL || bytes == NULL) {
        abort();
    }
    *physical = (struct physical){.size = size, .device = index, .users = 1, .bytes = bytes};
    *handle = next_handle();
    object_add(PHYSICAL, *handle, size, index)->part = physical;
    LEAVE(SUCCESS);
}

CUresult cuMemRelease(Handle handle) {
    ENTER_RELEASE(DRIVER, PHYSICAL, handle);
    struct object *object = object_expect(PHYSICAL, handle, "no such physical memory");
    if (object == NULL) {
        LEAVE(INVALID_VALUE);
    }
    physical_drop(object->part);
    object_remove(object);
    LEAVE(SUCCESS);
}

/* All of the memory, or nothing: offsets are not supported by the driver either. */
CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, Handle handle, unsigned long long flags) {
    ENTER(DRIVER);
    struct object *memory = object_expect(PHYSICAL, handle, "no such physical memory");
    if (memory == NULL || flags != 0 || offset != 0) {
        LEAVE(INVALID_VALUE);
    }
    struct physical *physical = memory->part;
    uint64_t granularity = devices[physical->device].granularity;
    if (size != physical->size || address % granularity != 0) {
        LEAVE(INVALID_VALUE);
    }
    if (reservation_of(address, size) == NULL || span_overlaps(address, size)) {
        misuse("not reserved, or mapped already", address);
        LEAVE(INVALID_VALUE);
    }
    struct object *mapping = object_add(MAPPING, address, size, physical->device);
    mapping->part = physical;
    mapping->bytes = physical->bytes;
    physical->users++;
    LEAVE(SUCCESS);
}

/* Whether a range is made of whole mappings without a hole. */
static bool mapped_exactly(uint64_t address, uint64_t size) {
    uint64_t at = address;
    while (at < address + size) {
        struct object *mapping = span_at(at);
        if (mapping == NULL || mapping->kind != MAPPING || mapping->handle != at) {
            return false;
        }
        at += mapping->size;
    }
    return size > 0 && at == address + size;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t size, const struct access_desc *descriptions, size_t count) {
    ENTER(DRIVER);
    if (descriptions == NULL || count == 0 || count > MOST_DEVICES) {
        LEAVE(INVALID_VALUE);
    }
    for (size_t i = 0; i < count; i++) {
        const struct access_desc *wanted = &descriptions[i];
        bool known = wanted->flags == 0 || wanted->flags == 1 || wanted->flags == 3;
        if (wanted->location.type != 1 || visible(wanted->location.id) == NULL || !known) {
            LEAVE(wanted->location.type == 1 && known ? INVALID_DEVICE : INVALID_VALUE);
        }
    }
    if (!mapped_exactly(address, size)) {
        misuse("not mapped, or not whole mappings", address);
        LEAVE(INVALID_VALUE);
    }
    for (uint64_t at = address; at < address + size;) {
        struct object *mapping = span_at(at);
        for (size_t i = 0; i < count; i++) {
            int index = index_of(visible(descriptions[i].location.id));
            bool local = index == mapping->device || (devices[index].peers_allowed >> mapping->device & 1) != 0;
            if (!local) {
                LEAVE(INVALID_DEVICE);
            }
            unsigned bit = 1u << index;
            int flags = descriptions[i].flags;
            mapping->readers = flags != 0 ? mapping->readers | bit : mapping->readers & ~bit;
            mapping->writers = flags == 3 ? mapping->writers | bit : mapping->writers & ~bit;
        }
        at += mapping->size;
    }
    LEAVE(SUCCESS);
}

CUresult cuMemGetAccess(unsigned long long *flags, const struct location *location, CUdeviceptr address) {
    ENTER(DRIVER);
    const struct object *mapping = span_at(address);
    if (flags == NULL || location == NULL || location->type != 1 || visible(location->id) == NULL || mapping == NULL ||
        mapping->kind != MAPPING) {
        LEAVE(INVALID_VALUE);
    }
    int index = index_of(visible(location->id));
    *flags = (mapping->readers >> index & 1) + 2 * (mapping->writers >> index & 1);
    LEAVE(SUCCESS);
}

CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
    ENTER_RELEASE(DRIVER, MAPPING, address);
    if (!mapped_exactly(address, size)) {
        misuse("not mapped, or not whole mappings", address);
        LEAVE(INVALID_VALUE);
    }
    range_goes(address, size);
    for (uint64_t at = address; at < address + size;) {
        struct object *mapping = span_at(at);
        at += mapping->size;
        physical_drop(mapping->part);
        object_remove(mapping);
    }
    LEAVE(SUCCESS);
}
