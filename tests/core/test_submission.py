"""Validation of submissions, and lossless JSON encoding."""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.errors import InvalidInput
from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.step import Submit, decide
from fleet_q.core.submission import (
    MAX_DEPTH,
    MAX_ID_LENGTH,
    MAX_PAYLOAD_BYTES,
    MAX_PRIORITY,
    MAX_RETRIES,
    check_id,
    submission,
    to_json,
)


def of(payload: object = None, **options: Any) -> Submit:
    return submission({} if payload is None else payload, step_id="step", **options)


def test_submission_has_queue_type_keys_labels_and_timeout() -> None:
    new = of(
        {"task_type": "resize"},
        queue="gpu",
        key="c7",
        unique_key="u",
        unique_for=1.5,
        labels={"b": "2", "a": "é"},
        timeout=60,
    )
    assert (new.queue, new.task_type, new.key) == ("gpu", "resize", "c7")
    assert (new.unique_key, new.unique_for) == ("u", 1_500_000)
    assert (new.labels, new.timeout) == ('{"a":"é","b":"2"}', 60_000_000)


@pytest.mark.parametrize("task_type", [None, "", 7, ["t"]])
def test_only_a_text_in_the_payload_is_a_task_type(task_type: object) -> None:
    assert of({"task_type": task_type}).task_type == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue": ""}, "queue must be a text of 1 to 200 characters"),
        ({"queue": "a,b"}, "queue must have no comma.* 'a,b'"),
        ({"queue": " gpu"}, "no blank at its ends, unlike ' gpu'"),
        ({"queue": None}, "queue must be a text"),
        ({"key": "x" * 201}, "key must be a text of 1 to 200 characters"),
        ({"key": 7}, "key must be a text"),
        ({"unique_key": ""}, "unique_key must be a text"),
        ({"unique_for": 5}, "unique_for needs a unique_key"),
        ({"unique_key": "u", "unique_for": -1}, "unique_for must be between 0 and"),
        ({"labels": ["a"]}, "labels must be an object of texts, not a list"),
        ({"labels": {"a": 1}}, "label 'a' must be a text, not a number"),
        ({"labels": {"": "1"}}, "the name of a label must be a text of 1"),
        ({"labels": {"a=b": "1"}}, "must have no '=', unlike 'a=b'"),
        ({"labels": {f"l{n}": "" for n in range(21)}}, "21 labels; the limit is 20"),
        ({"labels": {"a": "x" * 5000}}, "labels has at least 5001 bytes; the limit is 4096"),
        ({"timeout": 0}, "timeout must be more than 0 seconds"),
        ({"timeout": "1"}, "timeout must be a number of seconds, not a text"),
        ({"payload": {"task_type": "x" * 201}}, "task_type must be a text of 1 to 200"),
    ],
)
def test_invalid_queue_type_key_label_or_timeout_is_rejected(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        of(**options)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def nested(depth: int) -> object:
    value: object = []
    for level in range(depth - 1):
        value = [value] if level % 2 else {"in": value}
    return value


def submit(payload: Any = None, **options: Any) -> Submit:
    return submission({} if payload is None else payload, **{"step_id": "step", **options})


@given(json_values)
def test_any_json_value_survives_encoding(value: object) -> None:
    decoded = json.loads(to_json(value, "payload"))
    assert decoded == value
    assert repr(decoded) == repr(value)  # distinguishes 1, 1.0 and true


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_object_is_stored_unchanged_as_payload(payload: dict[str, object]) -> None:
    event = decide(None, submit(payload), 0)
    assert event is not None
    assert json.loads(bytes(event.fact.payload)) == payload  # type: ignore[union-attr]


def test_json_text_is_compact_and_not_escaped_to_ascii() -> None:
    assert to_json({"ä": [1, None]}, "payload") == '{"ä":[1,null]}'


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        "\ud800",
        {"\udfff": 1},
        b"bytes",
        {1, 2},
        pytest.param(object(), id="an object"),
        datetime(2024, 1, 1),
        Decimal(1),
        1j,
        {1: "a key that is no text"},
        {None: 1},
        {True: 1},
        {1.5: 1},
        {(1, 2): 1},
        pytest.param(10**5000, id="a number too long to print"),
    ],
    ids=repr,
)
def test_value_that_json_cannot_represent_is_rejected(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^payload "):
        to_json([value], "payload")


def test_value_that_contains_itself_is_rejected() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidInput):
        to_json(loop, "payload")


