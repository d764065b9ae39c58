"""The transactions of the databases against their port."""

from __future__ import annotations

import pytest

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.adapters.sqlite_transaction import SqliteTransaction
from fleet_q.core.ports import Transaction
from fleet_q.core.step_by_step import StepByStep

METHODS = {name for name in vars(Transaction) if not name.startswith("_")}


@pytest.mark.parametrize("transaction", [MemoryTransaction, SqliteTransaction])
def test_every_method_of_the_port_is_implemented(transaction: type[Transaction]) -> None:
    inherited = {name for name in METHODS if getattr(transaction, name) is vars(Transaction)[name]}
    assert not inherited


def test_operations_have_a_default_and_rows_have_none() -> None:
    """Else a database could forget to read or write its rows, and nothing would say so."""
    defaults = {name for name in METHODS if name in vars(StepByStep)}
    assert defaults == {
        "acknowledge",
        "change",
        "claim",
        "declare_dead",
        "look",
        "lost",
        "recover",
        "submit_many",
        "sync",
    }
