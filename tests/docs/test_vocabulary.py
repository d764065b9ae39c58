"""Names that were replaced by the field's standard terms are used nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.docs import DOCUMENTS, ROOT, text_of

FOLDERS: Final = ("core", "sql", "adapters", "services", "tests")

RETIRED_NAMES: Final = {
    "Turn": "SyncRequest",
    "Answer": "SyncResult",
    "Manners": "StoreTraits",
    "manners": "traits",
    "watch_interval": "poll_interval",
    "if_due": "only_if_claimable",
    "bell": "change_counter",
    "rung": "changed",
    "Pace": "ClaimPacing",
    "is_telling": "is_representative",
    "gathering": "lingering",
    "claim_ahead": "prefetch",
    "Quiet": "IdleTracker",
    "disturbed": "on_work",
    "listens": "schedule_poll",
    "Beat": "SendHeartbeat",
    "Presence": "PodCommand",
    "presence": "pod_command",
    "DeadLetterTable": "RecoveryQueue",
    "Abandoned": "LockReaper",
    "Seen": "SyncSnapshot",
    "LetterPage": "StepPage",
    "EndedPage": "FinalStepPage",
    "Agenda": "VirtualClock, or Schedule",
    "agenda": "schedule",
    "Strike": "TransactionFault",
    "Away": "StoreOutage",
    "Double": "DuplicatePod",
    "Ledger": "RecordingDatabase",
    "Watch": "LivenessChecks",
    "take_turn": "sync",
    "letters": "orphans, or dead_letters",
}
"""Names that no class, function, attribute, argument or variable has, with their replacements."""

RETIRED_FILES: Final = {
    "oldest.sql",
    "late.sql",
    "whose.sql",
    "take_turns.sql",
    "take_a_picture.sql",
    "histories.sql",
    "events_of.sql",
    "turn.sql",
    "after_turn.sql",
    "draw.py",
    "picture.py",
    "agenda.py",
    "ledger.py",
    "manners.py",
}
"""Names that no file has."""

RETIRED_WORDS: Final = {
    r"giv(en|es?|ing) back": "released, recovered or requeued",
    r"called off": "cancelled",
    r"noted down": "recorded",
    r"ended for good": "final",
    r"turned away": "rejected",
    r"crowded": "contended",
    r"loops? do not turn": "the pod is not running",
    r"it is not said": "name what is not configured",
    r"this pod's any more": "claim lost",
    r"claim(s|ing)? ahead": "prefetch",
    r"(a|the|one|each|every|its|this|next|whole) turns?": "sync",
    r"mend(s|ed|ing)?": "fix",
    r"(is|are) dear": "slow or billed",
    r"manners": "traits",
    r"presence": "pod command",
    r"bells?": "change counter",
    r"(took|takes?) a picture": "snapshot",
    r"is seen to": "name who does it",
    r"lest": "so that ... not",
    r"(made|makes?|making) up for": "repeated or completed",
    r"none of ours": "another program's",
    r"nobody's business": "not changed",
    r"let be": "not changed",
    r"looked through": "scanned",
    r"without a word": "crashed",
    r"behind the \w+'s back": "without an event",
    r"the young": "name what is too young",
}
"""Words that no comment, docstring, message, statement or document has, with their replacements."""

_ANY_RETIRED_WORD: Final = re.compile(rf"\b({'|'.join(RETIRED_WORDS)})\b", re.IGNORECASE)

RETIRED_BEGINNING: Final = re.compile(
    r"test_(its?|they|what(ever)?|who(ever|se)?|where|so|nor|one_that|all_is)_"
)
"""Beginnings of a test's name that leave its subject to the file or to the test before it."""

_RETIRED_SETTINGS: Final = re.compile(r"--manners|FLEET_Q_CLAIM_AHEAD")


EARLIER_VERSION: Final = ROOT / "tests" / "adapters" / "stores" / "make_version_1.py"
"""A program for the code of an earlier version, which has the names of that version."""


