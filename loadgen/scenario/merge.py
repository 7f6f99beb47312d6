"""Merging of nodes: each setting of a variant keeps the place where it was written.

From weakest to strongest: the top level, a variant, a cell of the matrix, `quick`, `--set`.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from loadgen.scenario.lab import LabClient
from loadgen.text.nodes import Entry, Mapping, Node, Scalar, Sequence, find
from loadgen.text.problem import Mark, Problem, ScenarioError, did_you_mean, quote
from loadgen.text.units import Duration, PortRange, UnitError
from loadgen.text.yaml import compose

QUICK_PORTS = 12_000
"""Ports left by --quick if a scenario has no `quick` of its own: they run out in seconds (K7, K8)."""
QUICK_DURATION = Duration.parse("6s")

_T = TypeVar("_T")

# Naming one loop replaces the inherited one: a load has exactly one. Stages replace what they stand for.
_REPLACED_BY = {
    "open_loop": ("closed_loop",),
    "closed_loop": ("open_loop", "stages"),
    "duration": ("stages",),
}


def overlay(base: Mapping, over: Mapping) -> Mapping:
    """`over` merged over `base`, in its place: mappings merge, scalars and sequences replace."""
    entries = {
        key: entry
        for key, entry in base.entries.items()
        if key in over.entries or not any(other in over.entries for other in _REPLACED_BY.get(key, ()))
    }
    for key, entry in over.entries.items():
        below = base.get(key)
        if isinstance(below, Mapping) and isinstance(entry.value, Mapping):
            entry = Entry(entry.key, overlay(below, entry.value))
        elif isinstance(below, Sequence) and isinstance(entry.value, Mapping):
            entry = Entry(entry.key, _placed(below, entry.value))
        entries[key] = entry
    return Mapping(base.mark, entries)


def _placed(below: Sequence, over: Mapping) -> Sequence | Mapping:
    """A list with what `over` sets at places in it, as `load.stages.0.rate` does.

    What names a place that the list lacks, or none, replaces the list, and is refused by validation.
    """
    items = list(below.items)
    for key, entry in over.entries.items():
        if not (key.isdecimal() and int(key) < len(items)):
            return over
        item, value = items[int(key)], entry.value
        if isinstance(item, Mapping) and isinstance(value, Mapping):
            value = overlay(item, value)
        items[int(key)] = value
    return Sequence(below.mark, tuple(items))


def part(mapping: Mapping, keys: Iterable[str]) -> Mapping:
    """The entries of a mapping under `keys`, in its own order."""
    wanted = frozenset(keys)
    return Mapping(mapping.mark, {key: entry for key, entry in mapping.entries.items() if key in wanted})


def split_path(path: str) -> tuple[str, ...]:
    """The keys of a dotted path. A sysctl's name, dotted itself, is one key: lab.sysctl.client.net.ipv4.x."""
    keys = path.split(".")
    if keys[:2] == ["lab", "sysctl"] and len(keys) > 3:
        keys[3:] = [".".join(keys[3:])]
    if keys[:1] == ["script"] and keys[2:3] == ["sysctl"] and len(keys) > 4:
        keys[3:] = [".".join(keys[3:])]
    return tuple(keys)


def at_path(path: str, mark: Mark, value: Node) -> Mapping:
    """The mappings that hold nothing but `value` at `path`, all of them placed at `mark`."""
    node = value
    for key in reversed(split_path(path)):
        node = Mapping(mark, {key: Entry(Scalar(mark, key), node)})
    assert isinstance(node, Mapping)  # a path has at least one key
    return node


def read_override(argument: str, roots: Iterable[str]) -> Mapping:
    """The settings of one `--set a.b=value`, the value in YAML. Raises ScenarioError."""
    source = f"--set {argument}"
    mark = Mark(source)
    path, equals, text = argument.partition("=")
    path = path.strip()
    if not equals or not path:
        raise ScenarioError([Problem(mark, "", "expected a key and a value", "write --set load.duration=5s")])
    problem = path_problem(path, mark, roots)
    if problem:
        raise ScenarioError([problem])
    value = compose(text, source, positions=False) if text.strip() else Scalar(mark, "")
    return at_path(path, mark, value)


def path_problem(path: str, mark: Mark, roots: Iterable[str]) -> Problem | None:
    """What is wrong with a dotted path to a setting of variants, if anything."""
    keys = split_path(path)
    if len(keys) > 8 or not all(keys):
        return Problem(mark, "", f"{quote(path)} is not a dotted key", "write for example load.duration")
    roots = list(roots)
    root = path.partition(".")[0]
    if root not in roots:
        hint = did_you_mean(root, roots) or f"keys of variants begin with {', '.join(roots)}"
        return Problem(mark, path, "is not a setting of variants", hint)
    return None


def quick_defaults(settings: Mapping) -> Mapping:
    """What --quick changes if a scenario has no `quick`: a narrower port range and a shorter duration."""
    mark = Mark("--quick")
    quick = Mapping(mark, {})
    # A range of the sockets' own is a part of the client's, and decides.
    own = find(settings, ("lab", "client", "local_port_range")) is not None
    key = "lab.client.local_port_range" if own else "lab.client.ports"
    ports = _read(settings, key, PortRange.parse) or LabClient().ports
    if ports.count > QUICK_PORTS:
        narrowed = PortRange(ports.first, ports.first + QUICK_PORTS - 1)
        quick = overlay(quick, at_path(key, mark, Scalar(mark, str(narrowed))))
    duration = _read(settings, "load.duration", Duration.parse)
    # A script has its own times, all of them within the load; so have stages.
    timed = settings.get("script") is not None or find(settings, ("load", "stages")) is not None
    if not timed and (duration is None or duration > QUICK_DURATION):
        quick = overlay(quick, at_path("load.duration", mark, Scalar(mark, str(QUICK_DURATION))))
    return quick


def _read(settings: Mapping, path: str, parse: Callable[[str], _T]) -> _T | None:
    """The value at a path; None if there is none or it cannot be read (validation reports that)."""
    node = find(settings, split_path(path))
    if not isinstance(node, Scalar):
        return None
    try:
        return parse(node.text)
    except UnitError:
        return None
