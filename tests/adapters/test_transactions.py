"""The transactions of all databases implement the whole port."""

from __future__ import annotations

import pytest

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.adapters.sqlite.transaction import SqliteTransaction
from fleet_q.core.ports import Transaction

METHODS = {name for name in vars(Transaction) if not name.startswith("_")}


@pytest.mark.parametrize("transaction", [MemoryTransaction, SqliteTransaction])
def test_every_method_of_the_port_is_implemented(transaction: type[Transaction]) -> None:
    inherited = {name for name in METHODS if getattr(transaction, name) is vars(Transaction)[name]}
    assert not inherited
