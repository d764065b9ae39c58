"""The versions of FLEET-Q and of the applications that use it."""

from __future__ import annotations

from functools import cache

from fleet_q.services.app.origin import MAIN


def installed_version() -> str:
    """Return the version of the installed distribution."""
    return _version_of("fleet-q") or "not installed"  # it runs from the source tree


@cache
def app_version(module: str | None) -> str | None:
    """Return the version of the distribution to which the module of an app belongs; ``None`` if it
    belongs to none, is the main script, or what is installed cannot be read."""
    package = "" if module is None or module == MAIN else module.partition(".")[0]
    if package in ("", "fleet_q"):
        return None
    try:
        return _version_of(package) or _version_of_package(package)
    except Exception:  # a broken package is no reason for a pod not to start
        return None


def _version_of(distribution: str) -> str | None:
    from importlib import metadata  # slow to import, and few commands need it

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _version_of_package(package: str) -> str | None:
    """Return the version of the distribution that lists this package as its own. Those that list
    none are not searched: reading the names of all installed files takes a second."""
    from importlib import metadata

    for distribution in metadata.distributions():
        if package in (distribution.read_text("top_level.txt") or "").split():
            return distribution.version
    return None
