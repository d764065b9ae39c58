"""Every text and JSON value of a user is stored and returned unchanged."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_q.core.ports import Store
from fleet_q.core.step import Complete, Fail, Submit
from fleet_q.core.submission import MAX_ID_LENGTH, submission
from tests.submitted import are_new

from .helpers import acknowledge, claim, facts, ids, join, known, submit
from .stores import StoreKind

UNUSUAL_TEXTS = [
    "'",
    '"',
    'it\'s "quoted" `twice`',
    "'; DROP TABLE step_tracker; --",
    "' OR '1'='1",
    "%",
    "_",
    "\\",
    "\\n",
    "?1",
    ":now",
    "{}",
    "[]",
    "null",
    "0",
    "-1e9",
    " ",
    " padded ",
    "\n\r\t",
    "\x01\x7f\u2028",
    "😀👩‍👩‍👧‍👦",
    "e\u0301",
    "\u00e9",
    "\ufeffmark",
    "שלום ‮ reversed",
    "\U0010ffff",
    "x" * MAX_ID_LENGTH,
    "😀" * MAX_ID_LENGTH,
]
unusual_texts = pytest.mark.parametrize("text", UNUSUAL_TEXTS, ids=ascii)

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@unusual_texts
def test_any_text_can_be_an_id(store: Store, text: str) -> None:
    join(store, text, text)
    submit(store, "another", text)

    assert are_new(store.submit([Submit(text, "{}")], text)) == [False]
    assert claim(store, 9, text, text, text) == sorted(["another", text])
    acknowledge(store, Fail(text, text, text, text, permanent=True), pod_id=text)
    step = known(store, text)
    assert (step.step_id, step.claimed_by, step.incarnation, step.claim_token) == (text,) * 4
    assert (step.status, step.error, step.traceback) == ("failed", text, text)
    assert store.dead_letters(9).steps == (step,)
    assert facts(store, text) == ["submitted", "claimed", "failed"]
    assert store.cancel("another").status == "cancelled"
    assert ids(store.replay([text])) == [text]


def test_steps_with_unusual_ids_are_completed_together(store: Store) -> None:
    join(store)
    submit(store, *UNUSUAL_TEXTS)
    claim(store, len(UNUSUAL_TEXTS), token="'")
    results = {text: json.dumps([text]) for text in UNUSUAL_TEXTS}

    result = acknowledge(store, *(Complete(text, "'", results[text]) for text in UNUSUAL_TEXTS))

    assert result.refused == ()
    assert {text: known(store, text).result for text in UNUSUAL_TEXTS} == results
    assert store.rebuild(check=True).equal


@unusual_texts
def test_orphans_with_unusual_ids_are_found(store: Store, text: str) -> None:
    join(store, text, text)
    submit(store, text)
    claim(store, 1, text, text, text)
    join(store, text, "another")

    assert ids(store.orphans("", 9)) == [text]
    assert store.orphans(text, 9) == []


def test_ids_that_only_look_alike_are_different(store: Store) -> None:
    similar = ["e\u0301", "\u00e9", "E", "e", "e ", " e", "É"]

    assert (
        are_new(store.submit([Submit(text, json.dumps({"id": text})) for text in similar]))
        == [True] * 7
    )

    assert [json.loads(known(store, text).payload)["id"] for text in similar] == similar


def test_any_json_survives(kind: StoreKind, store: Store) -> None:
    join(store)
    numbers = count()

    @settings(max_examples=kind.examples)
    @given(st.dictionaries(text, json_values, max_size=4), json_values)
    def survives(payload: dict[str, object], result: object) -> None:
        step_id = f"step {next(numbers)}"
        assert are_new(store.submit([submission(payload, step_id=step_id)])) == [True]
        assert are_new(store.submit([submission(payload, step_id=step_id)])) == [False]
        assert claim(store, token=step_id) == [step_id]
        acknowledge(store, Complete(step_id, step_id, json.dumps(result)))

        step = known(store, step_id)
        assert repr(json.loads(step.payload)) == repr(payload)
        assert step.result is not None
        assert repr(json.loads(step.result)) == repr(result)

    survives()


def test_any_text_survives(kind: StoreKind, store: Store) -> None:
    join(store)
    numbers = count()

    @settings(max_examples=kind.examples)
    @given(text, text)
    def survives(error: str, traceback: str) -> None:
        step_id = f"step {next(numbers)}"
        submit(store, step_id)
        claim(store, token=step_id)
        acknowledge(store, Fail(step_id, step_id, error, traceback, permanent=True))

        step = known(store, step_id)
        assert (step.error, step.traceback) == (error, traceback)

    survives()


@pytest.mark.parametrize("payload", [' {"a": 1} ', '{"a":\n1}\n', '{"a":1,"a":2}'])
def test_log_keeps_the_exact_text_of_a_payload(store: Store, payload: str) -> None:
    """Otherwise the tables would differ from the log."""
    store.submit([Submit("step", payload)])

    assert store.rebuild(check=True).equal


def test_a_large_payload_survives(store: Store) -> None:
    large = submission({"text": "é" * 500_000}, step_id="step")

    store.submit([large])

    assert known(store, "step").payload == large.payload
