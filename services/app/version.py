"""The version of FLEET-Q."""

from __future__ import annotations


def installed_version() -> str:
    """Return the version of the installed distribution."""
    from importlib import metadata  # slow to import, and few commands need it

    try:
        return metadata.version("fleet-q")
    except metadata.PackageNotFoundError:  # it runs from the source tree
        return "not installed"
