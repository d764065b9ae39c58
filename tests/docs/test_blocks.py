"""What stands in the code blocks of the documents exists: names, commands, options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.main import get_command

from fleet_q import FleetQ
from fleet_q.services.cli.commands import cli
from tests.docs import DOCUMENTS, ROOT, text_of

_BLOCK: Final = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND: Final = re.compile(r"^(?:\$ |pip install \. && )?(fleet-q .*)$", re.MULTILINE)
_OTHERS: Final = ("# Celery", "# Airflow")
"""The first lines of programs for other queues."""


def blocks(document: Path, *languages: str) -> list[str]:
    return [
        re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        for indent, language, text in _BLOCK.findall(text_of(document))
        if language in languages and not text.startswith(_OTHERS)
    ]


def python_blocks() -> Iterator[tuple[Path, ast.Module]]:
    for document in DOCUMENTS:
        for text in blocks(document, "python"):
            source = re.sub(r"^\.\.\.$", "pass", text, flags=re.MULTILINE)
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            tree = compile(source, str(document.relative_to(ROOT)), "exec", flags)
            assert isinstance(tree, ast.Module)
            yield document, tree


def test_names_that_programs_import_exist() -> None:
    imported = [
        (node.module, name.name)
        for _, tree in python_blocks()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleet_q")
        for name in node.names
    ]
    assert len(imported) > 20
    assert not [name for name in imported if not hasattr(import_module(name[0] or ""), name[1])]


def test_methods_of_the_app_that_programs_call_exist() -> None:
    app = FleetQ("memory://")
    called = {
        node.attr
        for _, tree in python_blocks()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "app"
        and node.attr != "conf"
    }
    assert "task" in called
    assert not [name for name in called if not hasattr(app, name)]


def shell_commands() -> list[tuple[str, list[str]]]:
    """The commands of all documents: the document, and the words after ``fleet-q``."""
    return [
        (str(document.relative_to(ROOT)), shlex.split(line, comments=True)[1:])
        for document in DOCUMENTS
        for text in blocks(document, "sh", "console")
        for line in _COMMAND.findall(re.sub(r"\\\n\s*", "", text))
    ]


def parse(words: list[str]) -> None:
    """Parse the words as the command line does, without running the command."""
    command: Any = get_command(cli)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("fleet-q", words)


@pytest.mark.parametrize(("document", "words"), shell_commands(), ids=str)
def test_command_of_a_document_is_one_of_the_command_line(document: str, words: list[str]) -> None:
    end = next((i for i, word in enumerate(words) if re.fullmatch("2?[|&<>;]+", word)), None)
    parse(words[:end])


@pytest.mark.parametrize("line", ["submot x", "wait", "dlq replay --none x", "wait x --timeout y"])
def test_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises((KeyError, *usage_errors())):
        parse(line.split())


def usage_errors() -> tuple[type[Exception], ...]:
    """The errors of the library that reads the command line, which may be a copy of Click."""
    return tuple(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
