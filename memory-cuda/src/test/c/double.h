/* What the parts of the double share. Everything here is touched under the one lock only. */
#ifndef DOUBLE_H
#define DOUBLE_H

#include "abi.h"

#include <pthread.h>
#include <stdbool.h>

#define MOST_DEVICES 16
#define MIB (1024ull * 1024)

/* --- call.c: what every call goes through ---------------------------------------------------------------------- */

/* One per exported function. */
struct call_site {
    const char *name;
    struct call_site *next;
    uint64_t calls;
};

enum needs { NOTHING, DRIVER, CONTEXT };

/* Counts, waits at a gate, fails as planned, and checks the state. Holds the lock if it returns SUCCESS. */
CUresult call_enter(struct call_site *site, const char *name, enum needs needs);
CUresult call_leave(CUresult result);
void call_reset(void);

#define ENTER(needs)                                                                                                   \
    static struct call_site site;                                                                                      \
    CUresult refused = call_enter(&site, __func__, needs);                                                             \
    if (refused != SUCCESS)                                                                                            \
    return refused

/* For calls that give an object back: a refusal is remembered with the object. */
#define ENTER_RELEASE(needs, kind, handle)                                                                             \
    static struct call_site site;                                                                                      \
    CUresult refused = call_enter(&site, __func__, needs);                                                             \
    if (refused != SUCCESS)                                                                                            \
    return object_release_refused(kind, handle, refused)

#define LEAVE(code) return call_leave(code)

extern pthread_mutex_t lock;
extern pthread_cond_t changed;
extern uint64_t generation; /* grows with every reset */
extern bool initialised;
extern int driver_version;

void misuse(const char *what, uint64_t handle);
void foreign(const char *what, uint64_t handle);
int64_t now_ns(void);

/* A text that grows as far as its room allows. */
struct text {
    char *at;
    size_t left;
    size_t wanted;
};
void append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_calls(struct text *text);
void print_misuses(struct text *text);
void print_fired(struct text *text);

/* --- objects.c: the ledger ------------------------------------------------------------------------------------- */

enum kind {
    PRIMARY_CONTEXT,
    DEVICE_MEMORY,
    POOL_MEMORY,
    PINNED,
    REGISTERED,
    STREAM,
    EVENT,
    RESERVATION,
    PHYSICAL,
    MAPPING,
    MEMORY_POOL,
    KINDS
};

struct object {
    enum kind kind;
    Handle handle; /* or the address */
    uint64_t size;
    int device;
    Handle context;
    unsigned char *bytes; /* where the contents really are */
    void *part;           /* the stream, event, pool or physical memory */
    unsigned flags;
    unsigned readers; /* MAPPING: devices that may read, one bit each */
    unsigned writers;
    int releases; /* calls that tried to give it back */
    bool release_failed;
    struct object *next;
};

struct object *object_add(enum kind kind, Handle handle, uint64_t size, int device);
struct object *object_find(enum kind kind, Handle handle);
/* The same, and a misuse if there is none. */
struct object *object_expect(enum kind kind, Handle handle, const char *call);
void object_remove(struct object *object);
Handle next_handle(void);
CUresult object_release_refused(enum kind kind, Handle handle, CUresult code);
/* A context dies, and takes with it what was made in it. Whatever nobody gave back before is a leak. */
void objects_die_with(Handle context, bool poisoned);
void objects_reset(void);
void print_ledger(struct text *text);
uint64_t live_objects(int kind);
typedef bool visitor(struct object *object, void *argument);
/* Calls until one answers true. */
bool objects_visit(visitor *visit, void *argument);

/* --- spans.c: which bytes belong to an address ------------------------------------------------------------------ */

