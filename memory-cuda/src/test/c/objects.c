/* The ledger: every object the driver has given and not yet got back. */
#include "double.h"

#include <stdlib.h>

#define BUCKETS 4096

static const char *const NAMES[KINDS] = {
    [PRIMARY_CONTEXT] = "context",
    [DEVICE_MEMORY] = "device memory",
    [POOL_MEMORY] = "pool memory",
    [PINNED] = "pinned memory",
    [REGISTERED] = "registered memory",
    [STREAM] = "stream",
    [EVENT] = "event",
    [RESERVATION] = "address range",
    [PHYSICAL] = "physical memory",
    [MAPPING] = "mapping",
    [MEMORY_POOL] = "memory pool",
};

static struct object *buckets[BUCKETS];
static uint64_t live[KINDS];
static Handle last_handle = 0x5ca1ab1e0000;

static struct object **bucket(enum kind kind, Handle handle) {
    uint64_t mixed = (handle ^ (uint64_t)kind << 56) * 0x9E3779B97F4A7C15ull;
    return &buckets[mixed >> 52];
}

Handle next_handle(void) {
    last_handle += 16;
    return last_handle;
}

static bool has_bytes(enum kind kind) {
    return kind == DEVICE_MEMORY || kind == POOL_MEMORY || kind == PINNED || kind == REGISTERED || kind == MAPPING;
}

struct object *object_add(enum kind kind, Handle handle, uint64_t size, int device) {
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL) {
        abort();
    }
    object->kind = kind;
    object->handle = handle;
    object->size = size;
    object->device = device;
    object->context = current_context();
    struct object **place = bucket(kind, handle);
    object->next = *place;
    *place = object;
    live[kind]++;
    if (has_bytes(kind)) {
        span_add(object);
    }
    return object;
}

struct object *object_find(enum kind kind, Handle handle) {
    struct object *object = *bucket(kind, handle);
    while (object != NULL && (object->kind != kind || object->handle != handle)) {
        object = object->next;
    }
    return object;
}

struct object *object_expect(enum kind kind, Handle handle, const char *call) {
    struct object *object = object_find(kind, handle);
    if (object == NULL) {
        misuse(call, handle);
    }
    return object;
}

void object_remove(struct object *object) {
    if (has_bytes(object->kind)) {
        span_remove(object);
    }
    struct object **place = bucket(object->kind, object->handle);
    while (*place != object) {
        place = &(*place)->next;
    }
    *place = object->next;
    live[object->kind]--;
    free(object);
}

/* Called without the lock: the call has been refused already. */
CUresult object_release_refused(enum kind kind, Handle handle, CUresult code) {
    pthread_mutex_lock(&lock);
    struct object *object = object_find(kind, handle);
    if (object != NULL) {
        object->release_failed = true;
        object->releases++;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

bool objects_visit(visitor *visit, void *argument) {
    for (int i = 0; i < BUCKETS; i++) {
        for (struct object *object = buckets[i], *next; object != NULL; object = next) {
            next = object->next;
            if (visit(object, argument)) {
                return true;
            }
        }
    }
    return false;
}

/* Lets go of what an object stands for, without a word. */
static void dispose(struct object *object) {
    switch (object->kind) {
    case DEVICE_MEMORY:
        bytes_unmap(object->bytes, object->size);
        device_give(object->device, charged(object->size));
        break;
    case POOL_MEMORY:
        bytes_unmap(object->bytes, object->size);
        pool_give(object->context, object->device, object->size);
        break;
    case PINNED:
        bytes_unmap(object->bytes, object->size);
        host_give(object->size);
        break;
    case REGISTERED:
        host_give(object->size);
        break;
    case PHYSICAL:
    case MAPPING:
        physical_drop(object->part);
        break;
    case MEMORY_POOL:
        free(object->part);
        break;
    case STREAM:
        ((struct queue *)object->part)->destroyed = true;
        break;
    case EVENT:
        event_drop(object->part);
        break;
    default:
        break;
    }
    object_remove(object);
}

struct death {
    Handle context;
    bool poisoned;
};

static bool die(struct object *object, void *argument) {
    const struct death *death = argument;
    bool bound = object->kind == DEVICE_MEMORY || object->kind == PINNED || object->kind == REGISTERED ||
                 object->kind == STREAM || object->kind == EVENT;
    if (bound && object->context == death->context) {
        if (!death->poisoned && !object->release_failed) {
            misuse(NAMES[object->kind], object->handle);
        }
        if (object->size > 0) {
            range_goes(object->handle, object->size);
        }
        dispose(object);
    }
    return false;
}

void objects_die_with(Handle context, bool poisoned) {
    struct death death = {context, poisoned};
    objects_visit(die, &death);
}

static bool forget(struct object *object, void *argument) {
    (void)argument;
    dispose(object);
    return false;
}

void objects_reset(void) {
    objects_visit(forget, NULL);
    spans_reset();
}

uint64_t live_objects(int kind) {
    uint64_t sum = 0;
    for (int i = 0; i < KINDS; i++) {
        sum += kind < 0 || kind == i ? live[i] : 0;
    }
    return sum;
}

static bool print(struct object *object, void *argument) {
    append(argument, "%s|0x%llx|%llu|%d|%d|%d\n", NAMES[object->kind], (unsigned long long)object->handle,
           (unsigned long long)object->size, object->device, object->releases, object->release_failed);
    return false;
}

/* One line for each: kind, handle, bytes, device, attempts to give it back, whether one was refused. */
void print_ledger(struct text *text) {
    objects_visit(print, text);
}
