/* Both ends of sd_notify(3).
   notify listen ADDRESS   binds a datagram socket (a path, or @NAME) and prints a line for each message that comes: its text, with `|` for a newline,
                           and `+N` behind it if N descriptors came along. It closes them.
   notify WORD...          sends each word to $NOTIFY_SOCKET. `%N` is a message of N bytes; `+N` makes the next one bring N descriptors; `*N` sends the
                           next one N times; `!` waits until what was sent with BARRIER=1 has been read; `?` goes on where the next one is refused. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 253 };

static socklen_t fill(struct sockaddr_un* address, const char* text) {
  size_t length = strlen(text);
  if (length >= sizeof address->sun_path) exit(2);
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, text, length);
  if (*text != '@') return sizeof *address;
  address->sun_path[0] = '\0';
  return offsetof(struct sockaddr_un, sun_path) + length;
}

static int listen_at(const char* place) {
  struct sockaddr_un address;
  socklen_t size = fill(&address, place);
  int socket_at = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (bind(socket_at, (struct sockaddr*)&address, size) < 0) return 3;
  puts("listening");
  for (;;) {
    char text[8192], control[CMSG_SPACE(sizeof(int) * MOST)];
    struct iovec data = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    fflush(stdout);
    ssize_t length = recvmsg(socket_at, &message, 0);
    if (length < 0) return 4;
    text[length] = '\0';
    for (char* at = text; *at != '\0'; at++)
      if (*at == '\n') *at = '|';
    size_t count = 0;
    for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
      int* descriptors = (int*)CMSG_DATA(header);
      count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) close(descriptors[i]);
    }
    if (count > 0)
      printf("%s +%zu\n", text, count);
    else
      puts(text);
  }
}

static int send_to(int socket_at, const char* text, size_t length, int descriptor, int count) {
  char control[CMSG_SPACE(sizeof(int) * MOST)] = {0};
  struct iovec data = {(char*)text, length};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (int i = 0; i < count; i++) memcpy(CMSG_DATA(header) + i * sizeof descriptor, &descriptor, sizeof descriptor);
  }
  return sendmsg(socket_at, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int barrier(int socket_at) {
  int ends[2];
  if (pipe(ends) < 0 || send_to(socket_at, "BARRIER=1", 9, ends[1], 1) < 0) return -1;
  close(ends[1]);
  struct pollfd hangup = {ends[0], 0, 0};
  return poll(&hangup, 1, 30000) == 1 ? 0 : -1;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "listen") == 0) return listen_at(argv[2]);
  struct sockaddr_un address;
  const char* place = getenv("NOTIFY_SOCKET");
  if (place == NULL) return 5;
  socklen_t size = fill(&address, place);
  int socket_at = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (connect(socket_at, (struct sockaddr*)&address, size) < 0) {
    perror(place);
    return 6;
  }
  int descriptors = 0, times = 1, forgiven = 0;
  for (int i = 1; i < argc; i++) {
    const char* word = argv[i];
    if (*word == '+' || *word == '*' || *word == '?') {
      if (*word == '+') descriptors = atoi(word + 1);
      if (*word == '*') times = atoi(word + 1);
      if (*word == '?') forgiven = 1;
      continue;
    }
    size_t length = *word == '%' ? (size_t)atol(word + 1) : strlen(word);
    char* text = malloc(length + 1);
    memset(text, 'x', length);
    if (*word != '%') memcpy(text, word, length);
    for (; times > 0; times--) {
      int result = strcmp(word, "!") == 0 ? barrier(socket_at) : send_to(socket_at, text, length, socket_at, descriptors);
      if (result == 0 || forgiven) continue;
      perror(word);
      return 7;
    }
    free(text);
    descriptors = 0;
    times = 1;
    forgiven = 0;
  }
  return 0;
}
