"""For all tests: hypothesis gives no test a time limit, and every run tries the same cases."""

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
