/* Listens on the unix socket ARGV[1] for one pidfd, as an engine does for --pidfd-socket. Prints the text that comes with it, waits for a line on
   its input, sends the process SIGTERM through the pidfd, and ends. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) < 0 || listen(listener, 1) < 0) return 3;
  char text[64], control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {text, sizeof text - 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(accept(listener, NULL, NULL), &message, 0);
  struct cmsghdr* header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS) return 4;
  int pidfd;
  memcpy(&pidfd, CMSG_DATA(header), sizeof pidfd);
  text[size] = '\0';
  puts(text);
  fflush(stdout);
  (void)getchar();
  return syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 ? 5 : 0;
}
