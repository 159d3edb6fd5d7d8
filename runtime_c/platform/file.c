/* file.c - maps model files into memory. */
#define _POSIX_C_SOURCE 200809L
#include "whit_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int whit_file_map(whit_file *file, const char *path) {
  *file = (whit_file){ 0 };
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  struct stat st;
  int error = fstat(fd, &st) ? errno : 0;
  if (!error && (!S_ISREG(st.st_mode) || st.st_size <= 0)) error = EINVAL;
  if (!error) {
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) error = errno;
    else *file = (whit_file){ data, (size_t)st.st_size };
  }
  close(fd);
  return error;
}

void whit_file_unmap(whit_file *file) {
  if (file->data) munmap((void *)(uintptr_t)file->data, file->n_bytes);
  *file = (whit_file){ 0 };
}
