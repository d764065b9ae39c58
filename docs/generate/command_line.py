"""The reference of the command line: what ``--help`` of each command prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from fleet_q.services.cli.commands import cli


def commands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command below one that can be called."""
    if not hasattr(command, "commands"):
        yield words
        return
    if command.invoke_without_command and words:
        yield words
    for name, below in command.commands.items():
        yield from commands(below, *words, name)


def page() -> str:
    """The page."""
    parts = [
        "# Command line",
        "What `--help` of each command prints. [Operating](../operating.md#commands) lists the"
        " commands by what they are for, with exit codes.",
    ]
    for words in commands(get_command(cli)):
        parts += [f"## fleet-q {' '.join(words)}", f"```text\n{_help(words)}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(words: tuple[str, ...]) -> str:
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80, prog_name="fleet-q")
    assert result.exit_code == 0, result.output
    return result.stdout.strip()
