"""What ffe's plugin host finds: the lab's settings. Its commands come by entry points of their own."""

from __future__ import annotations

from pydantic import BaseModel

from ffe_core import hookimpl
from ffe_lab.settings import LabSettings


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return LabSettings
