/* What queues still have to do: at once, by a thread of its own, or held until a test lets it go on. */
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct queue *queues;
static enum work_mode mode = AT_ONCE;
static int64_t delay;
static bool worker_runs;

struct queue *queue_open(Handle handle, Handle context, int device, unsigned flags, int priority) {
    struct queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        abort();
    }
    *queue = (struct queue){.handle = handle,
                            .context = context,
                            .device = device,
                            .flags = flags,
                            .priority = priority,
                            .next = queues};
    queues = queue;
    return queue;
}

CUresult queue_of(Handle stream, struct queue **queue) {
    *queue = NULL;
    if (stream <= 2) {
        return SUCCESS;
    }
    struct object *object = object_expect(STREAM, stream, "no such stream");
    if (object == NULL) {
        return INVALID_HANDLE;
    }
    if (object->context != current_context()) {
        foreign("stream of another context", stream);
        return INVALID_HANDLE;
    }
    *queue = object->part;
    return SUCCESS;
}

void event_drop(struct event *event) {
    event->destroyed = true;
    if (event->users == 0) {
        free(event);
    }
}

static void work_free(struct work *work) {
    if (work->event != NULL && --work->event->users == 0 && work->event->destroyed) {
        free(work->event);
    }
    free(work->snapshot);
    free(work);
}

static bool ready(const struct work *work, int64_t now) {
    if (work->due > now) {
        return false;
    }
    return work->what != WAIT || work->event->done >= work->mark;
}

static void poison(int device, CUresult code) {
    if (devices[device].poison == SUCCESS) {
        devices[device].poison = code;
    }
}

static void run(const struct queue *queue, struct work *work) {
    struct device *device = &devices[queue->device];
    if (device->fail_work > 0 && --device->fail_work == 0) {
        poison(queue->device, device->fail_work_code);
    }
    bool dead = device->context != queue->context || device->poison != SUCCESS;
    bool fine = !work->broken;
    switch (work->what) {
    case COPY:
        fine = dead || (fine && bytes_move(work->target, work->source, work->size));
        break;
    case SET:
        fine = dead || (fine && bytes_set(work->target, work->value, work->width, work->size / work->width));
        break;
    case RECORD:
        if (work->event->done < work->mark) {
            work->event->done = work->mark;
            work->event->time = now_ns();
        }
        break;
    case WAIT:
        break;
    case RELEASE: {
        struct object *memory = object_find(POOL_MEMORY, work->target);
        if (memory != NULL) {
            bytes_unmap(memory->bytes, memory->size);
            pool_give(memory->context, memory->device, memory->size);
            object_remove(memory);
        }
        break;
    }
    }
    if (!fine && !dead) {
        misuse("work on memory that is gone", work->target);
        poison(queue->device, ILLEGAL_ADDRESS);
    }
}

static void queues_sweep(void) {
    for (struct queue **place = &queues; *place != NULL;) {
        struct queue *queue = *place;
        if (queue->destroyed && queue->first == NULL) {
            *place = queue->next;
            free(queue);
        } else {
            place = &queue->next;
        }
    }
}

/* Does what can be done, in turn; answers how much. */
static uint64_t pump(uint64_t most, int64_t now) {
    uint64_t done = 0;
    bool moved = true;
    while (moved && done < most) {
        moved = false;
        for (struct queue *queue = queues; queue != NULL && done < most; queue = queue->next) {
            struct work *work = queue->first;
            if (work != NULL && ready(work, now)) {
                run(queue, work);
                queue->first = work->next;
                queue->last = queue->first == NULL ? NULL : queue->last;
                work_free(work);
                done++;
                moved = true;
            }
        }
    }
    queues_sweep();
    if (done > 0) {
        pthread_cond_broadcast(&changed);
    }
    return done;
}

/* When something that waits for its time alone is next; what waits for an event is not looked at. */
static int64_t next_due(int64_t now) {
    int64_t due = INT64_MAX;
    for (struct queue *queue = queues; queue != NULL; queue = queue->next) {
        if (queue->first != NULL && queue->first->due > now && queue->first->due < due) {
            due = queue->first->due;
        }
    }
    return due;
}

