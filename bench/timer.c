/*
 * timer - run commands and time them, from a process that is small: starting a child from Node would time Node.
 *
 *   build: gcc -O2 -Wall -o timer timer.c
 *
 * Reads lines "N<tab>COMMAND<tab>ARGUMENT..." and for each starts N of that command at once, with /dev/null as stdin, stdout and stderr; "{}" in
 * an argument is the number of the copy, from 0. When all have ended it answers with one line of JSON: "ms", wall time from before the first
 * start to the end of the last; "rss", the largest peak resident set in KiB of a copy or of what it waited for, getrusage(2); "failed", how many
 * did not exit with 0.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { LONGEST_LINE = 65536, MOST_ARGUMENTS = 256 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* `text` with every "{}" replaced by `number`; the caller frees it. */
static char *fill(const char *text, int number) {
  char *filled = strdup(text), *hole;
  while (filled && (hole = strstr(filled, "{}"))) {
    char *next = NULL;
    if (asprintf(&next, "%.*s%d%s", (int)(hole - filled), filled, number, hole + 2) < 0) next = NULL;
    free(filled);
    filled = next;
  }
  return filled;
}

int main(void) {
  static char line[LONGEST_LINE];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *words[MOST_ARGUMENTS], *rest = line, *word;
    int count = 0;
    while ((word = strsep(&rest, "\t")) && count < MOST_ARGUMENTS - 1) words[count++] = word;
    const int copies = atoi(words[0]);
    int failed = 0, started = 0;
    long rss = 0;
    const double begin = now();
    for (int copy = 0; copy < copies; copy++) {
      char *arguments[MOST_ARGUMENTS];
      for (int i = 1; i < count; i++) arguments[i - 1] = fill(words[i], copy);
      arguments[count - 1] = NULL;
      pid_t pid;
      if (posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ) == 0) started++;
      else failed++;
      for (int i = 0; i < count - 1; i++) free(arguments[i]);
    }
    for (; started > 0; started--) {
      int status;
      struct rusage usage;
      if (wait4(-1, &status, 0, &usage) < 0) break;
      if (status != 0) failed++;
      if (usage.ru_maxrss > rss) rss = usage.ru_maxrss;
    }
    printf("{\"ms\":%.4f,\"rss\":%ld,\"failed\":%d}\n", now() - begin, rss, failed);
    fflush(stdout);
  }
  return 0;
}
