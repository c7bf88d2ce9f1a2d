"""For all tests: hypothesis gives no test a time limit, every run tries the same cases, and disks can be small."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def small_disk() -> Callable[[Path, str], AbstractContextManager[Path]]:
    """Makes a folder a file system of its own with little room; skips where this user may not mount one."""

    @contextlib.contextmanager
    def mounted(folder: Path, size: str) -> Iterator[Path]:
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no right to mount here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    return mounted
