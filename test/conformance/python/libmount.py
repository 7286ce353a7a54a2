"""As much of libmount's Python module, which Debian carries no more, as crun's tests call: the mounts in a file like /proc/self/mountinfo."""


class Mount:
    """One line of the table; proc_pid_mountinfo(5) has the fields."""

    def __init__(self, line):
        mount, file_system = line.split(' - ', 1)
        self.target = mount.split(' ')[4]
        self.vfs_options = mount.split(' ')[5]
        self.fs_options = file_system.split(' ')[2]


class Table:
    """The table in a file; what was mounted last comes first."""

    def __init__(self, path):
        with open(path, encoding='utf-8') as lines:
            self.mounts = [Mount(line.rstrip('\n')) for line in lines if ' - ' in line]

    def find_target(self, target):
        return next((mount for mount in reversed(self.mounts) if mount.target == target), None)
