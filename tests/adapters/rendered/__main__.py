"""Rewrite the files of statements: ``python -m tests.adapters.rendered``."""

from __future__ import annotations

from tests.adapters.rendered import golden_files

for path, text in golden_files().items():
    path.write_text(text, encoding="utf-8")
