/* How fast memcpy moves the tail of a file from the page cache into fresh memory: what `headroom load` is measured against.
 *
 *   copy_rate FILE BYTES      copies the last BYTES bytes of FILE once, prints the seconds
 *
 * Both sides are as fresh as for the loader: the file is mapped anew, and the destination is untouched 4 KiB pages. Only the
 * copy is timed; opening and mapping are not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: copy_rate FILE BYTES\n");
        return 2;
    }
    int file = open(argv[1], O_RDONLY);
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0) {
        fail(argv[1]);
    }
    size_t all = (size_t)about.st_size;
    size_t bytes = strtoull(argv[2], NULL, 10);
    if (bytes == 0 || bytes > all) {
        fprintf(stderr, "copy_rate: %s has no %zu bytes\n", argv[1], bytes);
        return 2;
    }
    char *source = mmap(NULL, all, PROT_READ, MAP_SHARED, file, 0);
    char *target = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (source == MAP_FAILED || target == MAP_FAILED) {
        fail("mmap");
    }
    madvise(target, bytes, MADV_NOHUGEPAGE);

    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    memcpy(target, source + (all - bytes), bytes);
    clock_gettime(CLOCK_MONOTONIC, &end);

    /* Looked at, so that the copy cannot be left out. */
    if (memcmp(target, source + (all - bytes), 4096 < bytes ? 4096 : bytes) != 0) {
        fprintf(stderr, "copy_rate: the copy differs\n");
        return 1;
    }
    printf("%.9f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    return 0;
}
