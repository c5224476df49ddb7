"""``python -m ffe_core.cli``: the command line where its script is not on the path."""

from __future__ import annotations

import sys

from ffe_core.cli import main

sys.exit(main())
