/* A seccomp agent: listens on the unix socket ARGV[1] for container process states, one for each connection. Prints "state JSON" and how many
   descriptors came, then answers what the listener asks: mkdir and mkdirat fail with EDQUOT, everything else goes on as if nobody had asked, and of every
   system call that has been asked about for the first time it prints "call NUMBER". Prints "closed" when a listener has nobody left to ask for. */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Reads to the end of the file: the runtime closes the connection when all has been said. */
static int receive(int connection) {
  static char state[1 << 20];
  size_t size = 0;
  int listener = -1, count = 0;
  for (;;) {
    char control[CMSG_SPACE(8 * sizeof(int))];
    struct iovec data = {state + size, sizeof state - 1 - size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(connection, &message, 0);
    if (received < 0) return -1;
    if (received == 0) break;
    size += (size_t)received;
    for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
      count += (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(&listener, CMSG_DATA(header), sizeof listener);
    }
  }
  state[size] = '\0';
  printf("state %s\ndescriptors %d\n", state, count);
  fflush(stdout);
  return listener;
}

static int is_mkdir(int number) {
#ifdef SYS_mkdir
  if (number == SYS_mkdir) return 1;
#endif
  return number == SYS_mkdirat;
}

static void serve(int listener) {
  static char seen[1024];
  for (;;) {
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    if (poll(&waiting, 1, -1) < 0) return;
    if ((waiting.revents & POLLIN) == 0) {
      printf("closed\n");
      fflush(stdout);
      return;
    }
    struct seccomp_notif request = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
      if (errno == ENOENT || errno == EINTR) continue;
      return;
    }
    unsigned number = (unsigned)request.data.nr;
    if (number < sizeof seen && !seen[number]) {
      seen[number] = 1;
      printf("call %u\n", number);
      fflush(stdout);
    }
    struct seccomp_notif_resp answer = {.id = request.id};
    if (is_mkdir((int)number))
      answer.error = -EDQUOT;
    else
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0 && errno != ENOENT) return;
  }
}

int main(int argc, char** argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(socket_, (struct sockaddr*)&address, sizeof address) < 0 || listen(socket_, 8) < 0) return 3;
  for (;;) {
    int connection = accept(socket_, NULL, NULL);
    if (connection < 0) return 4;
    if (fork() == 0) {
      close(socket_);
      int listener = receive(connection);
      close(connection);
      if (listener < 0) return 5;
      serve(listener);
      return 0;
    }
    close(connection);
  }
}
