"""Run a command as an ordinary user, from a test that may run as root.

    subprocess.run(as_ordinary_user([sys.executable, "-m", "pytest", ...]))

A root's interpreter often lies where no other user may look (a home directory of mode 700). So
this works in a mount namespace of its own: there, a directory that bars the way is covered by an
empty one, in which only what is needed appears again. The host is left as it is.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_NOBODY = 65534
_CLONE_NEWNS = 0x0002_0000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MAY_PASS = 0o001


def as_ordinary_user(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` without privilege; `argv` itself where the caller has none."""
    if os.geteuid() != 0:
        return list(argv)
    return [sys.executable, __file__, *argv]


def _needed() -> set[Path]:
    """The interpreter, its environment and this repository, each without symbolic links."""
    roots = (sys.base_prefix, sys.prefix, Path(__file__).parents[1])
    return {Path(root).resolve() for root in roots}


def _barred(path: Path) -> Path | None:
    """The outermost directory above `path` that an ordinary user may not pass."""
    for directory in reversed(path.parents):
        if not directory.exists():
            break
        if not directory.stat().st_mode & _MAY_PASS:
            return directory
    return None


def _open_the_way() -> None:
    barred = [path for path in _needed() if _barred(path)]
    if not barred:
        return
    os.umask(0o022)
    _call("unshare", _CLONE_NEWNS)
    _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    held = {path: os.open(path, os.O_PATH) for path in barred}
    for path, descriptor in held.items():
        while directory := _barred(path):
            _call("mount", b"tmpfs", bytes(directory), b"tmpfs", 0, b"mode=755")
        path.mkdir(parents=True, exist_ok=True)
        # By the descriptor: the path leads into the cover now.
        _call("mount", b"/proc/self/fd/%d" % descriptor, bytes(path), None, _MS_BIND | _MS_REC, None)


def _call(name: str, *arguments: int | bytes | None) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def main() -> None:
    _open_the_way()
    os.chdir(Path.cwd())  # The same path, now on this side of the covers.
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)  # Leaving uid 0 drops every capability (capabilities(7)).
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
