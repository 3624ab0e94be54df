/* Fails the n-th call to the system that touches a folder: loaded before the C library (LD_PRELOAD), asleep until armed.
 *
 * A call counts when its file lies below the folder: writes and fsyncs by the name behind the descriptor, the others by
 * the name that is given. The fault is an error number, or 0 for kill -9; with `lasting`, all later calls fail too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static int armed = 0, at = -1, fault = 0, lasting = 0;
static int counted = 0;

void torture_arm(const char *where, int n, int error, int stays) {
    snprintf(folder, sizeof folder, "%s", where);
    at = n, fault = error, lasting = stays, counted = 0, armed = 1;
}

int torture_disarm(void) {
    armed = 0;
    return counted;
}

static int below(const char *name) {
    char whole[4096];
    if (!name) return 0;
    if (name[0] != '/') {
        char here[2048];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", here, name);
        name = whole;
    }
    return strncmp(name, folder, strlen(folder)) == 0;
}

static int behind(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length < 0) return 0;
    name[length] = 0;
    return below(name);
}

/* Whether this call, which touches the folder, has to fail. */
static int fails(void) {
    int mine = __sync_fetch_and_add(&counted, 1);
    if (at < 0 || !(mine == at || (lasting && mine > at))) return 0;
    if (fault == 0) kill(getpid(), SIGKILL);
    errno = fault;
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FD(kind, name, parameters, arguments)                      \
    kind name parameters {                                            \
        REAL(name);                                                   \
        if (armed && behind(fd) && fails()) return -1;                \
        return real arguments;                                        \
    }

#define ON_NAME(name, parameters, arguments, file)                    \
    int name parameters {                                             \
        REAL(name);                                                   \
        if (armed && below(file) && fails()) return -1;               \
        return real arguments;                                        \
    }

ON_FD(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t place), (fd, data, size, place))
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t place), (fd, data, size, place))
ON_FD(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))
ON_FD(int, ftruncate, (int fd, off_t size), (fd, size))
ON_NAME(rename, (const char *from, const char *to), (from, to), to)
ON_NAME(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), to)
ON_NAME(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), to)
ON_NAME(mkdir, (const char *name, mode_t mode), (name, mode), name)
ON_NAME(unlink, (const char *name), (name), name)

static int makes(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC); }

#define OPEN(name)                                                    \
    int name(const char *file, int flags, ...) {                      \
        mode_t mode = 0;                                              \
        if (flags & (O_CREAT | O_TMPFILE)) {                          \
            va_list rest;                                             \
            va_start(rest, flags);                                    \
            mode = va_arg(rest, mode_t);                              \
            va_end(rest);                                             \
        }                                                             \
        REAL(name);                                                   \
        if (armed && makes(flags) && below(file) && fails()) return -1; \
        return real(file, flags, mode);                               \
    }

OPEN(open)
OPEN(open64)
