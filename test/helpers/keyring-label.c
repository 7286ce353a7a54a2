/* Prints the security label of its session keyring. */
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  char label[4096];
  long size = syscall(SYS_keyctl, KEYCTL_GET_SECURITY, KEY_SPEC_SESSION_KEYRING, label, sizeof label);
  if (size < 0) {
    perror("keyctl");
    return 1;
  }
  puts(label);
  return 0;
}
