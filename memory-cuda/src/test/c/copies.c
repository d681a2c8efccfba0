/* Copies and fills: what is checked when they are asked for. What is done is in work.c. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

enum side { HOST, DEVICE, EITHER };

/* Whether an argument of a call may be read or written by the current device, or by the host. */
static bool may_use(enum side side, uint64_t address, uint64_t size, bool writes, int device) {
    bool belongs_to_host = side == HOST || (side == EITHER && !is_device_address(address));
    if (belongs_to_host) {
        return host_may_use(address, size);
    }
    if (device_may_use(device, address, size, writes)) {
        return true;
    }
    misuse("no memory of this device", address);
    return false;
}

struct copy {
    uint64_t target, source, size;
    enum side to, from;
    int to_device, from_device;
};

static bool pageable(enum side side, uint64_t address, uint64_t size) {
    return side != DEVICE && !is_device_address(address) && !is_pinned(address, size);
}

static CUresult check(struct copy copy) {
    if (copy.size == 0) {
        return SUCCESS;
    }
    bool fine = may_use(copy.to, copy.target, copy.size, true, copy.to_device) &&
                may_use(copy.from, copy.source, copy.size, false, copy.from_device);
    return fine ? SUCCESS : INVALID_VALUE;
}

/* On the queue without a handle, and done on return. */
static CUresult at_once(struct copy copy) {
    CUresult code = check(copy);
    if (code == SUCCESS && copy.size > 0) {
        code = submit(NULL, (struct work){.what = COPY, .target = copy.target, .source = copy.source, .size = copy.size});
    }
    return code;
}

static CUresult later(struct copy copy, Handle stream) {
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code == SUCCESS) {
        code = check(copy);
    }
    if (code != SUCCESS || copy.size == 0) {
        return code;
    }
    struct work work = {.what = COPY, .target = copy.target, .source = copy.source, .size = copy.size};
    if (queue != NULL && pageable(copy.from, copy.source, copy.size)) {
        work.snapshot = malloc(copy.size); /* such memory is read before the call returns */
        if (work.snapshot == NULL) {
            return OUT_OF_MEMORY;
        }
        memcpy(work.snapshot, (const void *)(uintptr_t)copy.source, copy.size);
        work.source = (uint64_t)(uintptr_t)work.snapshot;
    }
    bool waits = queue != NULL && pageable(copy.to, copy.target, copy.size); /* and written before it returns */
    code = submit(queue, work);
    if (waits) {
        wait_for_queue(queue);
    }
    return code;
}

static struct copy of(uint64_t target, enum side to, uint64_t source, enum side from, uint64_t size) {
    int device = index_of(current_device());
    return (struct copy){target, source, size, to, from, device, device};
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr target, uint64_t source, size_t size) {
    ENTER(CONTEXT);
    LEAVE(at_once(of(target, DEVICE, source, HOST, size)));
}

CUresult cuMemcpyDtoH_v2(uint64_t target, CUdeviceptr source, size_t size) {
    ENTER(CONTEXT);
    LEAVE(at_once(of(target, HOST, source, DEVICE, size)));
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr target, CUdeviceptr source, size_t size) {
    ENTER(CONTEXT);
    LEAVE(at_once(of(target, DEVICE, source, DEVICE, size)));
}

CUresult cuMemcpy(CUdeviceptr target, CUdeviceptr source, size_t size) {
    ENTER(CONTEXT);
    LEAVE(at_once(of(target, EITHER, source, EITHER, size)));
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, uint64_t source, size_t size, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(later(of(target, DEVICE, source, HOST, size), stream));
}

CUresult cuMemcpyDtoHAsync_v2(uint64_t target, CUdeviceptr source, size_t size, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(later(of(target, HOST, source, DEVICE, size), stream));
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t size, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(later(of(target, DEVICE, source, DEVICE, size), stream));
}

CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t size, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(later(of(target, EITHER, source, EITHER, size), stream));
}

/* Between contexts; where peers may not see each other a driver copies through the host by itself. */
static CUresult between(struct copy *copy, Handle to, Handle from) {
    struct device *target = device_of_context(to), *source = device_of_context(from);
    if (target == NULL || source == NULL) {
        misuse("no such context", target == NULL ? to : from);
        return INVALID_CONTEXT;
    }
    copy->to_device = index_of(target);
    copy->from_device = index_of(source);
    return target->poison != SUCCESS ? target->poison : source->poison;
}

CUresult cuMemcpyPeer(CUdeviceptr target, Handle to, CUdeviceptr source, Handle from, size_t size) {
    ENTER(CONTEXT);
    struct copy copy = of(target, DEVICE, source, DEVICE, size);
    CUresult code = between(&copy, to, from);
    LEAVE(code != SUCCESS ? code : at_once(copy));
}

CUresult cuMemcpyPeerAsync(CUdeviceptr target, Handle to, CUdeviceptr source, Handle from, size_t size, Handle stream) {
    ENTER(CONTEXT);
    struct copy copy = of(target, DEVICE, source, DEVICE, size);
    CUresult code = between(&copy, to, from);
    LEAVE(code != SUCCESS ? code : later(copy, stream));
}

/* --- fills ------------------------------------------------------------------------------------------------------- */

static CUresult fill(uint64_t target, uint32_t value, unsigned width, uint64_t count, bool async, Handle stream) {
    struct queue *queue = NULL;
    CUresult code = async ? queue_of(stream, &queue) : SUCCESS;
    if (code != SUCCESS || count == 0) {
        return code;
    }
    if (target % width != 0 || count > UINT64_MAX / width) {
        return INVALID_VALUE;
    }
    if (!may_use(DEVICE, target, count * width, true, index_of(current_device()))) {
        return INVALID_VALUE;
    }
    return submit(queue, (struct work){
                             .what = SET, .target = target, .size = count * width, .value = value, .width = width});
}

CUresult cuMemsetD8_v2(CUdeviceptr target, unsigned char value, size_t count) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 1, count, false, 0));
}

CUresult cuMemsetD16_v2(CUdeviceptr target, unsigned short value, size_t count) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 2, count, false, 0));
}

CUresult cuMemsetD32_v2(CUdeviceptr target, unsigned value, size_t count) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 4, count, false, 0));
}

CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t count, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 1, count, true, stream));
}

CUresult cuMemsetD16Async(CUdeviceptr target, unsigned short value, size_t count, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 2, count, true, stream));
}

CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(fill(target, value, 4, count, true, stream));
}
