"""The command line: click, one command a file. Only here is anything printed, and only here churn exits."""

from loadgen.cli.main import main

__all__ = ["main"]
