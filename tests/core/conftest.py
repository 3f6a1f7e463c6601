"""Hypothesis without deadlines: the test machine is busy, so the duration of an example means nothing."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
