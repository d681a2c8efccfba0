/* What every call goes through: counting, planned faults, delays, gates, the check of the context. */
#include "double.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FAULTS 8
#define REMEMBERED 256

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
uint64_t generation = 1;
bool initialised;
int driver_version = 12060;

enum mode { ONCE, FOR_EVER, POISONING };

struct fault {
    char pattern[64];
    uint64_t nth, seen;
    CUresult code;
    enum mode mode;
    bool planned;
};

static struct call_site *sites;
static uint64_t total_calls;
static uint64_t fired;
static char fired_names[REMEMBERED][80];
static struct fault faults[FAULTS];

static char delay_pattern[64];
static int64_t delay_ns;
static char gate_pattern[64];
static int at_gate;

static uint64_t misuses, foreigns;
static char misuse_lines[REMEMBERED][160];
static const char *current_call = "";

/* What a test does itself is not counted and does not fail. */
static __thread bool paused;

int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

void append(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    if (length > 0) {
        text->wanted += (size_t)length;
        size_t kept = (size_t)length < text->left ? (size_t)length : (text->left > 0 ? text->left - 1 : 0);
        text->at += kept;
        text->left -= kept;
    }
}

void misuse(const char *what, uint64_t handle) {
    if (misuses < REMEMBERED) {
        snprintf(misuse_lines[misuses], sizeof misuse_lines[0], "%s: %s 0x%llx", current_call, what,
                 (unsigned long long)handle);
    }
    misuses++;
}

void foreign(const char *what, uint64_t handle) {
    foreigns++;
    misuse(what, handle);
}

/* A name, or the beginning of one followed by a star. */
static bool matches(const char *pattern, const char *name) {
    size_t length = strlen(pattern);
    if (length > 0 && pattern[length - 1] == '*') {
        return strncmp(pattern, name, length - 1) == 0;
    }
    return length > 0 && strcmp(pattern, name) == 0;
}

static CUresult planned_fault(const char *name) {
    for (int i = 0; i < FAULTS; i++) {
        struct fault *fault = &faults[i];
        if (!fault->planned || !matches(fault->pattern, name)) {
            continue;
        }
        fault->seen++;
        if (fault->seen == fault->nth || (fault->mode == FOR_EVER && fault->seen > fault->nth)) {
            if (fired < REMEMBERED) {
                snprintf(fired_names[fired], sizeof fired_names[0], "%s %d", name, fault->code);
            }
            fired++;
            struct device *device = current_device();
            if (fault->mode == POISONING && device != NULL) {
                device->poison = fault->code;
            }
            return fault->code;
        }
    }
    return SUCCESS;
}

static void wait_at_gate(const char *name) {
    if (matches(gate_pattern, name)) {
        at_gate++;
        pthread_cond_broadcast(&changed);
        while (matches(gate_pattern, name)) {
            pthread_cond_wait(&changed, &lock);
        }
        at_gate--;
    }
}

static void sleep_unlocked(int64_t ns) {
    pthread_mutex_unlock(&lock);
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&lock);
}

static CUresult state(enum needs needs) {
    if (needs == NOTHING) {
        return SUCCESS;
    }
    if (!initialised) {
        return NOT_INITIALIZED;
    }
    if (needs == CONTEXT) {
        if (current_context() == 0) {
            misuse("without a current context", 0);
            return INVALID_CONTEXT;
        }
        struct device *device = current_device();
        if (device == NULL) {
            misuse("in a context that is gone", current_context());
            return CONTEXT_IS_DESTROYED;
        }
        return device->poison;
    }
    return SUCCESS;
}

CUresult call_enter(struct call_site *site, const char *name, enum needs needs) {
    pthread_mutex_lock(&lock);
    if (site->name == NULL) {
        site->name = name;
        site->next = sites;
        sites = site;
    }
    if (paused) {
        CUresult wrong = state(needs);
        if (wrong != SUCCESS) {
            pthread_mutex_unlock(&lock);
        }
        return wrong;
    }
    site->calls++;
    total_calls++;
    if (delay_ns > 0 && matches(delay_pattern, name)) {
        sleep_unlocked(delay_ns);
    }
    wait_at_gate(name);
    current_call = name;
    CUresult code = planned_fault(name);
    if (code == SUCCESS) {
        code = state(needs);
    }
    if (code != SUCCESS) {
        pthread_mutex_unlock(&lock);
    }
    return code;
}

CUresult call_leave(CUresult result) {
    pthread_mutex_unlock(&lock);
    return result;
}

void call_reset(void) {
    for (struct call_site *site = sites; site != NULL; site = site->next) {
        site->calls = 0;
    }
    memset(faults, 0, sizeof faults);
    total_calls = fired = misuses = foreigns = 0;
    delay_ns = 0;
    gate_pattern[0] = 0;
    pthread_cond_broadcast(&changed);
}

/* --- told from outside ------------------------------------------------------------------------------------------- */

static void keep(char target[64], const char *pattern) {
    snprintf(target, 64, "%s", pattern);
}

/* Fails the nth call from now on that fits: once (0), from there on (1), or for good in the current context (2). */
int double_fail(const char *pattern, uint64_t nth, int code, int mode) {
    pthread_mutex_lock(&lock);
    int slot = 0;
    while (slot < FAULTS && faults[slot].planned) {
        slot++;
    }
    if (slot < FAULTS) {
        faults[slot] = (struct fault){.nth = nth, .code = code, .mode = (enum mode)mode, .planned = true};
        keep(faults[slot].pattern, pattern);
    }
    pthread_mutex_unlock(&lock);
    return slot < FAULTS ? 0 : -1;
}

void double_fail_no_more(void) {
    pthread_mutex_lock(&lock);
    memset(faults, 0, sizeof faults);
    pthread_mutex_unlock(&lock);
}

/* On the calling thread. */
void double_pause(int wanted) {
    paused = wanted != 0;
}

void double_delay(const char *pattern, int64_t ns) {
    pthread_mutex_lock(&lock);
    keep(delay_pattern, pattern);
    delay_ns = ns;
    pthread_mutex_unlock(&lock);
}

/* Calls that fit wait until the gate is another, or opened with the empty pattern. */
void double_gate(const char *pattern) {
    pthread_mutex_lock(&lock);
    keep(gate_pattern, pattern);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until so many calls stand at the gate. */
void double_await_gate(int waiting) {
    pthread_mutex_lock(&lock);
    while (at_gate < waiting) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

enum figure { CALLS, FIRED, MISUSES, FOREIGN };

uint64_t double_figure(int which) {
    pthread_mutex_lock(&lock);
    uint64_t figures[] = {[CALLS] = total_calls, [FIRED] = fired, [MISUSES] = misuses, [FOREIGN] = foreigns};
    uint64_t value = which >= CALLS && which <= FOREIGN ? figures[which] : 0;
    pthread_mutex_unlock(&lock);
    return value;
}

void print_calls(struct text *text) {
    for (struct call_site *site = sites; site != NULL; site = site->next) {
        if (site->calls > 0) {
            append(text, "%s %llu\n", site->name, (unsigned long long)site->calls);
        }
    }
}

void print_misuses(struct text *text) {
    for (uint64_t i = 0; i < misuses && i < REMEMBERED; i++) {
        append(text, "%s\n", misuse_lines[i]);
    }
}

void print_fired(struct text *text) {
    for (uint64_t i = 0; i < fired && i < REMEMBERED; i++) {
        append(text, "%s\n", fired_names[i]);
    }
}
