/* Counts the calls that change a folder on the disk, and at a chosen one kills the process or has the disk full from then on.
 *
 * Loaded before the C library (LD_PRELOAD) by the reliability tests, for processes that they start. The environment says what
 * to do: FAULT_FOLDER (calls on paths below it count), FAULT_MODE (count, kill, fail), FAULT_AT (the number of the call),
 * FAULT_COUNT (the file into which the number of calls is written at the end).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int below(const char *path) {
  const char *folder = getenv("FAULT_FOLDER");
  return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int descriptor_below(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return below(path);
}

/* Whether this call is to fail. What needs no room never does. */
static int fault(int needs_room) {
  long number = atomic_fetch_add(&calls, 1) + 1;
  const char *mode = getenv("FAULT_MODE"), *at = getenv("FAULT_AT");
  if (!mode || !at || strcmp(mode, "count") == 0 || number < atol(at)) return 0;
  if (strcmp(mode, "kill") == 0) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  if (!needs_room) return 0;
  errno = ENOSPC;
  return 1;
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("FAULT_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (file) {
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
  }
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_DESCRIPTOR(name, parameters, arguments)                       \
  ssize_t name parameters {                                              \
    if (descriptor_below(fd) && fault(1)) return -1;                     \
    return NEXT(name) arguments;                                         \
  }

ON_DESCRIPTOR(write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
ON_DESCRIPTOR(pwrite, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
ON_DESCRIPTOR(pwrite64, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
ON_DESCRIPTOR(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

int fsync(int fd) { return descriptor_below(fd) && fault(1) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return descriptor_below(fd) && fault(1) ? -1 : NEXT(fdatasync)(fd); }
int ftruncate(int fd, off_t length) { return descriptor_below(fd) && fault(length > 0) ? -1 : NEXT(ftruncate)(fd, length); }
int ftruncate64(int fd, off64_t length) { return descriptor_below(fd) && fault(length > 0) ? -1 : NEXT(ftruncate64)(fd, length); }
int posix_fallocate(int fd, off_t at, off_t length) {
  return descriptor_below(fd) && fault(1) ? ENOSPC : NEXT(posix_fallocate)(fd, at, length);
}
int rename(const char *from, const char *to) { return below(to) && fault(1) ? -1 : NEXT(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
  return below(to) && fault(1) ? -1 : NEXT(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  return below(to) && fault(1) ? -1 : NEXT(renameat2)(a, from, b, to, flags);
}
int mkdir(const char *path, mode_t mode) { return below(path) && fault(1) ? -1 : NEXT(mkdir)(path, mode); }
int unlink(const char *path) { return below(path) && fault(0) ? -1 : NEXT(unlink)(path); }
int rmdir(const char *path) { return below(path) && fault(0) ? -1 : NEXT(rmdir)(path); }

/* The folder may be given by a descriptor, as where a tree is removed. */
int unlinkat(int fd, const char *path, int flags) {
  int counts = path[0] == '/' ? below(path) : fd != AT_FDCWD && descriptor_below(fd);
  return counts && fault(0) ? -1 : NEXT(unlinkat)(fd, path, flags);
}

#define OPENING(name)                                                    \
  int name(const char *path, int flags, ...) {                           \
    va_list rest;                                                        \
    va_start(rest, flags);                                               \
    mode_t mode = va_arg(rest, mode_t);                                  \
    va_end(rest);                                                        \
    int creates = (flags & O_TMPFILE) == O_TMPFILE || ((flags & O_CREAT) && access(path, F_OK) != 0); \
    if (creates && below(path) && fault(1)) return -1;                   \
    return NEXT(name)(path, flags, mode);                                \
  }

OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                 \
  int name(int folder, const char *path, int flags, ...) {               \
    va_list rest;                                                        \
    va_start(rest, flags);                                               \
    mode_t mode = va_arg(rest, mode_t);                                  \
    va_end(rest);                                                        \
    int creates = (flags & O_TMPFILE) == O_TMPFILE || ((flags & O_CREAT) && access(path, F_OK) != 0); \
    if (creates && below(path) && fault(1)) return -1;                   \
    return NEXT(name)(folder, path, flags, mode);                        \
  }

OPENING_AT(openat)
OPENING_AT(openat64)
