"""For every test: property tests have no time limit of their own, the machine may be loaded."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
