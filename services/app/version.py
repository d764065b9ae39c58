"""Which FLEET-Q this is."""

from __future__ import annotations


def installed_version() -> str:
    """The version of the installed distribution."""
    from importlib import metadata  # which takes longer to import than most commands have use for

    try:
        return metadata.version("fleet-q")
    except metadata.PackageNotFoundError:  # run from the source tree
        return "not installed"