static void *worker(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    while (mode == BY_WORKER) {
        int64_t now = now_ns();
        if (pump(1, now) > 0) {
            continue;
        }
        int64_t due = next_due(now);
        if (due < INT64_MAX) {
            pthread_mutex_unlock(&lock);
            int64_t pause = due - now < 1000000 ? due - now : 1000000;
            nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
            pthread_mutex_lock(&lock);
        } else {
            pthread_cond_wait(&changed, &lock);
        }
    }
    worker_runs = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void worker_start(void) {
    pthread_t thread;
    if (!worker_runs && pthread_create(&thread, NULL, worker, NULL) == 0) {
        pthread_detach(thread);
        worker_runs = true;
    }
}

void wait_for_queue(struct queue *queue) {
    uint64_t mine = generation;
    Handle handle = queue->handle;
    for (;;) {
        struct object *object = object_find(STREAM, handle);
        if (mine != generation || object == NULL || ((struct queue *)object->part)->first == NULL) {
            return;
        }
        if (mode == AT_ONCE) {
            pump(UINT64_MAX, INT64_MAX);
        }
        if (((struct queue *)object->part)->first != NULL) {
            pthread_cond_wait(&changed, &lock);
        }
    }
}

static struct queue *busy(Handle context, bool also_non_blocking) {
    for (struct queue *queue = queues; queue != NULL; queue = queue->next) {
        if (queue->context == context && queue->first != NULL && (also_non_blocking || (queue->flags & 1) == 0)) {
            return queue;
        }
    }
    return NULL;
}

void wait_for_context(Handle context, bool also_non_blocking) {
    uint64_t mine = generation;
    while (mine == generation && busy(context, also_non_blocking) != NULL) {
        if (mode != AT_ONCE || pump(UINT64_MAX, INT64_MAX) == 0) {
            pthread_cond_wait(&changed, &lock);
        }
    }
}

/* The queue without a handle waits for those that let it, and is waited for. */
static CUresult submit_to_all(struct work *work) {
    Handle context = current_context();
    wait_for_context(context, false);
    struct device *device = device_of_context(context);
    if (device == NULL) {
        work_free(work);
        return CONTEXT_IS_DESTROYED;
    }
    struct queue nobody = {.context = context, .device = index_of(device)};
    run(&nobody, work);
    work_free(work);
    pthread_cond_broadcast(&changed);
    if (mode == AT_ONCE) {
        pump(UINT64_MAX, INT64_MAX);
    }
    return device->poison;
}

CUresult submit(struct queue *queue, struct work work) {
    struct work *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        abort();
    }
    *kept = work;
    kept->next = NULL;
    if (kept->event != NULL) {
        kept->event->users++;
    }
    if (queue == NULL) {
        if (kept->what == WAIT) {
            while (kept->event->done < kept->mark && !kept->event->destroyed) {
                pthread_cond_wait(&changed, &lock);
            }
        }
        return submit_to_all(kept);
    }
    int64_t before = queue->last == NULL ? now_ns() : queue->last->due;
    kept->due = delay == 0 ? 0 : before + delay;
    if (queue->last == NULL) {
        queue->first = kept;
    } else {
        queue->last->next = kept;
    }
    queue->last = kept;
    if (mode == AT_ONCE) {
        pump(UINT64_MAX, INT64_MAX);
    } else if (mode == BY_WORKER) {
        pthread_cond_broadcast(&changed);
    }
    return SUCCESS;
}

static bool touches(uint64_t start, uint64_t length, uint64_t address, uint64_t size) {
    return length > 0 && start < address + size && address < start + length;
}

void range_goes(uint64_t address, uint64_t size) {
    for (struct queue *queue = queues; queue != NULL; queue = queue->next) {
        for (struct work *work = queue->first; work != NULL; work = work->next) {
            bool source = work->what == COPY && touches(work->source, work->size, address, size);
            if (!work->broken && (source || touches(work->target, work->size, address, size))) {
                work->broken = true;
                if (devices[queue->device].poison == SUCCESS) { /* else it would never have been done */
                    misuse("work still to be done on", address);
                }
            }
        }
    }
}

uint64_t work_step(uint64_t most) {
    return pump(most, INT64_MAX);
}

void work_set(enum work_mode new_mode, int64_t delay_ns) {
    mode = new_mode;
    delay = delay_ns;
    pthread_cond_broadcast(&changed);
    if (mode == AT_ONCE) {
        pump(UINT64_MAX, INT64_MAX);
    } else if (mode == BY_WORKER) {
        worker_start();
    }
}

void work_reset(void) {
    for (struct queue *queue = queues; queue != NULL; queue = queue->next) {
        for (struct work *work = queue->first, *next; work != NULL; work = next) {
            next = work->next;
            work_free(work);
        }
        queue->first = queue->last = NULL;
        queue->destroyed = true;
    }
    queues_sweep();
    work_set(AT_ONCE, 0);
}
