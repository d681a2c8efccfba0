/* How tests set the double up and look into it. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT_COST (16 * MIB)

enum property {
    TOTAL,
    OTHERS,
    CONTEXT_BYTES,
    GRANULARITY,
    MAJOR,
    MINOR,
    DOMAIN,
    BUS,
    SLOT,
    INTEGRATED,
    SLICE,
    HIDDEN,
    WITHOUT_VIRTUAL_MEMORY,
    WITHOUT_POOLS,
    PEERS,
    POISON,
    FAIL_WORK,
    FAIL_WORK_CODE,
    IDENTITY
};

static void forget_everything(void) {
    generation++;
    work_reset();
    objects_reset();
    call_reset();
    host_reset(4096 * MIB);
    nvml_reset();
    memset(devices, 0, sizeof devices);
    device_count = 0;
    driver_version = 12060;
    pthread_cond_broadcast(&changed);
}

static int device_add(const char *name, uint64_t total) {
    struct device *device = &devices[device_count];
    snprintf(device->name, sizeof device->name, "%s", name);
    device->total = total;
    device->context_bytes = CONTEXT_COST;
    device->granularity = 2 * MIB;
    device->major = 8;
    device->minor = 9;
    device->bus = device_count + 1;
    for (int i = 0; i < 16; i++) {
        device->uuid[i] = (unsigned char)(0xA0 + i + device_count * 17);
        device->card_uuid[i] = (unsigned char)(0x50 + i + device->bus);
    }
    return device_count++;
}

/* Forgets everything, devices included. Whoever still uses an object of before finds out. */
void double_clear(void) {
    pthread_mutex_lock(&lock);
    forget_everything();
    devices_show();
    pthread_mutex_unlock(&lock);
}

int double_add(const char *name, uint64_t total) {
    pthread_mutex_lock(&lock);
    int index = device_count < MOST_DEVICES ? device_add(name, total) : -1;
    devices_show();
    pthread_mutex_unlock(&lock);
    return index;
}

void double_set(int index, int property, uint64_t value) {
    pthread_mutex_lock(&lock);
    struct device *device = &devices[index];
    switch ((enum property)property) {
    case TOTAL:
        device->total = value;
        break;
    case OTHERS:
        device->others = value;
        break;
    case CONTEXT_BYTES:
        device->context_bytes = value;
        break;
    case GRANULARITY:
        device->granularity = value;
        break;
    case MAJOR:
        device->major = (int)value;
        break;
    case MINOR:
        device->minor = (int)value;
        break;
    case DOMAIN:
        device->domain = (int)value;
        break;
    case BUS:
        device->bus = (int)value;
        for (int i = 0; i < 16; i++) {
            device->card_uuid[i] = (unsigned char)(0x50 + i + device->bus);
        }
        break;
    case SLOT:
        device->slot = (int)value;
        break;
    case INTEGRATED:
        device->integrated = value != 0;
        break;
    case SLICE:
        device->slice = value != 0;
        break;
    case HIDDEN:
        device->hidden = value != 0;
        devices_show();
        break;
    case WITHOUT_VIRTUAL_MEMORY:
        device->no_virtual_memory = value != 0;
        break;
    case WITHOUT_POOLS:
        device->no_pools = value != 0;
        break;
    case PEERS:
        device->peers_allowed = value;
        break;
    case POISON:
        device->poison = (CUresult)value;
        break;
    case FAIL_WORK:
        device->fail_work = value;
        break;
    case FAIL_WORK_CODE:
        device->fail_work_code = (CUresult)value;
        break;
    case IDENTITY: /* another card of the same kind */
        for (int i = 0; i < 8; i++) {
            device->uuid[i] = (unsigned char)(value >> 8 * i);
        }
        device->domain = (int)(value & 0xFFFF);
        device->slot = (int)(value >> 16 & 0x1F);
        memcpy(device->card_uuid, device->uuid, sizeof device->uuid);
        break;
    }
    pthread_mutex_unlock(&lock);
}

enum setting { DRIVER_VERSION, HOST_LIMIT, INITIALISED };

void double_set_driver(int setting, uint64_t value) {
    pthread_mutex_lock(&lock);
    switch ((enum setting)setting) {
    case DRIVER_VERSION:
        driver_version = (int)value;
        break;
    case HOST_LIMIT:
        host_reset(value);
        break;
    case INITIALISED:
        initialised = value != 0;
        break;
    }
    pthread_mutex_unlock(&lock);
}

/* At once (0), by a thread (1) that takes so long for each piece of work, or only by steps (2). */
void double_work(int mode, int64_t delay_ns) {
    pthread_mutex_lock(&lock);
    work_set((enum work_mode)mode, delay_ns);
    pthread_mutex_unlock(&lock);
}

uint64_t double_step(uint64_t most) {
    pthread_mutex_lock(&lock);
    uint64_t done = work_step(most);
    pthread_mutex_unlock(&lock);
    return done;
}

uint64_t double_used(int index) {
    pthread_mutex_lock(&lock);
    uint64_t used = devices[index].used;
    pthread_mutex_unlock(&lock);
    return used;
}

enum view { LEDGER, MISUSES, CALLS, FIRED };

/* Writes a text, as much of it as there is room for, and answers how long it is. */
size_t double_text(int view, char *room, size_t length) {
    pthread_mutex_lock(&lock);
    struct text text = {room, length, 0};
    switch ((enum view)view) {
    case LEDGER:
        print_ledger(&text);
        break;
    case MISUSES:
        print_misuses(&text);
        break;
    case CALLS:
        print_calls(&text);
        break;
    case FIRED:
        print_fired(&text);
        break;
    }
    pthread_mutex_unlock(&lock);
    return text.wanted;
}

/* What a program finds that sets nothing up: DOUBLE_DEVICES devices of DOUBLE_MIB. */
__attribute__((constructor)) static void devices_of_the_environment(void) {
    const char *count = getenv("DOUBLE_DEVICES");
    const char *mib = getenv("DOUBLE_MIB");
    const char *mode = getenv("DOUBLE_WORK");
    int wanted = count == NULL ? 1 : atoi(count);
    uint64_t size = mib == NULL ? 2048 : strtoull(mib, NULL, 10);
    for (int i = 0; i < wanted && i < MOST_DEVICES; i++) {
        device_add("Headroom Test Double", size * MIB);
    }
    devices_show();
    if (mode != NULL) {
        double_work(atoi(mode), 0);
    }
}
