"""Chromium without a window and without a network but loopback; what a page did wrong in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.waiting import LIMIT

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

NEEDED: Final = "TESTS_NEED_CHROMIUM"
"""The variable that makes a missing Chromium an error, not a reason to skip tests."""

NO_CHROMIUM: Final = "Chromium is not installed (Debian: apt-get install chromium)"

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
WIDTHS: Final[dict[str, tuple[int, int]]] = {
    "phone": (375, 812),
    "tablet": (768, 1024),
    "desktop": (1280, 900),
}

_MILLISECONDS: Final = 1_000
_PAUSE: Final = 10.0
"""Milliseconds."""
_AXE: Final = (files("axe_core_python") / "axe.min.js").read_text("utf-8")

_FIND: Final = """async (options) => (await axe.run(options)).violations.flatMap((found) =>
    found.nodes.map((node) => `${found.id} (${found.impact}): ${node.html.slice(0, 200)}`))
"""

expect.set_options(timeout=LIMIT * _MILLISECONDS)


def executable() -> str | None:
    """The path of Chromium; ``None`` if it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def is_needed() -> bool:
    """Whether tests must not be skipped for lack of Chromium."""
    return bool(os.environ.get(NEEDED))


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium. While it runs, its thread cannot run an event loop of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(),
            timeout=LIMIT * _MILLISECONDS,
            args=[
                "--no-sandbox",  # which a container may not have
                "--disable-dev-shm-usage",  # which is small in containers
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """The pages of one visitor, and ``faults``: errors on their consoles, uncaught exceptions,
    requests that failed, and requests to other hosts. Violations of the Content-Security-Policy are
    errors on the console."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def listen(self, host: str) -> None:
        """Collect the faults of all pages; ``host`` is the server's, with its port."""

        def on_request(url: str) -> None:
            parts = urlsplit(url)
            if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != host:
                self.faults.append(f"request to another host: {url}")

        def on_failed(url: str, reason: str | None) -> None:
            if reason != "net::ERR_ABORTED":  # the page was left before the answer was complete
                self.faults.append(f"{url}: {reason}")

        self.context.on("request", lambda request: on_request(request.url))
        self.context.on("requestfailed", lambda request: on_failed(request.url, request.failure))
        self.context.on(
            "console",
            lambda line: self.faults.append(line.text) if line.type == "error" else None,
        )
        self.context.on("weberror", lambda error: self.faults.append(str(error.error)))

    def expect_fault(self, part: str) -> None:
        """Expect one or more faults with ``part`` in them, before the visit ends."""
        self.expected.append(part)

    def check(self) -> None:
        """Wait for the faults that are expected, and fail if there are others."""
        until = time.monotonic() + LIMIT
        for part in self.expected:
            while not any(part in fault for fault in self.faults):
                assert time.monotonic() < until, f"no fault says {part!r}: {self.faults}"
                self.page.wait_for_timeout(_PAUSE)  # meanwhile, events arrive
        others = [
            fault for fault in self.faults if not any(part in fault for part in self.expected)
        ]
        assert not others, "\n".join(others)


@contextlib.contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A visitor without cookies of the site at ``url``, who meets only faults that are expected."""
    context = browser.new_context(base_url=url, service_workers="block", **options)
    try:
        context.set_default_timeout(LIMIT * _MILLISECONDS)
        visitor = Visit(context, context.new_page())
        visitor.listen(urlsplit(url).netloc)
        yield visitor
        visitor.check()
    finally:
        context.close()


def problems(page: Page, rule: str | None = None) -> list[str]:
    """What axe finds on the page as it is now, with one of its rules or with all, and whether the
    page is wider than its window."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    options = {"resultTypes": ["violations"], **({"runOnly": [rule]} if rule else {})}
    lines: list[str] = page.evaluate(_FIND, options)
    width, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    if width > room:
        lines.append(f"the page is {width} px wide in a window of {room} px")
    return lines


def looks(page: Page, pictures: Path | None, name: str) -> list[str]:
    """The :func:`problems` of a page in dark and light at each width, and pictures of these."""
    lines = []
    for size, (width, height) in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            rule = None if scheme == "light" else "color-contrast"  # the others see no colours
            lines += [f"{size}, {scheme}: {line}" for line in problems(page, rule)]
            if pictures is not None:
                path = pictures / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path, full_page=True)
    return lines
