"""The pictures of the lifecycles are those of the declarations."""

from __future__ import annotations

from tests.docs import ARCHITECTURE, PICTURES, drawn, pictures_in, text_of


def test_architecture_shows_the_lifecycles_as_they_are_declared() -> None:
    text = text_of(ARCHITECTURE)
    assert pictures_in(text) == list(PICTURES)
    assert text == drawn(text), "run python -m tests.docs"


def test_picture_that_differs_from_the_declaration_is_noticed() -> None:
    text = text_of(ARCHITECTURE).replace("claimed --> completed", "claimed --> failed", 1)
    assert text != drawn(text)
