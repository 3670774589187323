"""Modalities of installed packages, each by an entry point of the group `cloze.modalities` that names a descriptor."""

from importlib.metadata import EntryPoint, entry_points

GROUP = "cloze.modalities"


def find_plugins() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def register_methods() -> None:
    """Makes the methods of installed modalities known to a process that has no other use for the registry.

    The registry takes 50 MB of memory, which a worker without such packages saves.
    """
    if find_plugins():
        import app.modalities.registry  # noqa: F401
