"""The command line: click, one command a file. Nothing else prints or exits."""

from loadgen.cli.main import main

__all__ = ["main"]
