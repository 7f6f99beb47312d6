"""What the gallery says beside the verdict on a claim, from `gallery.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from msgspec import Struct

from loadgen.wire.codec import convert


class Opening(Struct, frozen=True, forbid_unknown_fields=True):
    """The beginning of a theme's part."""

    title: str
    opening: str


class Advice(Struct, frozen=True, forbid_unknown_fields=True):
    """What the kernel does, and what to do about it; with a picture and its caption, or without.

    `measured` is false if the claim is about systems that churn does not run on.
    `figure` is a file in docs/, or SCENARIO/FIGURE: a figure of a run of that scenario.
    """

    why: str
    remedy: str
    figure: str = ""
    caption: str = ""
    measured: bool = True


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them: the page's opening, those of the themes, and the advice by claim."""

    opening: str
    themes: Mapping[str, Opening]
    claims: Mapping[str, Advice]


@cache
def texts() -> Texts:
    """The texts of the file."""
    text = (files("loadgen.scenario") / "gallery.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), Texts)
