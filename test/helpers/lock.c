/* Locks the file ARGV[1] with flock(2), then counts in it, one line each 20 ms. */
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char** argv) {
  FILE* file = argc == 2 ? fopen(argv[1], "a") : NULL;
  if (file == NULL || flock(fileno(file), LOCK_EX) < 0) return 1;
  for (int count = 1;; count++) {
    fprintf(file, "%d\n", count);
    fflush(file);
    usleep(20000);
  }
}
