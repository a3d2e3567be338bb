/* Preloaded into a process: a file system without locks, as some NFS and Lustre mounts are. flock and fcntl's locks fail
 * with ENOLCK, and what WAL needs, memory shared by a mapped file, with EINVAL (files called *-shm). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int refused(void) {
    errno = ENOLCK;
    return -1;
}

int flock(int file, int operation) { return operation & LOCK_UN ? REAL(flock)(file, operation) : refused(); }

static int is_lock(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_GETLK || command == F_OFD_SETLK;
}

int fcntl(int file, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return is_lock(command) ? refused() : REAL(fcntl)(file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return is_lock(command) ? refused() : REAL(fcntl64)(file, command, argument);
}

static int is_shared(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = file < 0 ? -1 : readlink(link, path, sizeof path - 1);
    return length > 4 && !strncmp(path + length - 4, "-shm", 4);
}

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) {
    if (is_shared(file)) return errno = EINVAL, MAP_FAILED;
    return REAL(mmap)(at, length, protection, flags, file, offset);
}
