"""A small disk that a test fills up or makes read-only."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 48_000_000
NOBODY = 65534


class Disk:
    """A folder on a disk of its own; where nothing can be mounted, limits of the process stand in for it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.filler = folder / ".filler"
        self.mounted = not run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder))

    def fill(self, leaving: int, processes: Iterable[int] = (0,)) -> None:
        """Leave room for so many bytes; without a mount: let no file of these processes become longer than that."""
        if not self.mounted:
            for pid in processes:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (leaving, resource.RLIM_INFINITY))
            return
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - leaving)

    def free(self) -> None:
        """Give the room back."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.filler.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse every change; without a mount: by permissions, as somebody else if we are root."""
        if self.mounted:
            assert not run("mount", "-o", "remount,ro", str(self.folder))
            yield
            assert not run("mount", "-o", "remount,rw", str(self.folder))
            return
        user = os.geteuid()
        self.folder.chmod(0o555)
        if user == 0:
            os.seteuid(NOBODY)
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
