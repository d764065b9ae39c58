"""Functions of a module without an app; two of them have the same name."""

from __future__ import annotations

from collections.abc import Callable


def square(n: int) -> int:
    return n * n


def make(word: str) -> Callable[[], str]:
    def named_alike() -> str:
        return word

    return named_alike


def record_call(path: str) -> None:
    """Append a line to the file ``path``."""
    with open(path, "a") as file:
        file.write("called\n")