def test_nesting_is_limited_to_max_depth() -> None:
    assert json.loads(to_json(nested(MAX_DEPTH), "payload")) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(InvalidInput, match=f"nested more than {MAX_DEPTH} levels deep"):
            to_json(nested(depth), "payload")


def test_many_adjacent_values_do_not_count_as_nesting() -> None:
    wide: list[object] = [{}] * (MAX_DEPTH * 2)
    assert json.loads(to_json(wide, "payload")) == wide


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_of_allowed_length_is_a_valid_id(text: str) -> None:
    assert check_id(text[:MAX_ID_LENGTH], "step_id") == text[:MAX_ID_LENGTH]


@pytest.mark.parametrize(
    "bad", ["", "a\0b", "x" * (MAX_ID_LENGTH + 1), "\ud800", None, 7, b"id"], ids=repr
)
def test_invalid_id_is_rejected(bad: object) -> None:
    with pytest.raises(InvalidInput, match="step_id"):
        check_id(bad, "step_id")
    with pytest.raises(InvalidInput, match="step_id"):
        submit(step_id=bad)


def test_id_of_maximum_length_is_valid() -> None:
    assert check_id("x" * MAX_ID_LENGTH, "step_id") == "x" * MAX_ID_LENGTH


@pytest.mark.parametrize("payload", [[], "text", 1, True, b"", {1}], ids=repr)
def test_payload_that_is_no_object_is_rejected(payload: object) -> None:
    with pytest.raises(InvalidInput, match="payload must be a JSON object, not a"):
        submit(payload)


def test_payload_limit_counts_bytes() -> None:
    payload = {"a": "ä"}  # ten bytes of JSON, nine characters
    assert submit(payload, max_payload_bytes=10).payload == '{"a":"ä"}'
    with pytest.raises(InvalidInput, match="payload has 10 bytes; the limit is 9"):
        submit(payload, max_payload_bytes=9)


def test_default_payload_limit_is_one_mebibyte() -> None:
    fits = {"a": "x" * (MAX_PAYLOAD_BYTES - len('{"a":""}'))}
    assert len(submit(fits).payload) == MAX_PAYLOAD_BYTES == 1024**2
    with pytest.raises(InvalidInput, match="bytes"):
        submit({"a": fits["a"] + "x"})


@pytest.mark.parametrize(
    ("option", "least", "most"),
    [
        ("priority", -MAX_PRIORITY, MAX_PRIORITY),
        ("max_retries", 0, MAX_RETRIES),
        ("delay", 0, MAX_SECONDS),
    ],
)
def test_bounds_of_numbers_are_inclusive(option: str, least: int, most: int) -> None:
    for valid in (least, most):
        submit(**{option: valid})
    for bad in (least - 1, most + 1):
        with pytest.raises(InvalidInput, match=f"{option} must be between"):
            submit(**{option: bad})


@pytest.mark.parametrize("option", ["priority", "max_retries", "delay"])
@pytest.mark.parametrize("bad", ["1", None, True, [1], Decimal(1), math.nan, math.inf], ids=repr)
def test_value_that_is_no_number_is_rejected(option: str, bad: object) -> None:
    with pytest.raises(InvalidInput, match=option):
        submit(**{option: bad})


@pytest.mark.parametrize("option", ["priority", "max_retries"])
def test_fractional_priority_or_retry_count_is_rejected(option: str) -> None:
    with pytest.raises(InvalidInput, match=f"{option} must be a whole number"):
        submit(**{option: 1.5})


def test_submission_contains_all_given_options() -> None:
    command = submit({"a": 1}, priority=2, max_retries=0, delay=0.25)
    assert command == Submit("step", '{"a":1}', 2, 0, 250_000)


def test_omitted_options_have_their_defaults() -> None:
    assert submission({}, step_id="step") == Submit(
        "step", "{}", priority=0, max_retries=3, delay=0
    )


@pytest.mark.parametrize(
    "value", ["x" * 99, {"a": "x" * 96}, ["x" * 99], {"a": ["x" * 95]}, [0] * 60, {"é" * 60: 1}]
)
def test_json_above_the_byte_limit_is_rejected(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"has (at least )?1[0-9]+ bytes; the limit is 100"):
        to_json(value, "the result", 100)


def test_value_with_exponential_json_is_rejected_before_it_is_encoded() -> None:
    value: list[Any] = ["x"]
    for _ in range(100):
        value = [value, value]
    with pytest.raises(InvalidInput, match=r"the result has at least 10[0-9]+ bytes"):
        to_json(value, "the result", 1_000_000)
