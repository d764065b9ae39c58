"""Ids of steps, pods and claims are unique."""

from __future__ import annotations

import os
import threading
import uuid

from fleet_q.adapters.ids import new_step_id
from fleet_q.core.submission import check_id
from fleet_q.services.app.ids import new_pod_id, new_token


def test_a_step_id_is_a_uuid_of_version_7() -> None:
    prefix, _, digits = new_step_id().partition("-")
    made = uuid.UUID(digits)
    assert (prefix, made.version, made.variant) == ("step", 7, uuid.RFC_4122)


def test_later_ids_sort_later_and_are_unique() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda out=out: out.extend(new_step_id() for _ in range(2_000)))
        for out in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({step_id for ids in made for step_id in ids}) == 8_000


def test_forked_process_draws_other_random_ids() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_step_id()[-15:].encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(write, "wb"), os.fdopen(read, "rb") as pipe:
        assert pipe.read(15).decode() != new_step_id()[-15:]


def test_pod_ids_and_tokens_are_unique() -> None:
    assert len({new_pod_id() for _ in range(50)}) == 50
    assert len({new_token() for _ in range(50)}) == 50
    assert check_id(new_pod_id(), "pod_id")