/* Addresses given out for device memory lie in a range that nobody can touch but through the driver. */
uint64_t address_take(uint64_t size, uint64_t alignment);
bool is_device_address(uint64_t address);
void span_add(struct object *object);
void span_remove(struct object *object);
/* What holds this address, or null. */
struct object *span_at(uint64_t address);
bool span_overlaps(uint64_t address, uint64_t size);
void spans_reset(void);
unsigned char *bytes_map(uint64_t size);
void bytes_unmap(unsigned char *bytes, uint64_t size);
/* Whether work of this device may use the range. */
bool device_may_use(int device, uint64_t address, uint64_t size, bool writes);
/* Whether the host may: false for addresses of a device. */
bool host_may_use(uint64_t address, uint64_t size);
bool is_pinned(uint64_t address, uint64_t size);
/* Both answer false where an address has no bytes. */
bool bytes_move(uint64_t target, uint64_t source, uint64_t size);
bool bytes_set(uint64_t target, uint32_t value, unsigned width, uint64_t count);

/* --- devices.c and contexts.c ----------------------------------------------------------------------------------- */

struct device {
    char name[64];
    unsigned char uuid[16];
    unsigned char card_uuid[16]; /* of the whole card, for a slice of one */
    uint64_t total;
    uint64_t others;        /* taken by other processes */
    uint64_t used;          /* taken by this one, its context included */
    uint64_t context_bytes; /* what a context costs */
    uint64_t granularity;
    int major, minor;
    int domain, bus, slot;
    bool integrated, slice, hidden, no_virtual_memory, no_pools;
    Handle context;
    int retains;
    unsigned context_flags;
    CUresult poison; /* what every call in its context answers */
    uint64_t fail_work;
    CUresult fail_work_code;
    Handle default_pool;
    uint64_t peers_allowed, peers_enabled;
};

extern struct device devices[MOST_DEVICES];
extern int device_count;
int visible_count(void);
/* The device with this number as programs count, or null. */
struct device *visible(CUdevice ordinal);
int index_of(const struct device *device);
CUdevice ordinal_of(int index);
void devices_show(void);
bool device_take(int index, uint64_t bytes);
void device_give(int index, uint64_t bytes);
uint64_t device_free(int index);

Handle current_context(void);
/* The device of the current context. */
struct device *current_device(void);
struct device *device_of_context(Handle context);
void contexts_reset(void);

/* --- work.c: what queues still have to do ------------------------------------------------------------------------ */

enum work_mode { AT_ONCE, BY_WORKER, HELD };

struct queue {
    Handle handle;
    Handle context;
    int device;
    unsigned flags; /* 1: does not wait for the queue without a handle */
    int priority;
    bool destroyed;
    struct work *first, *last;
    struct queue *next;
};

struct event {
    unsigned flags; /* 2: without times */
    uint64_t recorded, done;
    int64_t time;
    int users; /* works that name it */
    bool destroyed;
};

enum what { COPY, SET, RECORD, WAIT, RELEASE };

struct work {
    enum what what;
    uint64_t target, source, size;
    uint32_t value;
    unsigned width;
    unsigned char *snapshot; /* of pageable memory */
    struct event *event;
    uint64_t mark;
    int64_t due;
    bool broken; /* its memory is gone */
    struct work *next;
};

struct queue *queue_open(Handle handle, Handle context, int device, unsigned flags, int priority);
/* The queue of a stream of the current context; null for the queue without a handle. */
CUresult queue_of(Handle stream, struct queue **queue);
/* For the queue without a handle (null) it is done on return. */
CUresult submit(struct queue *queue, struct work work);
void wait_for_queue(struct queue *queue);
/* Waits for everything in a context. */
void wait_for_context(Handle context, bool also_non_blocking);
/* Work that names this range can no longer be done; a misuse if there is any. */
void range_goes(uint64_t address, uint64_t size);
void event_drop(struct event *event);
void work_reset(void);
uint64_t work_step(uint64_t most);
void work_set(enum work_mode mode, int64_t delay_ns);

/* --- memory.c, virtual.c and pools.c --------------------------------------------------------------------------------------- */

/* What an allocation costs. */
uint64_t charged(uint64_t size);
void host_give(uint64_t size);
void host_reset(uint64_t limit);

/* Memory that lives until its handle is released and nothing maps it. */
struct physical {
    uint64_t size;
    int device;
    int users;
    unsigned char *bytes;
};
void physical_drop(struct physical *physical);
void pool_give(Handle pool, int device, uint64_t size);
void pools_settle(int device);

/* --- nvml.c ------------------------------------------------------------------------------------------------------ */

void nvml_reset(void);

#endif
