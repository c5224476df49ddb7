"""What the lab's tests share."""

from __future__ import annotations

from hypothesis import settings

# Examples take as long as the machine is busy, also where these tests run alone.
settings.register_profile("ffe", deadline=None)
settings.load_profile("ffe")
