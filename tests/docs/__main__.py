"""Draw the pictures anew: ``python -m tests.docs``."""

from __future__ import annotations

from tests.docs import ARCHITECTURE, drawn, text_of

ARCHITECTURE.write_text(drawn(text_of(ARCHITECTURE)), encoding="utf-8")
