// The program of the differential test's containers: prints what it is and what it may do, one `name value` a line, then READY, waits for the end of
// its standard input and exits with 42. Static, and content with a root file system that holds nothing else.
//
//   probe PATH...            the report; each PATH is looked at, too
//   probe exit STATUS        ends with this status
//   probe kill SIGNAL        ends by this signal, or with 1 if it is the first process of its pid namespace
//   probe hook FILE NAME     as a hook: appends what it was given to FILE
//   probe fail               as a hook that fails
//   probe slow               as a hook that takes its time
//   probe sleep              as a hook that never ends
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LAST_CAPABILITY = 40, MOST_NAMES = 64, MOST_GROUPS = 1024, WATCHED_BYTES = 96, DESCRIPTORS = 256, SCHED_ATTR_SIZE = 48 };

static void escaped(const char* text) {
  for (const unsigned char* c = (const unsigned char*)text; *c != 0; c++) {
    if (*c < ' ' || *c == '\\' || *c >= 127)
      printf("\\x%02x", *c);
    else
      putchar(*c);
  }
}

static void words(const char* name, char** list) {
  printf("%s", name);
  for (; *list != NULL; list++) {
    printf(" [");
    escaped(*list);
    printf("]");
  }
  printf("\n");
}

static const char* outcome(long result) {
  static char text[32];
  if (result >= 0) return "ok";
  const char* name = strerrorname_np(errno);
  snprintf(text, sizeof text, "%s", name == NULL ? "unknown" : name);
  return text;
}

static void identity(void) {
  uid_t r, e, s;
  getresuid(&r, &e, &s);
  printf("uid %u %u %u\n", r, e, s);
  getresgid(&r, &e, &s);
  printf("gid %u %u %u\n", r, e, s);
  static gid_t groups[MOST_GROUPS];
  const int count = getgroups(MOST_GROUPS, groups);
  printf("groups");
  for (int i = 0; i < count; i++) printf(" %u", groups[i]);
  printf(count < 0 ? " too many\n" : "\n");
  const mode_t mask = umask(0);
  umask(mask);
  printf("umask %04o\n", mask);
  static char path[4096];
  printf("cwd %s\n", getcwd(path, sizeof path) ? path : outcome(-1));
}

static void privileges(void) {
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  uint32_t data[6] = {0};
  syscall(SYS_capget, &header, data);
  const uint32_t* d = data;
  printf("cap-effective %08x%08x\ncap-permitted %08x%08x\ncap-inheritable %08x%08x\n", d[3], d[0], d[4], d[1], d[5], d[2]);
  uint64_t bounding = 0, ambient = 0;
  for (int i = 0; i <= LAST_CAPABILITY; i++) {
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) bounding |= 1ULL << i;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) ambient |= 1ULL << i;
  }
  printf("cap-bounding %016llx\ncap-ambient %016llx\n", (unsigned long long)bounding, (unsigned long long)ambient);
  printf("securebits %d\nnnp %d\nseccomp %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP));
  int signal = -1;
  prctl(PR_GET_PDEATHSIG, &signal);
  printf("pdeathsig %d\ndumpable %d\n", signal, prctl(PR_GET_DUMPABLE));
}

static void limits(void) {
  static const char* const names[] = {"cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
                                      "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
  for (int i = 0; i < 16; i++) {
    uint64_t pair[2];
    syscall(SYS_prlimit64, 0, i, NULL, pair);
    printf("rlimit-%s %lld %lld\n", names[i], (long long)pair[0], (long long)pair[1]);
  }
}

static void scheduling(void) {
  uint32_t attr[SCHED_ATTR_SIZE / 4] = {0};
  uint64_t wide;
  const long result = syscall(SYS_sched_getattr, 0, attr, sizeof attr, 0);
  printf("scheduler %s", outcome(result));
  if (result >= 0) {
    memcpy(&wide, attr + 2, sizeof wide);
    printf(" policy %u flags %llx nice %d priority %u", attr[1], (unsigned long long)wide, (int)attr[4], attr[5]);
    if (attr[1] == 6) {
      for (int i = 6; i < 12; i += 2) {
        memcpy(&wide, attr + i, sizeof wide);
        printf(" %llu", (unsigned long long)wide);
      }
    }
  }
  printf("\nioprio %ld\n", syscall(SYS_ioprio_get, 1, 0));
  cpu_set_t set;
  CPU_ZERO(&set);
  printf("cpus %s %d\n", outcome(sched_getaffinity(0, sizeof set, &set)), CPU_COUNT(&set));
  int mode = -1;
  unsigned long nodes[16] = {0};
  const long policy = syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0);
  printf("mempolicy %s %d %lx\n", outcome(policy), mode, nodes[0]);
  printf("personality %x\n", personality(0xffffffff));
}

