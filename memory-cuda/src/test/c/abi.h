/* The types, codes and layouts of the CUDA driver interface that the double speaks, as the manual describes them. */
#ifndef ABI_H
#define ABI_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
/* Contexts, streams, events and the like: opaque, as wide as a pointer. Numbers here, and never used twice. */
typedef uint64_t Handle;

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    PEER_ACCESS_UNSUPPORTED = 217,
    INVALID_HANDLE = 400,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    PEER_ACCESS_ALREADY_ENABLED = 704,
    PEER_ACCESS_NOT_ENABLED = 705,
    CONTEXT_IS_DESTROYED = 709,
    HOST_MEMORY_ALREADY_REGISTERED = 712,
    HOST_MEMORY_NOT_REGISTERED = 713,
    NOT_SUPPORTED = 801
};

struct location {
    int type; /* 1: a device */
    int id;
};

/* CUmemAllocationProp. */
struct allocation_prop {
    int type; /* 1: pinned, the only one there is */
    int handle_types;
    struct location location;
    void *win32_meta_data;
    unsigned char compression;
    unsigned char gpu_direct;
    unsigned short usage;
    unsigned char reserved[4];
};
_Static_assert(sizeof(struct allocation_prop) == 32, "as the driver lays it out");

/* CUmemAccessDesc. */
struct access_desc {
    struct location location;
    int flags; /* 0: none, 1: read, 3: read and write */
};
_Static_assert(sizeof(struct access_desc) == 12, "as the driver lays it out");

/* CUmemPoolProps. */
struct pool_props {
    int type;
    int handle_types;
    struct location location;
    void *win32_attributes;
    size_t max_size;
    unsigned short usage;
    unsigned char reserved[54];
};
_Static_assert(sizeof(struct pool_props) == 88, "as the driver lays it out");

#endif
