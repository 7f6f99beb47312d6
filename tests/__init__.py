"""Tests. Of what Hypothesis makes up, none is judged by how long it took: others use the machine, too.

Processes that tests start keep their bytecode, as a user's do: without it each compiles all of churn again,
which is half of the CPU time of a small run.
"""

import os
import sys

from hypothesis import settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
settings.register_profile("calm", settings(), deadline=None)
settings.load_profile("calm")
