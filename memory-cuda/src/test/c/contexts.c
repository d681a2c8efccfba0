/* Primary contexts, and which of them is current: of each thread by itself, as the driver has it. */
#include "double.h"

#define DEEPEST 16

static __thread Handle stack[DEEPEST];
static __thread int depth;
static __thread uint64_t stack_generation;

static void stack_open(void) {
    if (stack_generation != generation) {
        stack_generation = generation;
        depth = 0;
    }
}

Handle current_context(void) {
    stack_open();
    return depth > 0 ? stack[depth - 1] : 0;
}

struct device *device_of_context(Handle context) {
    for (int i = 0; i < device_count; i++) {
        if (context != 0 && devices[i].context == context) {
            return &devices[i];
        }
    }
    return NULL;
}

struct device *current_device(void) {
    return device_of_context(current_context());
}

static void context_die(struct device *device) {
    Handle context = device->context;
    if (device->poison == SUCCESS) {
        wait_for_context(context, true);
    }
    objects_die_with(context, device->poison != SUCCESS);
    device->context = 0;
    device->poison = SUCCESS;
    device->peers_enabled = 0;
    for (int i = 0; i < device_count; i++) {
        devices[i].peers_enabled &= ~(1ull << index_of(device));
    }
    device_give(index_of(device), device->context_bytes);
    object_remove(object_find(PRIMARY_CONTEXT, context));
}

#define DEVICE(ordinal)                                                                                                \
    struct device *device = visible(ordinal);                                                                          \
    if (device == NULL)                                                                                                \
    LEAVE(INVALID_DEVICE)

CUresult cuDevicePrimaryCtxRetain(Handle *context, CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    if (device->context == 0) {
        if (!device_take(index_of(device), device->context_bytes)) {
            LEAVE(OUT_OF_MEMORY);
        }
        device->context = next_handle();
        object_add(PRIMARY_CONTEXT, device->context, 0, index_of(device));
    }
    device->retains++;
    *context = device->context;
    LEAVE(SUCCESS);
}

static Handle context_of(CUdevice ordinal) {
    struct device *device = visible(ordinal);
    return device == NULL ? 0 : device->context;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
    ENTER_RELEASE(DRIVER, PRIMARY_CONTEXT, context_of(ordinal));
    DEVICE(ordinal);
    if (device->retains == 0) {
        misuse("released more often than retained", (uint64_t)ordinal);
        LEAVE(INVALID_CONTEXT);
    }
    if (--device->retains == 0) {
        context_die(device);
    }
    LEAVE(SUCCESS);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice ordinal) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    if (device->context != 0) {
        misuse("everybody's context reset", device->context);
        device->retains = 0;
        context_die(device);
    }
    LEAVE(SUCCESS);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned *flags, int *active) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    *flags = device->context_flags;
    *active = device->context != 0;
    LEAVE(SUCCESS);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice ordinal, unsigned flags) {
    ENTER(DRIVER);
    DEVICE(ordinal);
    device->context_flags = flags;
    LEAVE(SUCCESS);
}

CUresult cuCtxGetCurrent(Handle *context) {
    ENTER(DRIVER);
    *context = current_context();
    LEAVE(SUCCESS);
}

CUresult cuCtxSetCurrent(Handle context) {
    ENTER(DRIVER);
    stack_open();
    if (context == 0) {
        depth = depth > 0 ? depth - 1 : 0;
        LEAVE(SUCCESS);
    }
    if (device_of_context(context) == NULL) {
        misuse("no such context", context);
        LEAVE(INVALID_CONTEXT);
    }
    depth = depth > 0 ? depth : 1;
    stack[depth - 1] = context;
    LEAVE(SUCCESS);
}

CUresult cuCtxPushCurrent_v2(Handle context) {
    ENTER(DRIVER);
    stack_open();
    if (device_of_context(context) == NULL) {
        misuse("no such context", context);
        LEAVE(INVALID_CONTEXT);
    }
    if (depth == DEEPEST) {
        misuse("pushed too often", context);
        LEAVE(INVALID_VALUE);
    }
    stack[depth++] = context;
    LEAVE(SUCCESS);
}

CUresult cuCtxPopCurrent_v2(Handle *context) {
    ENTER(DRIVER);
    stack_open();
    if (depth == 0) {
        misuse("popped more often than pushed", 0);
        LEAVE(INVALID_CONTEXT);
    }
    depth--;
    if (context != NULL) {
        *context = stack[depth];
    }
    LEAVE(SUCCESS);
}

CUresult cuCtxGetDevice(CUdevice *ordinal) {
    ENTER(CONTEXT);
    *ordinal = ordinal_of(index_of(current_device()));
    LEAVE(SUCCESS);
}

CUresult cuCtxSynchronize(void) {
    ENTER(CONTEXT);
    Handle context = current_context();
    wait_for_context(context, true);
    struct device *device = device_of_context(context);
    LEAVE(device == NULL ? CONTEXT_IS_DESTROYED : device->poison);
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    ENTER(CONTEXT);
    *least = 0;
    *greatest = -5;
    LEAVE(SUCCESS);
}

CUresult cuCtxEnablePeerAccess(Handle peer, unsigned flags) {
    ENTER(CONTEXT);
    struct device *device = current_device();
    struct device *other = device_of_context(peer);
    if (other == NULL || other == device) {
        LEAVE(other == NULL ? INVALID_CONTEXT : INVALID_DEVICE);
    }
    uint64_t bit = 1ull << index_of(other);
    if (flags != 0) {
        LEAVE(INVALID_VALUE);
    }
    if ((device->peers_allowed & bit) == 0) {
        LEAVE(PEER_ACCESS_UNSUPPORTED);
    }
    if ((device->peers_enabled & bit) != 0) {
        LEAVE(PEER_ACCESS_ALREADY_ENABLED);
    }
    device->peers_enabled |= bit;
    LEAVE(SUCCESS);
}

CUresult cuCtxDisablePeerAccess(Handle peer) {
    ENTER(CONTEXT);
    struct device *other = device_of_context(peer);
    if (other == NULL) {
        LEAVE(INVALID_CONTEXT);
    }
    uint64_t bit = 1ull << index_of(other);
    if ((current_device()->peers_enabled & bit) == 0) {
        LEAVE(PEER_ACCESS_NOT_ENABLED);
    }
    current_device()->peers_enabled &= ~bit;
    LEAVE(SUCCESS);
}

/* Behind everybody's back: what is left of a context is its handle. */
void double_destroy_context(int index) {
    pthread_mutex_lock(&lock);
    if (devices[index].context != 0) {
        devices[index].poison = CONTEXT_IS_DESTROYED;
        devices[index].retains = 0;
        context_die(&devices[index]);
    }
    pthread_mutex_unlock(&lock);
}
