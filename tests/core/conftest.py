"""Properties are tried on a machine that has other things to do: how long an example takes says nothing."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
