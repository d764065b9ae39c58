"""Texts that end a line, or that a terminal acts on."""

from __future__ import annotations

from typing import Final

SEPARATORS: Final = (
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
)
HOSTILE: Final = (
    *SEPARATORS,
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x7f",
    "\0",
    "\b\b\b",
    "\u202egnp.exe",
    "\u2066x",
    "\udcff",
    "\n2026-01-01 00:00:00.000 - pod - ERROR - forged pod=other",
)


def is_harmless(text: str, but: str = "") -> bool:
    """Whether it is one line, and no terminal acts on any of its characters but ``but``."""
    return all(char.isprintable() or char in but or char == " " for char in text)
