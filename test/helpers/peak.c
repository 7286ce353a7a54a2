// Runs a command, writes the most memory that it had at once, in KiB, to descriptor 3, and ends as the command has ended.
//
//   peak COMMAND [ARGUMENT...]
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 125;
  const pid_t child = fork();
  if (child == 0) {
    fcntl(3, F_SETFD, FD_CLOEXEC);
    execvp(argv[1], argv + 1);
    _exit(125);
  }
  int status = 0;
  struct rusage usage;
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return 125;
  dprintf(3, "%ld\n", usage.ru_maxrss);
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  return WEXITSTATUS(status);
}
