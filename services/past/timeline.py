"""Timeline, which counts the steps of any moment: those of now, less what has happened since."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fleet_q.core.activity import MINUTE, Activity
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.log import LogFilter
from fleet_q.core.ports import Store
from fleet_q.core.queue_stats import COUNTED, WINDOW, QueueStats
from fleet_q.services.past.blocks import DAY, HOUR, Block, Blocks, Pair, blocks_of

SETTLED: Final = 10 * 1_000_000
SETTLED_WHERE_STATEMENTS_WAIT: Final = 2 * MINUTE
"""Microseconds after which no event is added any more: transactions that began then have ended."""

KEPT: Final = 0.5
"""Seconds for which the steps of now are not read again."""

KEPT_WHERE_BILLED: Final = 10.0

INDEXED: Final = 1_000_000
"""Steps of a store up to which an index is made for the past without being asked for. For so many
it takes some seconds, for which nobody can write: less than pods wait for a lock."""

READ_WHOLE: Final = 100_000
"""Steps of a store without an index of which all events are read."""

PATIENCE: Final = 0.1
"""Seconds for which a caller waits while the log is read; then that goes on in the background."""

SMALL: Final = 10_000
"""Steps of a store up to which a caller waits for all: that takes a fraction of a second, unless
the machine is very busy."""

PATIENCE_IF_SMALL: Final = 10.0
"""Seconds for which it does."""

MOST_PARTS: Final = 64
"""Parts of blocks that are kept."""

LONGEST_READ: Final = 2 * DAY
"""Microseconds of the past that are read at once, at most."""


class NotReady(FleetQError):
    """The log is still being read; ``progress`` is the part of it that was, from 0 to 1. It stays
    so if it ``needs_index``."""

    needs_index = False

    def __init__(self, progress: float, message: str = "") -> None:
        super().__init__(
            message or f"the log is still being read, {progress:.0%} so far; try again soon"
        )
        self.progress = progress


class NeedsIndex(NotReady):
    """The store has too many steps to read all of their events."""

    needs_index = True

    def __init__(self) -> None:
        super().__init__(
            0.0, "the past of so many steps needs an index of the log; run fleet-q audit --index"
        )


@dataclass(frozen=True)
class Counts:
    """The steps of a moment: how many are in each status, and how many of each queue and task type
    are in those of ``COUNTED``."""

    at: int
    statuses: dict[StepStatus, int]
    types: dict[Pair, Counter[StepStatus]]

    def undo(self, block: Block) -> None:
        """Count as before the block."""
        for (pair, status), number in block.net.items():
            self.statuses[status] -= number
            if status in COUNTED:
                self.types[pair][status] -= number


@dataclass(frozen=True)
class _Now:
    """The steps as they were when they were read last, and what happened since the last block."""

    stats: QueueStats
    tail: list[Block]
    read_at: float


class Timeline:
    """What happened in ``store``, counted and kept in memory. Any thread may use it.

    The past does not change, so it is read once, the latest first, as far back as somebody has
    asked; and again if steps were pruned. If that takes longer than ``patience`` seconds, by
    default 0.1 unless the store is small, it goes on in the background. The steps of now are read
    again after ``kept`` seconds.
    """

    def __init__(
        self, store: Store, kept: float | None = None, patience: float | None = None
    ) -> None:
        is_billed = store.traits.writes_are_billed
        self._store = store
        self._given_patience = patience
        self._patience = PATIENCE if patience is None else patience
        self._kept = kept if kept is not None else KEPT_WHERE_BILLED if is_billed else KEPT
        self._settled = SETTLED_WHERE_STATEMENTS_WAIT if is_billed else SETTLED
        self._lock = threading.RLock()
        self._blocks: Blocks | None = None
        self._now: _Now | None = None
        self._unknown = 0  # steps that were submitted before what is known, at least so many
        self._is_quick = False  # whether a short span can be read alone
        self._first: int | None = None
        self._wanted: int | None = None
        self._loading: threading.Thread | None = None
        self._preparing: threading.Thread | None = None
        self._being_read = 0  # microseconds of the past
        self._done = 0.0  # the part of these that has been read
        self._parts: dict[tuple[int, int], list[Activity]] = {}

    def first(self) -> int | None:
        """When the first event happened that is known; ``None``: nothing did."""
        if self._first is None:
            for entry in self._store.log(LogFilter(), 1).entries:
                self._first = entry.at
        return self._first

    def progress(self) -> float:
        """The part of what was asked for that has been read."""
        with self._lock:
            blocks, wanted = self._blocks, self._wanted
            if blocks is None or wanted is None or blocks.since <= wanted:
                return 1.0
            if not self._is_quick:
                return self._done
            read = blocks.until - blocks.since + self._done * self._being_read
            return min(0.99, read / max(1, blocks.until - wanted))

    def prepare(self) -> None:
        """Make the index that the past needs. Raises :class:`NotReady` meanwhile."""
        with self._lock:
            if not self._is_quick:
                self._prepare()
            if not self._is_quick and sum(self._store.counts().values()) > READ_WHOLE:
                raise NeedsIndex

    def now(self) -> QueueStats:
        """The steps as they are now, or were a moment ago."""
        return self._refreshed(None).stats

    def at(self, moment: int) -> Counts:
        """The steps of a moment. Raises :class:`NotReady`."""
        self._refreshed(moment)
        self._ensure(moment)
        with self._lock:
            now, blocks = self._known()
            width = self.width_at(moment)
        counts = _counts(now.stats, moment)
        if moment < now.stats.at:
            for block in blocks:
                if block.start > moment:
                    counts.undo(block)
            end = min((moment // width + 1) * width, now.stats.at + 1)
            for block in blocks_of(self._part(moment + 1, end), width):
                counts.undo(block)
        return counts

    def between(self, since: int, moment: int) -> list[Block]:
        """What happened from ``since``, which is the beginning of a block, until a moment, that
        moment included. Raises :class:`NotReady`."""
        self._refreshed(moment)
        self._ensure(since)
        with self._lock:
            _, blocks = self._known()
            width = self.width_at(moment)
        start = max(moment // width * width, since)
        before = [block for block in blocks if since <= block.start < start]
        return [*before, *blocks_of(self._part(start, moment + 1), width)]

    def minutes(self, since: int, moment: int) -> list[Activity]:
        """The changes from ``since`` until a moment, by minutes, however long blocks are."""
        self._refreshed(moment)
        return self._part(since, moment + 1)

    def width_at(self, moment: int) -> int:
        """How long the block is in which a moment is."""
        with self._lock:
            return MINUTE if self._blocks is None else self._blocks.width_at(moment)

    def _part(self, since: int, until: int) -> list[Activity]:
        """What happened in a short span of time, kept if nothing can be added to it."""
        with self._lock:
            part = self._parts.get((since, until))
            is_settled = self._blocks is not None and until <= self._blocks.until
        if part is None:
            part = list(self._read(since, until))
            if is_settled:
                with self._lock:
                    while len(self._parts) >= MOST_PARTS:
                        del self._parts[next(iter(self._parts))]
                    self._parts[since, until] = part
        return part

    def _known(self) -> tuple[_Now, list[Block]]:
        """The steps as they were read last, and all blocks until then."""
        assert self._blocks is not None
        assert self._now is not None
        return self._now, [*self._blocks.all(), *self._now.tail]

    # The present

    def _refreshed(self, moment: int | None) -> _Now:
        """The steps as they were read last; read again if that does not do for the moment."""
        with self._lock:
            now, blocks = self._now, self._blocks
            if now is not None and blocks is not None:
                is_old = time.monotonic() - now.read_at >= self._kept
                if not is_old or (moment is not None and moment < blocks.until):
                    return now
            return self._read_now()

    def _read_now(self) -> _Now:
        if self._blocks is None:
            self._prepare()
        stats = self._store.queue_stats(WINDOW)
        if not self._is_quick and sum(stats.counts.values()) > READ_WHOLE:
            raise NeedsIndex
        until = (stats.at - self._settled) // MINUTE * MINUTE
        if self._blocks is not None and until < self._blocks.until:
            self._forget()  # the clock was set back
        is_first = self._blocks is None
        if self._blocks is None:
            self._blocks = Blocks(until // HOUR * HOUR if self._is_quick else until)
        later: list[Activity] = []
        tail: list[Activity] = []
        for change in self._read(self._blocks.until, stats.at + 1):
            (later if change.minute * MINUTE < until else tail).append(change)
        self._blocks.add_later(later, until)
        self._now = _Now(stats, list(blocks_of(tail, MINUTE)), time.monotonic())
        submitted = self._blocks.submitted + sum(block.submitted for block in self._now.tail)
        # Steps that were submitted between the two reads make this too small, never too large.
        unknown = sum(stats.counts.values()) - submitted
        if is_first:
            self._unknown = unknown
        elif unknown < self._unknown:
            if sum(self._store.counts().values()) - submitted < self._unknown:
                self._forget()  # steps were pruned
                return self._read_now()
        else:
            self._unknown = unknown
        return self._now

    def _prepare(self) -> None:
        """Make an index; if that takes long, it goes on in the background."""
        if self._given_patience is None:
            is_small = sum(self._store.counts().values()) <= SMALL
            self._patience = PATIENCE_IF_SMALL if is_small else PATIENCE
        if self._preparing is None:
            preparing = threading.Thread(target=self._make_index, name="fleet-q index", daemon=True)
            preparing.start()  # it may fail, and is tried again then
            self._preparing = preparing
        self._preparing.join(self._patience)
        if self._preparing.is_alive():
            raise NotReady(0.0)
        self._preparing = None

    def _make_index(self) -> None:
        try:
            self._is_quick = self._store.index_log(INDEXED)
        except FleetQError:  # nobody may write into the file, or somebody does for long
            self._is_quick = False

    def _forget(self) -> None:
        self._blocks = None
        self._first = None
        self._parts.clear()

    # The past

    def _ensure(self, moment: int) -> None:
        """Read the log back to a moment; if it takes long, go on in the background."""
        until = time.monotonic() + self._patience
        with self._lock:
            if self._blocks is None or self._blocks.since <= moment:
                return
            self._wanted = moment if self._wanted is None else min(moment, self._wanted)
            if self._loading is None:
                loading = threading.Thread(target=self._load, name="fleet-q past", daemon=True)
                loading.start()  # it may fail, and is tried again then
                self._loading = loading
            loading = self._loading
        loading.join(max(0.0, until - time.monotonic()))
        with self._lock:
            if self._blocks is None or self._blocks.since > moment:
                raise NotReady(self.progress())

    def _load(self) -> None:
        try:
            while self._load_more():
                pass
        except FleetQError:
            pass  # the next caller tries again
        finally:
            with self._lock:
                self._loading = None

    def _load_more(self) -> bool:
        """Read some of what is wanted; returns whether there is more."""
        with self._lock:
            blocks, wanted = self._blocks, self._wanted
        if blocks is None or wanted is None or blocks.since <= wanted:
            return False
        until = blocks.since
        since = 0
        if self._is_quick:
            first = self.first()
            length = min(max(HOUR, blocks.until - blocks.since), LONGEST_READ)
            since = (until - length) // HOUR * HOUR
            if first is None or since <= first:
                since = 0
        self._done, self._being_read = 0.0, until - max(since, wanted)
        earlier = blocks.earlier(self._read(since, until, self._on_progress))
        with self._lock:
            self._being_read = 0
            if self._blocks is not blocks:
                return True  # the steps were pruned meanwhile
            blocks.add_earlier(earlier, since)
            self._unknown -= sum(block.submitted for block in earlier)
            return blocks.since > (self._wanted or 0)

    def _on_progress(self, progress: float) -> None:
        self._done = progress

    def _read(
        self, since: int, until: int, on_page: Callable[[float], object] = lambda progress: None
    ) -> Iterator[Activity]:
        cursor: str | None = None
        while since < until:
            page = self._store.activity(since, until, cursor)
            yield from page.changes
            on_page(page.progress)
            cursor = page.cursor
            if cursor is None:
                return


def _counts(stats: QueueStats, moment: int) -> Counts:
    types: defaultdict[Pair, Counter[StepStatus]] = defaultdict(Counter)
    for each in stats.types:
        types[each.queue, each.task_type] = Counter(
            {status: getattr(each, status) for status in COUNTED}
        )
    statuses = {status: stats.counts.get(status, 0) for status in STEP_STATUSES}
    return Counts(moment, statuses, types)
