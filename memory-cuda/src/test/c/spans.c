/* Which bytes belong to an address: the addresses of devices, and where their contents really are. */
#define _GNU_SOURCE
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Enough to give no address twice within a test, and to be refused by no sane limit. */
#define ADDRESSES (8ull << 40)
#define POISON 0xCD
#define POISONED_BYTES 65536

static uint64_t first_address, next_address;

/* By address; they never overlap. */
static struct object **spans;
static size_t span_count, span_room;

static void addresses_open(void) {
    void *reserved = mmap(NULL, ADDRESSES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        abort();
    }
    uint64_t granule = 2 * MIB;
    first_address = ((uint64_t)(uintptr_t)reserved + granule) / granule * granule;
    next_address = first_address;
}

bool is_device_address(uint64_t address) {
    return first_address != 0 && address >= first_address && address < first_address + ADDRESSES - 4 * MIB;
}

uint64_t address_take(uint64_t size, uint64_t alignment) {
    if (first_address == 0) {
        addresses_open();
    }
    uint64_t gap = 4096; /* so that neighbours are never taken for one */
    uint64_t address = (next_address + gap + alignment - 1) / alignment * alignment;
    if (size > ADDRESSES || address + size > first_address + ADDRESSES - 8 * MIB) {
        return 0;
    }
    next_address = address + size;
    return address;
}

/* The first span that ends behind the address. */
static size_t position(uint64_t address) {
    size_t low = 0, high = span_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (spans[middle]->handle + spans[middle]->size <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void span_add(struct object *object) {
    if (span_count == span_room) {
        span_room = span_room * 2 + 64;
        spans = realloc(spans, span_room * sizeof *spans);
        if (spans == NULL) {
            abort();
        }
    }
    size_t at = position(object->handle);
    memmove(spans + at + 1, spans + at, (span_count - at) * sizeof *spans);
    spans[at] = object;
    span_count++;
}

void span_remove(struct object *object) {
    size_t at = position(object->handle);
    if (at < span_count && spans[at] == object) {
        memmove(spans + at, spans + at + 1, (span_count - at - 1) * sizeof *spans);
        span_count--;
    }
}

struct object *span_at(uint64_t address) {
    size_t at = position(address);
    return at < span_count && spans[at]->handle <= address ? spans[at] : NULL;
}

bool span_overlaps(uint64_t address, uint64_t size) {
    size_t at = position(address);
    return at < span_count && spans[at]->handle < address + size;
}

void spans_reset(void) {
    span_count = 0;
    next_address = first_address;
}

unsigned char *bytes_map(uint64_t size) {
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        return NULL;
    }
    /* New memory holds anything: who counts on zeros shall not find them. */
    memset(bytes, POISON, size < POISONED_BYTES ? size : POISONED_BYTES);
    return bytes;
}

void bytes_unmap(unsigned char *bytes, uint64_t size) {
    munmap(bytes, size);
}

bool device_may_use(int device, uint64_t address, uint64_t size, bool writes) {
    if (size > UINT64_MAX - address) {
        return false;
    }
    for (uint64_t at = address; at < address + size;) {
        struct object *span = span_at(at);
        if (span == NULL) {
            return false;
        }
        if (span->kind == MAPPING && ((writes ? span->writers : span->readers) >> device & 1) == 0) {
            misuse("mapped, but not accessible", at);
            return false;
        }
        bool local = span->kind == DEVICE_MEMORY || span->kind == POOL_MEMORY;
        if (local && span->device != device) {
            foreign("memory of another device", at);
            return false;
        }
        at = span->handle + span->size;
    }
    return true;
}

bool host_may_use(uint64_t address, uint64_t size) {
    if (address == 0 || size > UINT64_MAX - address) {
        return false;
    }
    if (is_device_address(address)) {
        misuse("an address of a device where the host's belongs", address);
        return false;
    }
    return true;
}

bool is_pinned(uint64_t address, uint64_t size) {
    struct object *span = span_at(address);
    return span != NULL && (span->kind == PINNED || span->kind == REGISTERED) &&
           address + size <= span->handle + span->size;
}

/* The bytes at an address and how many of them lie together; null if there are none. */
static unsigned char *resolve(uint64_t address, uint64_t *together) {
    if (!is_device_address(address)) {
        *together = UINT64_MAX;
        return (unsigned char *)(uintptr_t)address;
    }
    struct object *span = span_at(address);
    if (span == NULL) {
        return NULL;
    }
    uint64_t offset = address - span->handle;
    *together = span->size - offset;
    return span->bytes + offset;
}

static uint64_t least(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t least = a < b ? a : b;
    return least < c ? least : c;
}

bool bytes_move(uint64_t target, uint64_t source, uint64_t size) {
    for (uint64_t done = 0; done < size;) {
        uint64_t there = 0, here = 0;
        unsigned char *to = resolve(target + done, &there);
        const unsigned char *from = resolve(source + done, &here);
        if (to == NULL || from == NULL) {
            return false;
        }
        uint64_t piece = least(there, here, size - done);
        memmove(to, from, piece);
        done += piece;
    }
    return true;
}

bool bytes_set(uint64_t target, uint32_t value, unsigned width, uint64_t count) {
    for (uint64_t done = 0; done < count * width;) {
        uint64_t together = 0;
        unsigned char *to = resolve(target + done, &together);
        if (to == NULL) {
            return false;
        }
        uint64_t piece = least(together, count * width - done, UINT64_MAX);
        for (uint64_t i = 0; width > 1 && i < piece; i += width) {
            memcpy(to + i, &value, width);
        }
        if (width == 1) {
            memset(to, (int)value, piece);
        }
        done += piece;
    }
    return true;
}
