"""What documents and docstrings refer to exists."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs import DOCS, DOCUMENTS, EXAMPLES, ROOT, text_of

FOLDERS: Final = "core|sql|adapters|services|tests|docs|examples|deploy"
DEVELOPERS: Final = [DOCS / name for name in ("architecture.md", "contributing.md")]
"""The documents that name files and functions."""

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FILE: Final = re.compile(rf"(?:{FOLDERS})(?:/[\w.-]+)*/?")
_NAME: Final = re.compile(rf"(?:{FOLDERS})(?:\.\w+)+")
_ROLE: Final = re.compile(r":[a-z]+:`~?((?:fleet_q|tests)\.[\w.]+)`")
_MADE_UP: Final = "note"
"""The column that a recipe adds."""


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def missing(code: str) -> str | None:
    """Why a file or name in backquotes is not there; ``None`` if it is, or if it is neither."""
    if _MADE_UP in code:
        return None
    if _FILE.fullmatch(code) and "/" in code:
        return None if (ROOT / code).exists() else "no such file"
    if _NAME.fullmatch(code):
        return None if is_importable(code) else "no such name"
    return None


def is_importable(name: str) -> bool:
    """Whether ``name`` is a module, or something in one: ``core.step.decide``."""
    package = name if name.startswith(("tests.", "fleet_q.")) else f"fleet_q.{name}"
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        try:
            reduce(getattr, parts[length:], found)
        except AttributeError:
            return False
        return True
    return False


def references(document: Path) -> Iterator[str]:
    for code in _CODE.findall(text_of(document)):
        if (why := missing(code)) is not None:
            yield f"{code}: {why}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    broken = []
    for link in _LINK.findall(text_of(document)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(text_of(target))):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("document", DEVELOPERS, ids=name_of)
def test_files_and_functions_that_a_document_names_exist(document: Path) -> None:
    assert list(references(document)) == []


@pytest.mark.parametrize("folder", ["core", "sql", "adapters", "services", "tests"])
def test_names_that_a_docstring_refers_to_exist(folder: str) -> None:
    assert not [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in _ROLE.findall(text_of(path))
        if not is_importable(name)
    ]


def test_a_name_or_file_that_does_not_exist_is_noticed() -> None:
    assert missing("core.step.decide") is None
    assert missing("core/step.py") is None
    assert missing("core.step.decided") == "no such name"
    assert missing("core.stepp.decide") == "no such name"
    assert not is_importable("fleet_q.core.step.Stepp")
    assert missing("core/stepp.py") == "no such file"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_document_can_be_reached_from_the_readme(document: Path) -> None:
    readme, examples = ROOT / "README.md", ROOT / "examples" / "README.md"
    index = examples if document in EXAMPLES else readme
    links = {
        (index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(text_of(index))
    }
    assert document == readme or document in links
