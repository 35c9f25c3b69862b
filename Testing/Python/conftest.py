"""Settings of all tests."""

import os

from hypothesis import settings

# Machines are shared and slow at times: an example that takes long is no failure. In CI the same examples each time, so
# that a change is judged by what it changes; elsewhere new ones, which is how they find something.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
