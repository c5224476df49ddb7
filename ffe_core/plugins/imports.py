"""Importing an enabled plugin, by stevedore. A module of its own, because most runs need no stevedore."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from stevedore.named import NamedExtensionManager

from ffe_core.plugins.installed import GROUP, Installed


class _FreshExtensions(NamedExtensionManager[object]):
    """Loads from the metadata just read.

    Stevedore's own list comes from a cache on disk that can be two minutes behind, keeps no distribution, and loads
    both of two entry points with one name, whose conflict resolvers then ask a module for its ``__qualname__``.
    """

    def __init__(self, plugin: Installed) -> None:
        self._plugin = plugin
        self.failures: list[BaseException] = []
        super().__init__(
            GROUP,
            names=[plugin.name],
            name_order=True,
            on_load_failure_callback=lambda _extensions, _entry_point, error: self.failures.append(error),
            on_missing_entrypoints_callback=None,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._plugin.entry_point]


def import_plugin(plugin: Installed) -> object:
    """The module or object that the entry point names.

    Raises what its import raised; stevedore lets ``AssertionError`` and ``SystemExit`` past its callback, so that the
    caller guards this call.
    """
    extensions = _FreshExtensions(plugin)
    if extensions.failures:
        raise extensions.failures[0]
    (extension,) = extensions.extensions
    return extension.plugin
