"""The store port on Snowflake, set by set: what a pod wants at one moment is a handful of
statements, however many steps it is about.

Snowflake locks a whole table for an UPDATE until its transaction ends. So a transaction only
writes, the steps first and then the pod, and what came of it is read after its commit. What a
change did carries the change's id, what a pod holds carries its claim token; no count of rows is
relied on for that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.picture import Picture
from fleet_q.adapters.snowflake.seen import Seen, fit_statuses
from fleet_q.adapters.snowflake.session import Session, Transaction, new_change_id
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import TRAITS
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import FleetQError, StoreError, StoreUnavailable
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycles import POD, POD_STATUSES, STEP, STEP_STATUSES, PodStatus, StepStatus
from fleet_q.core.pod import Join, Pod, Presence
from fleet_q.core.ports import (
    Answer,
    DeadLetter,
    Ended,
    EndedPage,
    Fleet,
    LetterPage,
    Pruned,
    RebuildReport,
    Turn,
)
from fleet_q.core.step import Cancel, Complete, Outcome, Recover, Replay, Step, Submit

MOST_BYTES: Final = 4 * 1024 * 1024
"""Characters of payloads or results in one statement, about: a bound text may have 16 MiB."""

PATIENCE: Final = 60.0
"""Seconds for which a call is tried again before it says that Snowflake is unavailable."""

T = TypeVar("T")
S = TypeVar("S", Submit, Outcome)


class SnowflakeStore:
    """A store in one Snowflake schema.

    ``connection`` are the parameters of the connector's ``connect``, ``prefix`` begins the names
    of the tables. Any thread may use it; calls take turns on one session. A pod's turn is tried
    once, its machine has a backoff of its own; every other call is tried for ``patience`` seconds.
    """

    manners = TRAITS
    starts = None

    def __init__(
        self, connection: Mapping[str, Any], *, prefix: str = "", patience: float = PATIENCE
    ) -> None:
        self.session = Session(connection, Statements(prefix))
        self._patience = patience

    def check_schema(self) -> None:
        """Sign in and look for the tables. Raises :class:`StoreError` if they are not there, or of
        another version than is needed here."""
        found = self._query("schema_version")
        check_version(int(found[0][0]) if found else None)

    def submit(self, new: Sequence[Submit], pod_id: str | None = None) -> list[bool]:
        """See :class:`fleet_q.core.ports.Store`; so for everything here."""
        first: dict[str, Submit] = {}
        for each in new:
            steps.decide(_as_stored(first.setdefault(each.step_id, each)), each, at=0)
        change_id = self._write(lambda tx: _submit(tx, list(first.values()), pod_id))
        fresh = self._ids_submitted(change_id, new)
        return [first[each.step_id] is each and each.step_id in fresh for each in new]

    def turn(self, turn: Turn) -> Answer:
        """Who has nothing to acknowledge looks before it claims: the lock of the steps is asked for
        only where there is something to be had."""
        some = list(_batches(turn.outcomes, _size_of_result))
        if len(some) > 1:
            return self._turns(turn, some)
        says = turn.presence
        if isinstance(says, Join):
            self._join(says)
            says = None
        looks_first = not turn.outcomes and not turn.again and (turn.claim or says is None)
        seen = self._look(turn) if looks_first else None
        is_due = seen is None or seen.is_claimable
        done = is_due or not turn.if_due
        changes_steps = turn.outcomes or (turn.claim and is_due)
        if seen is None or changes_steps or (says is not None and done):
            with self.session.transaction(new_change_id()) as tx:
                changed = _change_steps(tx, turn) if changes_steps else 0
                done = changed > 0 or turn.again or not turn.if_due
                if says is not None and done:
                    _say(tx, says, fit_statuses(turn))
            seen = self._look(turn, tx.change_id)
            if changed and not seen.shows_steps_of(turn):
                raise StoreUnavailable("Snowflake: a transaction was taken back before its commit")
        seen.check(turn)
        return replace(seen.answer(turn, self._settled(turn, seen)), done=done)

    def bell(self) -> int:
        count, least = self.session.query("bell")[0]
        return int(count) - (1 if least is None else int(least))

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        known = [(p.pod_id, p.incarnation, p.version, p.last_heartbeat_ts) for p in silent]

        def declare(tx: Transaction) -> None:
            sources = (status for status in POD_STATUSES if POD.allows(status, "declared_dead"))
            becomes = [(status, POD.after(status, "declared_dead")) for status in sources]
            tx.run("declare_dead", becomes=rows.encode(becomes), silent=rows.encode(known))
            tx.run("append_pod_events", by_pod_id=by)

        if not silent:
            return []
        declared = self._query("changed_pods", change_id=self._write(declare))
        return [rows.to_pod(row) for row in declared]

    def orphans(self, after: str, limit: int) -> list[DeadLetter]:
        return [DeadLetter(*row) for row in self._query("orphans", after=after, limit=limit)]

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        noted = rows.encode([(o.step_id, o.claim_token, o.never_began) for o in orphans])

        def recover(tx: Transaction) -> None:
            tx.run("recover", noted=noted, error=steps.DIED)
            tx.run("append_step_events", pod_id=by)

        recovered = self._changed(self._write(recover))
        return [recovered.pop(each.step_id) for each in orphans if each.step_id in recovered]

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        return self._change([Cancel(step_id)], "cancelled", pod_id)[0]

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        return self._change([Replay(step_id) for step_id in step_ids], "replayed", pod_id)

    def step(self, step_id: str) -> Step | None:
        return self._steps([step_id]).get(step_id)

    def history(self, step_id: str) -> list[StepEvent]:
        return [rows.to_step_event(row) for row in self._query("history", step_id=step_id)]

    def counts(self) -> dict[StepStatus, int]:
        return rows.to_counts((status, int(count)) for status, count in self._query("counts"))

    def pods(self) -> Fleet:
        found = self._query("pods")
        return Fleet(found[0][0], tuple(rows.to_pod(row[1:]) for row in found if row[1]))

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> LetterPage:
        before_ts, before_id = before or (None, None)
        found = self._query("dead_letters", limit=limit, before_ts=before_ts, before_id=before_id)
        page = tuple(rows.to_step(row) for row in found)
        last = page[-1] if len(page) == limit and page else None
        return LetterPage(page, (last.last_update_ts, last.step_id) if last else None)

    def step_events(self) -> Iterator[StepEvent]:
        return map(rows.to_step_event, self.session.stream("step_events"))

    def ended(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> EndedPage:
        among = rows.encode(list(statuses))
        found = self._query("ended", statuses=among, before=before, limit=limit, after=after)
        page = tuple(Ended(step_id, int(version)) for step_id, version in found)
        return EndedPage(page, page[-1].step_id if len(page) == limit else None)

    def prune(self, ended: Sequence[Ended], before: int, by: str | None = None) -> Pruned:
        """The events go first: nobody else locks the log. So the lock of the steps, which all wait
        for, is held for little more than one statement; and a step that has changed before that is
        found then, nothing is pruned, and the others are tried again."""
        pruned = Pruned(0, 0)

        def prune(tx: Transaction) -> None:
            nonlocal pruned
            noted = rows.encode(ended)
            events = int(tx.run("prune_step_events", ended=noted)[0][0])
            pruned = Pruned(int(tx.run("prune_steps", ended=noted, before=before)[0][0]), events)
            changed = _by_id(tx.run("steps", step_ids=rows.encode([s.step_id for s in ended])))
            if changed:
                raise _NotAll(changed)
            if events:
                tx.run("note_pruned", events=events, pod_id=by)

        while ended:
            try:
                self._write(prune)
                return pruned
            except _NotAll as not_all:
                ended = [step for step in ended if step.step_id not in not_all.step_ids]
        return Pruned(0, 0)

    def prune_pod(self, pod: Pod) -> Pruned:
        pruned = Pruned(0, 0)

        def prune(tx: Transaction) -> None:
            nonlocal pruned
            events = int(tx.run("prune_pod_events", pod_id=pod.pod_id)[0][0])
            gone = int(tx.run("prune_pod", pod_id=pod.pod_id, version=pod.version)[0][0])
            if events and not gone:
                raise _NotAll([pod.pod_id])
            pruned = Pruned(gone, events)

        with suppress(_NotAll):
            self._write(prune)
        return pruned

    def histories(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        found = self.session.stream("events_of", step_ids=rows.encode(step_ids))
        return map(rows.to_step_event, found)

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        return map(rows.to_pod_event, self.session.stream("pod_history", pod_id=pod_id))

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        return Picture(self.session, self._write).rebuild(check=check, progress=progress)

    def close(self) -> None:
        self.session.close()

    # Turns

    def _join(self, join: Join) -> None:
        """A transaction of its own, since it locks the pods' table first: others, who lock it
        while they hold that of the steps, must not meet one who does it the other way round."""
        with self.session.transaction(new_change_id()) as tx:
            tx.run("take_turns")
            tx.run("join_again", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("join_first", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("append_pod_events", by_pod_id=join.pod_id)

    def _look(self, turn: Turn, change_id: str = "") -> Seen:
        """What became of the turn. Raises :class:`StoreError` if the tables have been migrated."""
        seen = Seen(
            self.session.query(
                "after_turn",
                pod_id=turn.pod_id,
                claim_token=turn.claim_token,
                change_id=change_id,
            )
        )
        check_version(seen.schema_version)
        return seen

    def _settled(self, turn: Turn, seen: Seen) -> set[str]:
        """The ids of successes that did not count only because they had counted before."""
        late = set(seen.answer(turn).refused)
        successes = [o for o in turn.outcomes if isinstance(o, Complete) and o.step_id in late]
        known = self._steps([success.step_id for success in successes]) if successes else {}
        return {
            success.step_id
            for success in successes
            if (step := known.get(success.step_id)) is not None
            and (step.status, step.claim_token) == ("completed", success.claim_token)
        }

    def _turns(self, turn: Turn, some: Sequence[Sequence[Any]]) -> Answer:
        """A turn whose results are too large for one statement: all but the last ones first."""
        refused: list[str] = []
        for outcomes in some[:-1]:
            part = Turn(turn.pod_id, turn.incarnation, outcomes=tuple(outcomes), again=turn.again)
            refused += self.turn(part).refused
        last = self.turn(replace(turn, outcomes=tuple(some[-1])))
        return replace(last, refused=(*refused, *last.refused))

    # What all calls share

    def _write(self, work: Callable[[Transaction], None]) -> str:
        """Do ``work`` in a transaction, for as long as it takes; its change id once it is
        committed, by which what it did can be looked up."""
        change_id = new_change_id()
        tries = 0

        def once() -> str:
            nonlocal tries
            tries += 1
            if tries == 1 or not self.session.is_committed(change_id):
                with self.session.transaction(change_id) as tx:
                    work(tx)
            return change_id

        return self._patiently(once)

    def _query(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._patiently(lambda: self.session.query(name, **values))

    def _patiently(self, call: Callable[[], T]) -> T:
        policy = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        return policy(call)

    def _change(
        self, commands: Sequence[Cancel] | Sequence[Replay], kind: str, pod_id: str | None
    ) -> list[Step]:
        """All of the steps, or none and the error that the core has for it."""
        step_ids = [command.step_id for command in commands]
        sources = [status for status in STEP_STATUSES if STEP.allows(status, kind)]

        def change(tx: Transaction) -> None:
            wanted = rows.encode(step_ids)
            tx.run("change", type=kind, step_ids=wanted, sources=rows.encode(sources))
            tx.run("append_step_events", pod_id=pod_id)
            if sorted(_by_id(tx.run("changed_steps"))) != sorted(step_ids):
                raise _NotAll

        def change_all() -> None:
            try:
                self._write(change)
            except _NotAll:
                self._explain(commands)

        self._patiently(change_all)
        known = self._steps(step_ids)
        return [known[step_id] for step_id in step_ids]

    def _explain(self, commands: Sequence[Cancel] | Sequence[Replay]) -> None:
        """Raise what the core has against the commands, unless they were carried out before."""
        known = self._steps([command.step_id for command in commands])
        has_changed = False
        for command in commands:
            step = known.get(command.step_id)
            event = steps.decide(step, command, at=step.available_ts if step else 0)
            if event is not None:
                known[command.step_id] = steps.evolve(step, event)
                has_changed = True
        if has_changed:  # what was forbidden a moment ago no longer is
            raise StoreUnavailable("Snowflake: a step changed while it was looked at")

    def _steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        return _by_id(self._query("steps", step_ids=rows.encode(step_ids)))

    def _changed(self, change_id: str) -> dict[str, Step]:
        return _by_id(self._query("changed_steps", change_id=change_id))

    def _ids_submitted(self, change_id: str, new: Sequence[Submit]) -> set[str]:
        if all(each.unique for each in new):
            return {each.step_id for each in new}
        return set(self._changed(change_id))


class _NotAll(FleetQError):
    """Some of the steps, these, could not be changed, so none of them was."""

    def __init__(self, step_ids: Collection[str] = ()) -> None:
        super().__init__()
        self.step_ids = set(step_ids)


def _submit(tx: Transaction, new: Sequence[Submit], pod_id: str | None) -> None:
    if not all(each.unique for each in new):
        tx.run("take_turns")
    stored = 0
    for some in _batches(new, lambda each: len(each.payload)):
        stored += int(tx.run("submit", new=rows.submissions_json(some))[0][0])
    tx.run("append_step_events", pod_id=pod_id)
    if stored == len(new):
        return
    fresh = _by_id(tx.run("changed_steps"))
    taken = [each for each in new if each.step_id not in fresh]
    known = _by_id(tx.run("steps", step_ids=rows.encode([each.step_id for each in taken])))
    for each in taken:
        if each.unique:
            raise StoreError(f"step {each.step_id!r} exists, though its id should be unique")
        steps.decide(known[each.step_id], each, at=0)  # raises if it is another one


def _change_steps(tx: Transaction, turn: Turn) -> int:
    """How many it changed, unless Snowflake takes the transaction back: one that keeps others
    waiting and has been idle for minutes. The commit is answered then as if nothing had been."""
    changed = tx.run(
        "turn",
        pod_id=turn.pod_id,
        incarnation=turn.incarnation,
        claim=turn.claim,
        free=turn.free,
        most_bytes=steps.MOST_CLAIMED_BYTES,
        claim_token=turn.claim_token,
        outcomes=rows.outcomes_json(turn.outcomes),
        anyway=turn.presence is None and not turn.claim,
        fit=rows.encode(fit_statuses(turn)),
    )
    tx.run("append_step_events", pod_id=turn.pod_id)
    return int(changed[0][0])


def _say(tx: Transaction, presence: Presence, fit: Collection[PodStatus]) -> None:
    becomes: list[tuple[str, str, str, bool]] = []
    for status in fit:
        pod = Pod(presence.pod_id, status, 0, 0, presence.incarnation)
        change = pods.change(pod, presence, at=1)
        if change is not None:
            event, after = change
            kind = event.fact.type if event is not None else ""
            becomes.append((status, after.status, kind, after.last_heartbeat_ts == 1))
    tx.run(
        "presence",
        pod_id=presence.pod_id,
        incarnation=presence.incarnation,
        becomes=rows.encode(becomes),
    )
    tx.run("append_pod_events", by_pod_id=presence.pod_id)


def _as_stored(submit: Submit) -> Step:
    event = steps.decide(None, submit, at=0)
    assert event is not None
    return steps.evolve(None, event)


def _by_id(found: Sequence[Sequence[Any]]) -> dict[str, Step]:
    return {step.step_id: step for step in map(rows.to_step, found)}


def _size_of_result(outcome: Outcome) -> int:
    return len(outcome.result) if isinstance(outcome, Complete) else 0


def _batches(items: Sequence[S], size: Callable[[S], int]) -> Iterator[list[S]]:
    """The items in batches of about ``MOST_BYTES``, no step twice in one."""
    batch: list[S] = []
    ids: set[str] = set()
    total = 0
    for item in items:
        if batch and (total + size(item) > MOST_BYTES or item.step_id in ids):
            yield batch
            batch, ids, total = [], set(), 0
        batch.append(item)
        ids.add(item.step_id)
        total += size(item)
    if batch:
        yield batch
