/* Preloaded into a process: dies at the FAULT_KILL-th change that it makes to files under FAULT_DIR, and copies to
 * FAULT_SHADOW what it asked to be made durable (fsync), which is all that a power cut is sure to leave.
 * FAULT_SHADOW/<inode> is a file's synced content, or a synced folder's "name inode kind" lines; FAULT_COUNT receives
 * the number of changes of a process that ended by itself. Paths that contain FAULT_SKIP are not counted. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static long changes, fatal = -1;

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("FAULT_KILL");
    if (number) fatal = atol(number);
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    if (!path) return;
    char text[32];
    int file = REAL(open)(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (file >= 0 && REAL(write)(file, text, snprintf(text, sizeof text, "%ld", changes)) >= 0) close(file);
}

static int inside(const char *path) {
    const char *folder = getenv("FAULT_DIR");
    const char *skip = getenv("FAULT_SKIP");
    return folder && !strncmp(path, folder, strlen(folder)) && !(skip && strstr(path, skip));
}

static int inside_at(int folder, const char *name, char *path) {
    char link[64];
    if (name[0] == '/') return inside(strcpy(path, name));
    if (folder == AT_FDCWD) return getcwd(path, PATH_MAX) && inside(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void change(int matters) {
    if (matters && ++changes == fatal) kill(getpid(), SIGKILL);
}

static int file_inside(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void shadow(const char *path) {
    const char *folder = getenv("FAULT_SHADOW");
    struct stat found;
    if (!folder || stat(path, &found)) return;
    char target[PATH_MAX], chunk[65536];
    snprintf(target, sizeof target, "%s/%lu", folder, (unsigned long)found.st_ino);
    int out = REAL(open)(target, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (S_ISDIR(found.st_mode)) {
        DIR *names = opendir(path);
        for (struct dirent *entry; names && (entry = readdir(names));) {
            int length = snprintf(chunk, sizeof chunk, "%s %lu %d\n", entry->d_name, (unsigned long)entry->d_ino, entry->d_type);
            if (entry->d_name[0] != '.' && REAL(write)(out, chunk, length) < 0) abort();
        }
        if (names) closedir(names);
    } else {
        int in = REAL(open)(path, O_RDONLY);
        for (ssize_t length; (length = read(in, chunk, sizeof chunk)) > 0;)
            if (REAL(write)(out, chunk, length) < 0) abort();
        close(in);
    }
    close(out);
}

static int synced(int file, int result) {
    char path[PATH_MAX];
    file_inside(file, path);
    if (!result && !strncmp(path, getenv("FAULT_DIR"), strlen(getenv("FAULT_DIR")))) shadow(path);
    return result;
}

int fsync(int file) { char p[PATH_MAX]; change(file_inside(file, p)); return synced(file, REAL(fsync)(file)); }
int fdatasync(int file) { char p[PATH_MAX]; change(file_inside(file, p)); return synced(file, REAL(fdatasync)(file)); }
ssize_t write(int file, const void *data, size_t size) { char p[PATH_MAX]; change(file_inside(file, p)); return REAL(write)(file, data, size); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { char p[PATH_MAX]; change(file_inside(file, p)); return REAL(pwrite)(file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) { char p[PATH_MAX]; change(file_inside(file, p)); return REAL(pwrite64)(file, data, size, at); }
int ftruncate(int file, off_t size) { char p[PATH_MAX]; change(file_inside(file, p)); return REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { char p[PATH_MAX]; change(file_inside(file, p)); return REAL(ftruncate64)(file, size); }
int rename(const char *from, const char *to) { change(inside(to)); return REAL(rename)(from, to); }
int unlink(const char *path) { change(inside(path)); return REAL(unlink)(path); }
int rmdir(const char *path) { change(inside(path)); return REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { change(inside(path)); return REAL(mkdir)(path, mode); }
int unlinkat(int folder, const char *name, int flags) { char p[PATH_MAX]; change(inside_at(folder, name, p)); return REAL(unlinkat)(folder, name, flags); }

static mode_t mode_of(int flags, va_list rest) { return flags & O_CREAT ? va_arg(rest, mode_t) : 0; }
int open(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest);
    change(flags & O_CREAT && inside(path));
    return REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest);
    change(flags & O_CREAT && inside(path));
    return REAL(open64)(path, flags, mode);
}
