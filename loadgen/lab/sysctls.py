"""The sysctls of a lab's namespaces: which are set, and which are reported.

Only `net.*` belongs to a network namespace. Names are dotted, as people write them. Reading and
writing goes to the namespace of the calling thread.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadgen.lab.errors import LabUnavailable, Part, SysctlRefused
from loadgen.lab.spec import LabSpec

PORT_RANGE = "net.ipv4.ip_local_port_range"
"""The ephemeral ports; IPv6 uses them too."""

CHILD_HASH = "net.ipv4.tcp_child_ehash_entries"
CHILD_HASH_ENTRIES = "65536"
"""TCP hash buckets of a lab's namespaces: the host's own are shared, and slow to walk (K22)."""

HASH = "net.ipv4.tcp_ehash_entries"
"""The buckets of a namespace's own hash; not above 0 if it uses the host's."""

HOST_LIMITS = ("net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_max_syn_backlog")
"""Limits that are lower in a namespace with a hash of its own: set back to the host's values (K22)."""

SOMAXCONN = "net.core.somaxconn"
"""The largest backlog that listen() allows, larger ones are reduced silently (net/socket.c); 4096 in a new
namespace."""

REPORTED = (
    PORT_RANGE,
    HASH,
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_max_syn_backlog",
    SOMAXCONN,
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_rfc1337",
)
"""The sysctls that results depend on."""

_NAME = re.compile(r"net(\.[A-Za-z0-9_-]+)+")


@dataclass(frozen=True, slots=True)
class Setting:
    """A sysctl that a scenario asks for on a node."""

    node: str
    key: str
    value: str

    def refused(self, answer: str) -> SysctlRefused:
        return SysctlRefused(self.node, self.key, self.value, answer)


def settings(spec: LabSpec) -> list[Setting]:
    """The sysctls that the spec asks for, the port ranges left out.

    Raises SysctlRefused for what no such lab can set.
    """
    asked = [Setting(node.name, key, value) for node in spec.nodes for key, value in node.sysctls.items()]
    written_as_ports = {node.name for node in spec.nodes if node.ports is not None}
    for setting in asked:
        if not spec.private:
            raise setting.refused("the host's sysctls are left alone")
        if not _NAME.fullmatch(setting.key):
            raise setting.refused("only net.* sysctls belong to a lab")
        if setting.key == PORT_RANGE and setting.node in written_as_ports:
            raise setting.refused("the client's port range is written as `ports`")
    return asked


def read(key: str) -> str | None:
    """The value in force, white space made single; None if the namespace has no such sysctl (K26)."""
    try:
        return " ".join(_path(key).read_text().split())
    except FileNotFoundError:
        return None


def exists(key: str) -> bool:
    """Whether the namespace has such a sysctl. Some cannot be read, such as net.ipv4.route.flush."""
    return _path(key).exists()


def read_all(keys: Iterable[str]) -> dict[str, str]:
    """The values in force, absent ones left out."""
    return {key: value for key in keys if (value := read(key)) is not None}


def set_asked(setting: Setting) -> None:
    """Set a sysctl of the scenario. Raises SysctlRefused with the kernel's answer."""
    try:
        _write(setting.key, setting.value)
    except FileNotFoundError as error:
        raise setting.refused("this kernel has no such sysctl in a network namespace") from error
    except OSError as error:
        raise setting.refused(error.strerror or str(error)) from error


def set_needed(key: str, value: str) -> None:
    """Set what churn itself needs, if the namespace has such a sysctl. Raises LabUnavailable."""
    try:
        _write(key, value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LabUnavailable(
            Part.SYSCTLS,
            f"{key} cannot be set to {value!r} in the lab: {error.strerror}",
            "make /proc/sys writable (in a container: --security-opt systempaths=unconfined)",
        ) from error


def raise_needed(key: str, least: int) -> None:
    """Raise a number to what churn itself needs, if it is lower. Raises LabUnavailable."""
    value = read(key)
    if value is not None and int(value) < least:
        set_needed(key, str(least))


def _path(key: str) -> Path:
    return Path("/proc/sys") / key.replace(".", "/")


def _write(key: str, value: str) -> None:
    # Unbuffered, so that the kernel's answer comes from write and not from close; no file is created.
    with open(_path(key), "r+b", buffering=0) as file:
        file.write(value.encode())