static void surroundings(char** argv, char** environment) {
  struct utsname names;
  uname(&names);
  printf("machine %s\nhostname %s\ndomainname %s\n", names.machine, names.nodename, names.domainname);
  words("args", argv);
  words("env", environment);
  printf("pid %s\nsession %s\n", getpid() == 1 ? "1" : "another", getsid(0) == getpid() ? "own" : "not its own");
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, NULL, &blocked);
  printf("signals-blocked");
  for (int i = 1; i < 65; i++)
    if (sigismember(&blocked, i) == 1) printf(" %d", i);
  printf("\nsignals-ignored");
  for (int i = 1; i < 65; i++) {
    struct sigaction action;
    if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN) printf(" %d", i);
  }
  printf("\ndescriptors");
  for (int i = 0; i < DESCRIPTORS; i++)
    if (fcntl(i, F_GETFD) >= 0) printf(" %d", i);
  printf("\nterminal %d\n", isatty(0));
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct if_nameindex* list = fd < 0 ? NULL : if_nameindex();
  printf("interfaces");
  for (struct if_nameindex* entry = list; entry != NULL && entry->if_index != 0; entry++) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", entry->if_name);
    ioctl(fd, SIOCGIFFLAGS, &request);
    printf(" %s-%s", entry->if_name, request.ifr_flags & IFF_UP ? "up" : "down");
    if (ioctl(fd, SIOCGIFADDR, &request) == 0)
      printf("-%s", inet_ntoa(((struct sockaddr_in*)&request.ifr_addr)->sin_addr));
  }
  printf("\n");
  if (fd >= 0) close(fd);
}

// What would change the machine is tried in a root file system of the test's and nowhere else.
static void calls(void) {
  if (access("/.differential", F_OK) != 0) return;
  printf("call-mkdir %s\n", outcome(mkdir("/tmp/made", 0777)));
  struct stat made;
  if (stat("/tmp/made", &made) == 0) printf("made %o %u:%u\n", made.st_mode & 07777, made.st_uid, made.st_gid);
  rmdir("/tmp/made");
  printf("call-chmod %s\n", outcome(chmod("/tmp", 01777)));
  printf("call-mknod %s\n", outcome(mknod("/tmp/node", S_IFCHR | 0600, makedev(1, 3))));
  unlink("/tmp/node");
  printf("call-chroot %s\n", outcome(chroot("/")));
  printf("call-sethostname %s\n", outcome(sethostname("changed", 7)));
  printf("call-mount %s\n", outcome(mount("none", "/tmp", "tmpfs", 0, "size=64k")));
  printf("call-unshare %s\n", outcome(unshare(CLONE_NEWUTS)));
  printf("call-kill %s\n", outcome(kill(getpid(), 0)));
  printf("call-getppid %s\n", outcome(syscall(SYS_getppid)));
  printf("call-setpriority %s\n", outcome(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1)));
  printf("call-setuid %s\n", outcome(setuid(getuid())));
  printf("call-setgroups %s\n", outcome(syscall(SYS_setgroups, 0, NULL)));
}

static int byName(const void* a, const void* b) { return strcmp(*(char* const*)a, *(char* const*)b); }

static void directory(const char* path) {
  DIR* dir = opendir(path);
  printf(" open %s", outcome(dir == NULL ? -1 : 0));
  if (dir != NULL) {
    char* names[MOST_NAMES];
    int count = 0;
    for (struct dirent* entry; (entry = readdir(dir)) != NULL && count < MOST_NAMES;)
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names[count++] = strdup(entry->d_name);
    closedir(dir);
    if (count == MOST_NAMES) {
      printf(" many");
    } else {
      qsort(names, (size_t)count, sizeof *names, byName);
      printf(" {");
      for (int i = 0; i < count; i++) printf(i == 0 ? "%s" : " %s", names[i]);
      printf("}");
    }
  }
  char inside[4096];
  snprintf(inside, sizeof inside, "%s/.probe", path);
  const int made = mkdir(inside, 0700);
  printf(" write %s", outcome(made));
  if (made == 0) rmdir(inside);
}

