"""Submitting and replaying many steps: after an error the caller knows what was stored."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import InvalidInput, StoreError
from fleet_q.core.ports import StoreTraits, SubmitResult
from fleet_q.core.step import Submit
from fleet_q.services.app import bulk
from fleet_q.services.app.bulk import submit_all
from tests.services.conftest import Command, Run

LINES = "".join(json.dumps({"n": n}) + "\n" for n in range(25))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SUBMIT_BATCH", 10)


class SmallStore(MemoryStore):
    """A store that takes 100 bytes of payloads at once. It records how many steps each submission
    has."""

    def __init__(self) -> None:
        super().__init__()
        self.submissions: list[int] = []

    @property
    def traits(self) -> StoreTraits:
        return StoreTraits(submission_size=100)

    def submit(self, steps: Sequence[Submit], pod_id: str | None = None) -> list[SubmitResult]:
        self.submissions.append(len(steps))
        return super().submit(steps, pod_id)


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a store's third call of ``submit`` raise, before or after its commit."""

    def breaking(error: BaseException, *, after: bool = False) -> None:
        submit, calls = SqliteStore.submit, []

        def once(
            self: SqliteStore, new: Sequence[Submit], pod_id: str | None = None
        ) -> list[SubmitResult]:
            calls.append(new)
            if len(calls) == 3 and not after:
                raise type(error)(*error.args)
            answer = submit(self, new, pod_id)
            if len(calls) == 3:
                raise type(error)(*error.args)
            return answer

        monkeypatch.setattr(SqliteStore, "submit", once)

    return breaking


def _stored(fleet_q: Command) -> int:
    return int(json.loads(fleet_q("queue", "--json")[1])["pending"])


FULL = StoreError("q.db: database or disk is full")


@pytest.mark.parametrize("error", [FULL, OSError("gone"), KeyboardInterrupt(), ZeroDivisionError()])
@pytest.mark.parametrize(("after", "known"), [(False, 20), (True, 25)])
def test_error_of_a_partial_submission_has_the_ids_of_the_stored_steps(
    tmp_path: Path, breaking: Callable[..., None], error: BaseException, after: bool, known: int
) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db")
    breaking(error, after=after)
    with pytest.raises(type(error)) as broken:
        app.submit_many({"n": n} for n in range(25))
    stored = vars(broken.value)["stored_ids"]
    assert app.queue()["pending"] == len(stored) == known
    assert [app.status(step_id).payload["n"] for step_id in stored] == list(range(known))
    assert broken.value.__notes__ == [
        f"{known} of 25 steps were stored; their ids are in stored_ids"
    ]


def test_invalid_payload_is_named_by_its_number_and_nothing_is_stored(app: FleetQ) -> None:
    payloads: list[Any] = [{}, [], {}]
    with pytest.raises(InvalidInput, match=r"payloads\[1\]: payload must be a JSON object") as no:
        app.submit_many(payloads)
    assert list(no.value.stored_ids) == []
    assert app.queue()["pending"] == 0


def test_submission_is_split_by_bytes_of_utf_8_that_a_store_takes_at_once() -> None:
    store = SmallStore()
    texts = ["x" * 40, "x" * 40, "\u00e9" * 20, "x" * 200, "x" * 40]
    FleetQ(store).submit_many({"n": text} for text in texts)
    assert store.submissions == [2, 1, 1, 1]


def test_on_stored_that_raises_ends_the_submission_after_its_transaction(app: FleetQ) -> None:
    def full(step_ids: list[str]) -> None:
        raise BrokenPipeError

    commands = [app.command({}) for _ in range(25)]
    with pytest.raises(BrokenPipeError) as broken:
        submit_all(app.store, commands, full)
    assert vars(broken.value)["stored_ids"] == [command.step_id for command in commands[:10]]


