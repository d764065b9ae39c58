"""Rewrite the files of statements: ``python -m tests.adapters.rendered``."""

from __future__ import annotations

from tests.adapters.rendered import DIALECTS, golden_file, rendered

for dialect in DIALECTS:
    golden_file(dialect).write_text(rendered(dialect), encoding="utf-8")
