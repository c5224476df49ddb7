"""The marks of pluggy for hooks and their implementations; apart, so that importing a plugin costs next to nothing."""

from __future__ import annotations

import pluggy

PROJECT = "ffe"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