def sources(folder: str) -> list[Path]:
    return [
        path
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path not in (EARLIER_VERSION, Path(__file__))
    ]


@cache
def identifiers(source: str) -> list[tuple[int, str]]:
    """Every name that a module defines or uses, with its line."""
    return list(_identifiers(source))


def _identifiers(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.Name():
                yield node.lineno, node.id
            case ast.Attribute():
                yield node.lineno, node.attr
            case ast.arg():
                yield node.lineno, node.arg
            case ast.keyword(arg=str(argument)):
                yield node.value.lineno, argument


def retired_names(source: str) -> list[str]:
    """The retired names in a module, each with its line and the name to use instead."""
    return [
        f"line {line}: {name}, now {RETIRED_NAMES[name]}"
        for line, name in identifiers(source)
        if name in RETIRED_NAMES
    ]


def retired_words(text: str) -> list[str]:
    """The retired words in a text, also where they are broken over lines of a comment."""
    joined = re.sub(r"\s*\n\s*(#|--|:)?\s*", " ", text)
    if not _ANY_RETIRED_WORD.search(joined):
        return []
    return [
        f"{match[0]}, now {replacement}"
        for word, replacement in RETIRED_WORDS.items()
        for match in re.finditer(rf"\b{word}\b", joined, re.IGNORECASE)
    ]


def badly_named_tests(source: str) -> list[str]:
    """The names of tests in a module that have retired words or do not begin with a subject."""
    return [
        name
        for _, name in identifiers(source)
        if name.startswith("test_")
        if RETIRED_BEGINNING.match(name) or retired_words(name.replace("_", " "))
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_uses_no_retired_name(folder: str) -> None:
    assert not [
        f"{path.relative_to(ROOT)}, {name}"
        for path in sources(folder)
        for name in retired_names(path.read_text(encoding="utf-8"))
    ]


def test_name_of_every_test_has_a_subject_and_no_retired_word() -> None:
    assert not [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("tests")
        for name in badly_named_tests(path.read_text(encoding="utf-8"))
    ]


def test_no_file_has_a_retired_name() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    assert not [str(path.relative_to(ROOT)) for path in files if path.name in RETIRED_FILES]


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_and_statements_use_no_retired_word(folder: str) -> None:
    statements = [
        path for path in (ROOT / folder).rglob("*.sql") if path.parent != EARLIER_VERSION.parent
    ]
    assert not [
        f"{path.relative_to(ROOT)}: {word}"
        for path in [*sources(folder), *sorted(statements)]
        for word in retired_words(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_uses_no_retired_word(document: Path) -> None:
    assert not retired_words(text_of(document))


def test_no_document_names_a_retired_option_or_setting() -> None:
    files = [*DOCUMENTS, *(path for folder in FOLDERS for path in sources(folder))]
    assert not [
        str(path.relative_to(ROOT))
        for path in files
        if _RETIRED_SETTINGS.search(path.read_text(encoding="utf-8"))
    ]


def test_retired_name_is_noticed_wherever_it_is_used() -> None:
    source = "class Turn: ...\n\ndef disturbed(bell): return self.presence, f(if_due=True)\n"
    names = [report.split()[2].rstrip(",") for report in retired_names(source)]
    assert sorted(names) == ["Turn", "bell", "disturbed", "if_due", "presence"]


def test_name_of_a_test_without_a_subject_or_with_a_retired_word_is_noticed() -> None:
    names = ["test_what_passes_is_counted", "test_look_at_the_bell", "test_whatsoever"]
    source = "".join(f"def {name}(): ...\n" for name in names)
    assert badly_named_tests(source) == names[:2]


def test_retired_word_is_noticed_across_lines() -> None:
    assert retired_words("-- steps that are given\n-- back") == [
        "given back, now released, recovered or requeued"
    ]
    assert retired_words("recommended, amended, a turning point") == []
