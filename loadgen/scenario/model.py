"""What all parts of a scenario have in common."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from loadgen.scenario import fields


class Model(BaseModel):
    """What all parts share: nothing changes once read, and no unknown key is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Command = tuple[Annotated[str, fields.argument()], ...]
"""A program and its arguments, as execve(2) takes them: no shell reads them."""
Needs = tuple[Annotated[str, fields.need()], ...]
"""What a command starts or imports: programs by name, modules of Python as python:NAME."""
Files = Mapping[Annotated[str, fields.file_name()], Annotated[str, fields.file_text()]]
"""Texts of files by name."""
