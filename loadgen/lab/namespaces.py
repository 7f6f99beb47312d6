"""Making and entering namespaces: unshare(2), setns(2), prctl(2), through the C library.

Namespaces are anonymous: held by descriptors and by the processes inside, and by nothing else (K25).
"""

import ctypes
import errno
import os
import signal
from pathlib import Path

from loadgen.lab.errors import LabUnavailable, Part

# From the kernel's include/uapi/linux/sched.h and prctl.h; Python has setns and unshare from 3.12 only.
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWPID = 0x2000_0000
_CLONE_NEWNET = 0x4000_0000
_PR_SET_PDEATHSIG = 1


def _call(name: str, *arguments: int) -> None:
    """Call a C library function that answers 0. Raises OSError otherwise."""
    # A CDLL of its own: it only refers to the C library in this process, and keeps no state here.
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def open_user() -> int:
    """A descriptor of this thread's user namespace; it keeps the namespace alive."""
    return os.open("/proc/thread-self/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def open_network() -> int:
    """A descriptor of this thread's network namespace; it keeps the namespace alive."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def is_own_user(user: int) -> bool:
    """Whether the descriptor's user namespace is the one this thread is in."""
    return os.path.samestat(os.fstat(user), Path("/proc/thread-self/ns/user").stat())


def enter_user(user: int) -> None:
    """Enter a user namespace and become its root. Only a process of one thread can (setns(2)).

    Does nothing if the process is in it already, which needs no privilege.
    """
    if not is_own_user(user):
        _call("setns", user, _CLONE_NEWUSER)


def enter_network(network: int) -> None:
    """Move the calling thread into a network namespace; its user namespace has to be entered before.

    Open /proc/thread-self/net there, for /proc/net is the thread leader's (K21). Does nothing
    if the thread is in it already, which needs no privilege.
    """
    if not os.path.samestat(os.fstat(network), Path("/proc/thread-self/ns/net").stat()):
        _call("setns", network, _CLONE_NEWNET)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the parent's thread that made it ends.

    `parent` is the parent's pid, to notice that it died before the call. Entering a namespace
    changes credentials, and that clears the request (prctl(2)): so this comes last.
    """
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def new_network() -> None:
    """Move this process into a new network namespace. Raises OSError."""
    _call("unshare", _CLONE_NEWNET)


def new_processes() -> None:
    """Put the children that this process makes from now on into a new PID namespace. Raises OSError."""
    _call("unshare", _CLONE_NEWPID)


def new_private_network() -> None:
    """Move this process into a new network namespace that it may configure.

    With CAP_SYS_ADMIN that is all. Without, a user namespace comes first, in which the caller's
    own user and group are root's, and no others exist: a command cannot change its
    user there. Raises LabUnavailable.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        try:
            new_network()
        except PermissionError:
            _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
            # The group map may be written only once setgroups is given up (user_namespaces(7)).
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise why_refused(error) from error


def why_refused(error: OSError, proc: Path = Path("/proc")) -> LabUnavailable:
    """The cause behind the kernel's refusal to make a namespace, and its remedy, as far as `proc` shows."""

    def sysctl(name: str) -> str:
        path = proc / "sys" / name.replace(".", "/")
        return path.read_text().strip() if path.exists() else ""

    def unavailable(cause: str, remedy: str) -> LabUnavailable:
        return LabUnavailable(Part.NAMESPACES, f"no network namespace can be made: {cause}", remedy)

    match error.errno:
        case errno.ENOSPC:  # K24
            limits = {name: sysctl(name) for name in ("user.max_user_namespaces", "user.max_net_namespaces")}
            found = ", ".join(f"{name} = {value}" for name, value in limits.items())
            return unavailable(
                f"the limit on their number is reached ({found})",
                f"as root: sysctl -w {' '.join(f'{name}=10000' for name in limits)}",
            )
        case errno.EUSERS:
            return unavailable("user namespaces are nested too deep", "run churn further outside")
        case errno.EINVAL | errno.ENOSYS:
            return unavailable(
                "the kernel was built without them",
                "use a kernel with CONFIG_NET_NS and CONFIG_USER_NS",
            )
        case errno.EPERM | errno.EACCES:
            pass
        case _:
            return unavailable(str(error), "run churn as root")
    if sysctl("kernel.unprivileged_userns_clone") == "0":
        return unavailable(
            "ordinary users may make no user namespace (kernel.unprivileged_userns_clone = 0)",
            "as root: sysctl -w kernel.unprivileged_userns_clone=1; or run churn as root",
        )
    if sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return unavailable(
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1)",
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; or give the interpreter"
            " an AppArmor profile that allows `userns`; or run churn as root",
        )
    status = proc / "self" / "status"
    if status.exists() and "Seccomp:\t2" in status.read_text():
        return unavailable(
            "a seccomp filter forbids it, as in a container",
            "start the container with --security-opt seccomp=unconfined, or with --cap-add SYS_ADMIN",
        )
    return unavailable("the kernel forbids it to this user", "run churn as root")
