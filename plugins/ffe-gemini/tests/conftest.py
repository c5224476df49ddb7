"""What the tests share: a stand-in for the Gemini API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ffe_gemini.standin import GeminiStandIn


@pytest.fixture
def server() -> Iterator[GeminiStandIn]:
    with GeminiStandIn() as standing:
        yield standing