@pytest.mark.parametrize(
    ("error", "says", "exit_code"),
    [
        (FULL, "20 of 25 steps were stored, then: q.db: database or disk is full", 1),
        (KeyboardInterrupt(), "20 of 25 steps were stored, then: interrupted", 130),
        (ZeroDivisionError("x"), "20 of 25 steps were stored, then: ZeroDivisionError: x", 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_submit_command_that_fails_prints_the_ids_of_the_stored_steps(
    fleet_q: Command,
    breaking: Callable[..., None],
    error: BaseException,
    says: str,
    exit_code: int,
    as_json: bool,
) -> None:
    breaking(error)
    code, out, err = fleet_q("submit", "-", *(["--json"] if as_json else []), stdin=LINES)
    assert (code, err) == (exit_code, f"fleet-q: {says}\n")
    ids = [step["step_id"] for step in json.loads(out)] if as_json else out.split()
    assert len(set(ids)) == len(ids) == 20 == _stored(fleet_q)
    for step_id in ids[::7]:
        assert fleet_q("status", step_id)[0] == 0


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_signal_ends_a_submission_between_two_transactions(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, word: str
) -> None:
    submit = FleetQ.submit_commands

    def signalled(
        self: FleetQ, commands: list[Submit], on_stored: Callable[[list[str]], None]
    ) -> None:
        def on_first(step_ids: list[str]) -> None:
            os.kill(os.getpid(), number)
            on_stored(step_ids)

        submit(self, commands, on_first)

    monkeypatch.setattr(FleetQ, "submit_commands", signalled)
    before = signal.getsignal(number)
    code, out, err = fleet_q("submit", "-", stdin=LINES)
    assert (code, len(out.split())) == (128 + number, 10)
    assert err == f"fleet-q: 10 of 25 steps were stored, then: {word}\n"
    assert _stored(fleet_q) == 10
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    "lines",
    [
        b'\xef\xbb\xbf{"n": 1}\n{"n": 2}\n',
        b'{"n": 1}\r\n\r\n{"n": 2}\r\n',
        b'\xef\xbb\xbf{"n": 1}\r\n\xef\xbb\xbf{"n": 2}',
        b'\xef\xbb\xbf\r\n  {"n": 1}  \n\n{"n": 2}',
    ],
)
def test_byte_order_marks_and_crlf_are_accepted_on_stdin(fleet_q: Command, lines: bytes) -> None:
    code, out, _ = fleet_q("submit", "-", stdin=lines.decode())
    assert (code, len(out.split())) == (0, 2)
    for number, step_id in enumerate(out.split(), 1):
        assert json.loads(fleet_q("status", step_id, "--json")[1])["payload"] == {"n": number}


def test_byte_order_mark_before_a_payload_is_accepted(fleet_q: Command) -> None:
    assert fleet_q("submit", '\ufeff{"n": 1}')[0] == 0


def test_http_batch_names_the_number_of_the_invalid_step(fleet_q: Command, app: FleetQ) -> None:
    from fastapi.testclient import TestClient

    from fleet_q.services.http.api import create_http

    steps = [{"payload": {}}, {"payload": {}, "delay": -1}, {"payload": {}, "priority": 2**40}]
    refused = TestClient(create_http(app)).post("/submit/batch", json={"steps": steps[::2]})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("steps.1")
    assert app.queue()["pending"] == 0


def test_http_batch_is_stored_in_one_transaction_whatever_its_size() -> None:
    from fastapi.testclient import TestClient

    from fleet_q.services.http.api import create_http

    store = SmallStore()
    steps = [{"payload": {"n": "x" * 200}}] * 3
    answer = TestClient(create_http(FleetQ(store))).post("/submit/batch", json={"steps": steps})
    assert (answer.status_code, store.submissions) == (200, [3])


def test_replaying_one_step_twice_in_a_list_replays_it_once(app: FleetQ, run: Run) -> None:
    @app.task("bad", max_retries=0)
    def bad() -> None:
        raise ValueError

    step_id = bad.submit()
    run(step_id)
    assert app.replay([step_id, step_id]) == [step_id]


def test_replay_all_that_fails_prints_the_number_of_replayed_steps(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: FleetQ, on_replayed: Callable[[int], None]) -> None:
        on_replayed(7)
        raise FULL

    fleet_q("submit", "{}")
    monkeypatch.setattr(FleetQ, "replay_all", broken)
    code, out, err = fleet_q("dlq", "replay", "--all")
    assert (code, out, err) == (1, "replayed 7 steps\n", f"fleet-q: {FULL}\n")
