/* A full disk of one process: loaded into it (LD_PRELOAD), writes to files fail with ENOSPC while the
   switch is on. The switch and a counter of what was refused lie in a file that the test maps, too.
   Only a process whose environment names the switch itself (FULL_DISK_OF) is concerned; sockets,
   pipes and reading are not. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile int64_t *shared; /* [0] on, [1] refused */

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FULL_DISK"), *of = getenv("FULL_DISK_OF");
    if (!name || !of || !getenv(of)) return;
    int file = open(name, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *found = mmap(NULL, 2 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) shared = found;
    close(file);
}

static int refuses(int file) {
    struct stat what;
    if (!shared || !shared[0]) return 0;
    if (fstat(file, &what) != 0 || !S_ISREG(what.st_mode)) return 0;
    __atomic_add_fetch(&shared[1], 1, __ATOMIC_RELAXED);
    errno = ENOSPC;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t size) {
    return refuses(file) ? -1 : REAL(write)(file, bytes, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return refuses(file) ? -1 : REAL(writev)(file, parts, count);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) {
    return refuses(file) ? -1 : REAL(pwrite)(file, bytes, size, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
    return refuses(file) ? -1 : REAL(pwrite64)(file, bytes, size, at);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at) {
    return refuses(file) ? -1 : REAL(pwritev)(file, parts, count, at);
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t at) {
    return refuses(file) ? -1 : REAL(pwritev64)(file, parts, count, at);
}
