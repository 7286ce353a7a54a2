/*
 * timer - run commands and time them, from a process that is small: starting a child from Node would time Node.
 *
 *   build: gcc -O2 -Wall -o timer timer.c
 *
 * Reads lines of words separated by tabs, "COPIES AT-ONCE STEP [; STEP]...". A step is "[NAME=VALUE]... COMMAND [ARGUMENT]...", of which COPIES are
 * run, never more than AT-ONCE together, with /dev/null as stdin and stdout; "{}" in an argument is the number of the copy, from 0. The next step
 * begins when all copies have ended. The step "wait" waits for the processes that earlier steps have left behind: they become children
 * of this one, as those of a container manager become children of its monitor.
 *
 * It answers each line with one line of JSON: "ms", wall time from before the first start to the end of the last; "steps", the same for each
 * step; "rss", the largest peak resident set in KiB of a command or of what it waited for, getrusage(2); "faults", the page faults of the commands
 * that needed no disk; "failed", how many did not exit with 0.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { LONGEST_LINE = 65536, MOST_WORDS = 256, MOST_COPIES = 1024 };

static posix_spawn_file_actions_t actions;
static pid_t running[MOST_COPIES]; /* the commands that have been started; 0 where one has ended */
static struct { long rss, faults; int failed; } total;

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

/* Start copy `copy` of a command with its variables in front; 1 if it runs. */
static int start(char **words, int copy) {
  char *arguments[MOST_WORDS], *environment[2 * MOST_WORDS];
  int variables = 0, count = 0, size = 0;
  while (words[variables] && strchr(words[variables], '=') && words[variables][0] != '/') variables++;
  for (int i = 0; i < variables; i++) environment[size++] = words[i];
  for (char **e = environ; *e && size < 2 * MOST_WORDS - 1; e++) environment[size++] = *e;
  environment[size] = NULL;
  for (char **word = words + variables; *word; word++) arguments[count++] = fill(*word, copy);
  arguments[count] = NULL;
  const int ok = posix_spawnp(&running[copy], arguments[0], &actions, NULL, arguments, environment) == 0;
  if (!ok) running[copy] = 0;
  for (int i = 0; i < count; i++) free(arguments[i]);
  return ok;
}

/* Wait for a child: 1 if it was a command, 0 if it was left behind by one, -1 if there is no child. */
static int reap(int copies) {
  int status;
  struct rusage usage;
  const pid_t pid = wait4(-1, &status, 0, &usage);
  if (pid < 0) return -1;
  for (int i = 0; i < copies; i++)
    if (running[i] == pid) {
      running[i] = 0;
      if (status != 0) total.failed++;
      if (usage.ru_maxrss > total.rss) total.rss = usage.ru_maxrss;
      total.faults += usage.ru_minflt;
      return 1;
    }
  return 0;
}

static void step(char **words, int copies, int at_once) {
  if (!words[0]) return;
  if (strcmp(words[0], "wait") == 0) {
    while (reap(0) >= 0) continue;
    return;
  }
  int under_way = 0;
  for (int copy = 0; copy < copies || under_way > 0;) {
    if (copy < copies && under_way < at_once) {
      if (start(words, copy++)) under_way++;
      else total.failed++;
      continue;
    }
    const int ended = reap(copies);
    if (ended < 0) break;
    under_way -= ended;
  }
}

int main(void) {
  static char line[LONGEST_LINE];
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *words[MOST_WORDS], *rest = line, *word;
    int count = 0;
    while ((word = strsep(&rest, "\t")) && count < MOST_WORDS - 1) words[count++] = word;
    words[count] = NULL;
    if (count < 3) return 2;
    int copies = atoi(words[0]);
    const int at_once = atoi(words[1]);
    if (copies > MOST_COPIES) copies = MOST_COPIES;
    memset(&total, 0, sizeof total);
    double ms[MOST_WORDS];
    int steps = 0;
    const double begin = now();
    for (int first = 2; first < count;) {
      int end = first;
      while (end < count && strcmp(words[end], ";") != 0) end++;
      words[end] = NULL;
      const double before = now();
      step(words + first, copies, at_once);
      ms[steps++] = now() - before;
      first = end + 1;
    }
    printf("{\"ms\":%.4f,\"steps\":[", now() - begin);
    for (int i = 0; i < steps; i++) printf("%s%.4f", i ? "," : "", ms[i]);
    printf("],\"rss\":%ld,\"faults\":%ld,\"failed\":%d}\n", total.rss, total.faults, total.failed);
    fflush(stdout);
  }
  return 0;
}
