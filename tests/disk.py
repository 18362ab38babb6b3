"""A small disk that a test fills up or makes read-only."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 48_000_000
UNPRIVILEGED = 65534


class Disk:
    """A directory on a disk of its own, or with limits of the process where no disk can be mounted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.filler = folder / ".filler"
        self.mounted = not run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder))

    def fill(self, leaving: int, processes: Iterable[int] = (0,)) -> None:
        """Leave so many bytes free; without a mount: limit files of these processes to that size."""
        if not self.mounted:
            for pid in processes:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (leaving, resource.RLIM_INFINITY))
            return
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - leaving)

    def free(self) -> None:
        """Free the space again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.filler.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse every change; without a mount: by permissions, as another user if the test runs as root."""
        if self.mounted:
            assert not run("mount", "-o", "remount,ro", str(self.folder))
            yield
            assert not run("mount", "-o", "remount,rw", str(self.folder))
            return
        user = os.geteuid()
        self.folder.chmod(0o555)
        if user == 0:
            os.seteuid(UNPRIVILEGED)
        try:
            yield
        finally:
            os.seteuid(user)
            self.folder.chmod(0o755)

    def remove(self) -> None:
        """Unmount the disk."""
        self.free()
        if self.mounted:
            run("umount", "-l", str(self.folder))


def run(*words: str) -> int:
    """Run a command quietly and return its exit code; 127 if there is no such command."""
    try:
        return subprocess.run(words, capture_output=True).returncode
    except FileNotFoundError:
        return 127
