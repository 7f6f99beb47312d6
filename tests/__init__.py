"""Tests. Of what Hypothesis makes up, none is judged by how long it took: others use the machine, too."""

from hypothesis import settings

settings.register_profile("calm", settings(), deadline=None)
settings.load_profile("calm")
