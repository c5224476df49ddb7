"""What ffe's plugin host finds: the lab's settings. Its commands come by entry points of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from pydantic import BaseModel


@hookimpl
def ffe_settings() -> type[BaseModel]:
    from ffe_lab.settings import LabSettings

    return LabSettings
