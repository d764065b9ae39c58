"""URLs of stores."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.open import open_store, sqlite_path
from fleet_q.core.errors import InvalidInput
from tests.adapters.insides import connection_of


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("sqlite:///a%20b%3F%23.db", "a b?#.db"),
        ("sqlite:///é😀.db", "é😀.db"),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///%3Amemory%3A", "memory://"),
        ("sqlite:jobs.db", "sqlite:///jobs.db"),
        ("sqlite:/jobs.db", "sqlite:///jobs.db"),
        ("sqlite://jobs.db", "sqlite:///jobs.db"),
        ("sqlite://host/jobs.db", "sqlite:///jobs.db"),
        ("sqlite:///", "sqlite:///jobs.db"),
        ("sqlite://", "sqlite:///jobs.db"),
        ("sqlite:///a%00b", "names no file"),
        ("sqlite:///x#y", "%23"),
        ("sqlite:///x?mode=ro", "%3F"),
        ("sqlite://[", "is not a store's URL"),
        ("memory:///x", "is not a store's URL"),
        ("mysql://x", "is not a store's URL"),
        ("jobs.db", "is not a store's URL"),
        ("", "is not a store's URL"),
    ],
)
def test_invalid_store_url_is_rejected_and_creates_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as refused:
        open_store(url)
    assert says in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_durability_setting_applies_to_the_apps_store(
    tmp_path: Path, durability: Literal["process", "power"], synchronous: int
) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/jobs.db", settings=Settings(durability=durability))
    pragma = connection_of(app.store).execute("PRAGMA synchronous")
    assert pragma.fetchone() == (synchronous,)
    app.close()


def test_memory_url_opens_a_store() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)
