"""Names that nobody else has."""

from __future__ import annotations

import os
import threading
import uuid

from fleet_q.core.submission import check_id
from fleet_q.services.app.ids import new_pod_id, new_step_id, new_token


def test_a_step_id_is_a_uuid_of_version_7() -> None:
    prefix, _, digits = new_step_id().partition("-")
    made = uuid.UUID(digits)
    assert (prefix, made.version, made.variant) == ("step", 7, uuid.RFC_4122)


def test_ids_made_later_sort_later_and_none_comes_twice() -> None:
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


def test_a_fork_does_not_go_on_with_its_parents_chances() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_step_id()[-15:].encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(write, "wb"), os.fdopen(read, "rb") as pipe:
        assert pipe.read(15).decode() != new_step_id()[-15:]


def test_pods_and_tokens_have_names_of_their_own() -> None:
    assert len({new_pod_id() for _ in range(50)}) == 50
    assert len({new_token() for _ in range(50)}) == 50
    assert check_id(new_pod_id(), "pod_id")
