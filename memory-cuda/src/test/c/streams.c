/* Streams and events. */
#include "double.h"

#include <stdlib.h>

static CUresult stream_create(Handle *stream, unsigned flags, int priority) {
    if (stream == NULL || flags > 1) {
        return INVALID_VALUE;
    }
    int index = index_of(current_device());
    *stream = next_handle();
    struct object *object = object_add(STREAM, *stream, 0, index);
    object->part = queue_open(*stream, current_context(), index, flags, priority);
    return SUCCESS;
}

CUresult cuStreamCreate(Handle *stream, unsigned flags) {
    ENTER(CONTEXT);
    LEAVE(stream_create(stream, flags, 0));
}

CUresult cuStreamCreateWithPriority(Handle *stream, unsigned flags, int priority) {
    ENTER(CONTEXT);
    int within = priority > 0 ? 0 : priority < -5 ? -5 : priority;
    LEAVE(stream_create(stream, flags, within));
}

CUresult cuStreamDestroy_v2(Handle stream) {
    ENTER_RELEASE(CONTEXT, STREAM, stream);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code != SUCCESS || queue == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    queue->destroyed = true; /* what it still has to do is done */
    object_remove(object_find(STREAM, stream));
    work_step(0);
    LEAVE(SUCCESS);
}

static CUresult after_work(void) {
    struct device *device = current_device();
    return device == NULL ? CONTEXT_IS_DESTROYED : device->poison;
}

CUresult cuStreamQuery(Handle stream) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code != SUCCESS) {
        LEAVE(code);
    }
    LEAVE(queue != NULL && queue->first != NULL ? NOT_READY : after_work());
}

CUresult cuStreamSynchronize(Handle stream) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code != SUCCESS) {
        LEAVE(code);
    }
    if (queue == NULL) {
        wait_for_context(current_context(), false);
    } else {
        wait_for_queue(queue);
    }
    pools_settle(index_of(current_device()));
    LEAVE(after_work());
}

/* Of any stream, whatever is current. */
CUresult cuStreamGetCtx(Handle stream, Handle *context) {
    ENTER(CONTEXT);
    if (stream <= 2) {
        *context = current_context();
        LEAVE(SUCCESS);
    }
    struct object *object = object_expect(STREAM, stream, "no such stream");
    if (object == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    *context = object->context;
    LEAVE(SUCCESS);
}

CUresult cuStreamGetFlags(Handle stream, unsigned *flags) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code == SUCCESS) {
        *flags = queue == NULL ? 0 : queue->flags;
    }
    LEAVE(code);
}

CUresult cuStreamGetPriority(Handle stream, int *priority) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code == SUCCESS) {
        *priority = queue == NULL ? 0 : queue->priority;
    }
    LEAVE(code);
}

CUresult cuStreamGetId(Handle stream, unsigned long long *id) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    if (code == SUCCESS) {
        *id = queue == NULL ? 1 : stream;
    }
    LEAVE(code);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

CUresult cuEventCreate(Handle *handle, unsigned flags) {
    ENTER(CONTEXT);
    bool shared_with_times = (flags & 6) == 4;
    if (handle == NULL || flags > 7 || shared_with_times) {
        LEAVE(INVALID_VALUE);
    }
    struct event *event = calloc(1, sizeof *event);
    if (event == NULL) {
        LEAVE(OUT_OF_MEMORY);
    }
    event->flags = flags;
    *handle = next_handle();
    object_add(EVENT, *handle, 0, index_of(current_device()))->part = event;
    LEAVE(SUCCESS);
}

/* The event, if it exists and, unless any will do, is of the current context. */
static struct event *event_of(Handle handle, bool any_context) {
    struct object *object = object_expect(EVENT, handle, "no such event");
    if (object == NULL) {
        return NULL;
    }
    if (!any_context && object->context != current_context()) {
        foreign("event of another context", handle);
        return NULL;
    }
    return object->part;
}

CUresult cuEventDestroy_v2(Handle handle) {
    ENTER_RELEASE(CONTEXT, EVENT, handle);
    struct event *event = event_of(handle, false);
    if (event == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    event_drop(event);
    object_remove(object_find(EVENT, handle));
    LEAVE(SUCCESS);
}

static CUresult record(Handle handle, Handle stream) {
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    struct event *event = event_of(handle, false);
    if (code != SUCCESS || event == NULL) {
        return INVALID_HANDLE;
    }
    event->recorded++;
    return submit(queue, (struct work){.what = RECORD, .event = event, .mark = event->recorded});
}

CUresult cuEventRecord(Handle handle, Handle stream) {
    ENTER(CONTEXT);
    LEAVE(record(handle, stream));
}

CUresult cuEventRecordWithFlags(Handle handle, Handle stream, unsigned flags) {
    ENTER(CONTEXT);
    LEAVE(flags > 1 ? INVALID_VALUE : record(handle, stream));
}

CUresult cuEventQuery(Handle handle) {
    ENTER(CONTEXT);
    struct event *event = event_of(handle, false);
    if (event == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    LEAVE(event->done < event->recorded ? NOT_READY : SUCCESS);
}

CUresult cuEventSynchronize(Handle handle) {
    ENTER(CONTEXT);
    struct event *event = event_of(handle, false);
    if (event == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    uint64_t mark = event->recorded, mine = generation;
    event->users++;
    while (mine == generation && event->done < mark) {
        pthread_cond_wait(&changed, &lock);
    }
    if (--event->users == 0 && event->destroyed) {
        free(event);
    }
    LEAVE(after_work());
}

CUresult cuEventElapsedTime(float *milliseconds, Handle first, Handle second) {
    ENTER(CONTEXT);
    const struct event *start = event_of(first, false), *end = event_of(second, false);
    if (start == NULL || end == NULL || (start->flags & 2) != 0 || (end->flags & 2) != 0 || start->recorded == 0 ||
        end->recorded == 0) {
        LEAVE(INVALID_HANDLE);
    }
    if (start->done < start->recorded || end->done < end->recorded) {
        LEAVE(NOT_READY);
    }
    *milliseconds = (float)(end->time - start->time) / 1e6f;
    LEAVE(SUCCESS);
}

/* The event may be of any context: that is what this call is for. */
CUresult cuStreamWaitEvent(Handle stream, Handle handle, unsigned flags) {
    ENTER(CONTEXT);
    struct queue *queue = NULL;
    CUresult code = queue_of(stream, &queue);
    struct event *event = event_of(handle, true);
    if (code != SUCCESS || event == NULL) {
        LEAVE(INVALID_HANDLE);
    }
    if (flags > 1) {
        LEAVE(INVALID_VALUE);
    }
    if (event->done >= event->recorded) {
        LEAVE(SUCCESS);
    }
    LEAVE(submit(queue, (struct work){.what = WAIT, .event = event, .mark = event->recorded}));
}
