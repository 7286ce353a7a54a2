/* Listens on the unix socket ARGV[1] for the master of one terminal, as an engine does for --console-socket. Prints the name that comes with it and
   "size ROWS COLUMNS", then what comes out of the terminal; what it reads from its own input goes into the terminal. Ends when the terminal does. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int receive(int socket) {
  char name[4096], control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {name, sizeof name - 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t size = recvmsg(socket, &message, 0);
  struct cmsghdr* header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS) return -1;
  int terminal;
  memcpy(&terminal, CMSG_DATA(header), sizeof terminal);
  name[size] = '\0';
  struct winsize window = {0};
  if (!isatty(terminal) || ioctl(terminal, TIOCGWINSZ, &window) < 0) return -1;
  printf("name %s\nsize %d %d\n", name, window.ws_row, window.ws_col);
  fflush(stdout);
  return terminal;
}

int main(int argc, char** argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) < 0 || listen(listener, 1) < 0) return 3;
  int terminal = receive(accept(listener, NULL, NULL));
  if (terminal < 0) return 4;
  struct pollfd waiting[2] = {{.fd = terminal, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  for (;;) {
    char buffer[4096];
    ssize_t size;
    if (poll(waiting, 2, -1) < 0) return 5;
    if (waiting[0].revents != 0) {
      /* EIO: nobody has the terminal open any more. */
      if ((size = read(terminal, buffer, sizeof buffer)) <= 0) return 0;
      if (write(1, buffer, (size_t)size) != size) return 6;
    }
    if (waiting[1].revents != 0) {
      if ((size = read(0, buffer, sizeof buffer)) <= 0)
        waiting[1].fd = -1;
      else if (write(terminal, buffer, (size_t)size) != size)
        return 7;
    }
  }
}
