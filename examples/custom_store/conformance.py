"""Runs FLEET-Q's conformance suite on the journal: a plugin of pytest.

PYTHONPATH=examples/custom_store python -m pytest -p conformance tests/conformance
"""

from dataclasses import replace

from journal import JournalStore

from tests.conformance import stores

memory = next(kind for kind in stores.KINDS if kind.name == "memory")

stores.KINDS[:] = [
    replace(
        memory,
        name="journal",
        open=lambda folder, clock: JournalStore(folder / "jobs.journal", clock),
        insert=None,  # nobody else inserts rows into it: it has no table step_inbox
        examples=5,
        runs=5,
        run_length=30,
    )
]