static void file(const char* path, int device) {
  const int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int fd = open(path, O_RDONLY | flags);
  printf(" open %s", outcome(fd));
  if (fd >= 0 && !device) {
    char text[WATCHED_BYTES + 1];
    const ssize_t size = read(fd, text, WATCHED_BYTES);
    if (size < 0)
      printf(" read %s", outcome(-1));
    else if (strncmp(path, "/proc/", 6) == 0 && strncmp(path, "/proc/sys/", 10) != 0)
      printf(size > 0 ? " something" : " nothing");  // it tells of the machine at this moment
    else {
      text[size] = 0;
      printf(" <");
      escaped(text);
      printf(">");
    }
  }
  if (fd >= 0) close(fd);
  fd = open(path, O_WRONLY | flags);
  printf(" write %s", outcome(fd));
  if (fd >= 0) close(fd);
}

static void look(const char* path) {
  printf("path:%s", path);
  struct stat here;
  if (lstat(path, &here) != 0) {
    printf(" %s\n", outcome(-1));
    return;
  }
  printf(" %o", here.st_mode);
  // A device that masks something is the host's, and its owner nobody's business here.
  if (!S_ISCHR(here.st_mode) || strncmp(path, "/dev/", 5) == 0 || strcmp(path, "/mine") == 0) printf(" %u:%u", here.st_uid, here.st_gid);
  if (S_ISLNK(here.st_mode)) {
    char target[4096] = {0};
    if (readlink(path, target, sizeof target - 1) < 0) outcome(-1);
    printf(" -> %s\n", target);
    return;
  }
  const int device = S_ISCHR(here.st_mode) || S_ISBLK(here.st_mode);
  if (device) printf(" %u:%u", major(here.st_rdev), minor(here.st_rdev));
  if (S_ISDIR(here.st_mode))
    directory(path);
  else if (!S_ISFIFO(here.st_mode))
    file(path, device);
  printf("\n");
}

static int hook(char** argv, char** environment) {
  FILE* log = fopen(argv[2], "a");
  if (log == NULL) return 1;
  static char text[65536];
  const size_t size = fread(text, 1, sizeof text - 1, stdin);
  text[size] = 0;
  for (char* c = text; *c != 0; c++)
    if (*c == '\n') *c = ' ';
  char cwd[4096] = "?", mnt[64] = {0};
  if (getcwd(cwd, sizeof cwd) == NULL || readlink("/proc/self/ns/mnt", mnt, sizeof mnt - 1) < 0) mnt[0] = '?';
  fprintf(log, "{\"hook\":\"%s\",\"argv0\":\"%s\",\"cwd\":\"%s\",\"mnt\":\"%s\",\"umask\":%d,\"env\":[", argv[3], argv[0], cwd, mnt, umask(0));
  for (char** entry = environment; *entry != NULL; entry++) fprintf(log, entry == environment ? "\"%s\"" : ",\"%s\"", *entry);
  fprintf(log, "],\"state\":%s}\n", size > 0 ? text : "null");
  return fclose(log) == 0 ? 0 : 1;
}

int main(int argc, char** argv, char** environment) {
  if (argc > 3 && strcmp(argv[1], "hook") == 0) return hook(argv, environment);
  if (argc > 1 && strcmp(argv[1], "fail") == 0) return 7;
  if (argc > 1 && strcmp(argv[1], "slow") == 0) return usleep(300000);
  if (argc > 1 && strcmp(argv[1], "sleep") == 0) return pause();
  if (argc > 2 && strcmp(argv[1], "exit") == 0) return atoi(argv[2]);
  if (argc > 2 && strcmp(argv[1], "kill") == 0) return kill(getpid(), atoi(argv[2])) == 0 ? 1 : 2;
  setvbuf(stdout, NULL, _IOFBF, 65536);
  surroundings(argv, environment);
  identity();
  privileges();
  limits();
  scheduling();
  for (int i = 1; i < argc; i++)
    if (argv[i][0] == '/') look(argv[i]);
  fflush(stdout);
  printf("READY\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  calls();
  printf("DONE\n");
  fflush(stdout);
  return 42;
}
