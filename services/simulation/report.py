"""Reports: the figures of a run, and the history that led to a broken promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import Outcome
from fleet_q.services.simulation.measures import quantile

HOUR = 3_600.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run. Durations are in seconds, and ``None`` if nothing was measured.

    ``unfinished_at_end``: when the scenario's time was over; ``unfinished``: when the simulation
    ended. ``deaths``: of processes, because of faults and of steps that kill their pods.
    ``requests_a_step``: round trips; a procedure is one, and has several statements.
    ``drain_seconds``: from the first submission to the end of the last step. ``rejected_syncs``:
    the share of syncs that a full lock queue rejected, apart from those that did so because of a
    fault. ``lock_seconds_a_step``: how long transactions held locks. ``recovered_from_living``:
    steps that were taken from a pod that was declared dead though its process ran.
    """

    seed: int
    store: str
    clusters: int
    scenario: str
    pods: int
    hours: float
    submitted: int
    completed: int
    failed: int
    cancelled: int
    unfinished_at_end: int
    unfinished: int
    faults: int
    deaths: int
    steps_an_hour: float
    drain_seconds: float | None
    claim_p50: float | None
    claim_p99: float | None
    lock_waits: int
    lock_wait_p50: float | None
    lock_wait_p99: float | None
    refused_by_lock: int
    rejected_syncs: float | None
    timed_out_at_lock: int
    timed_out_at_warehouse: int
    deadlocks: int
    requests_a_step: float | None
    statements: int
    statements_a_step: float | None
    lock_seconds_a_step: float | None
    recovered_from_dead: int
    recovered_from_living: int
    recovery_p50: float | None
    recovery_p99: float | None


def figures(outcome: Outcome) -> Figures:
    """Return the figures of a run."""
    fleet, scenario = outcome.fleet, outcome.scenario
    measures, stats = fleet.measures, fleet.server.stats
    statuses = Counter(record.status for record in fleet.checks.steps.values())
    hours = fleet.virtual_clock.now / HOUR
    ended = statuses["completed"] + statuses["failed"]
    return Figures(
        seed=scenario.seed,
        store=scenario.store,
        clusters=scenario.clusters,
        scenario=scenario.name,
        pods=len(scenario.pods),
        hours=round(hours, 2),
        submitted=len(fleet.checks.steps),
        completed=statuses["completed"],
        failed=statuses["failed"],
        cancelled=statuses["cancelled"],
        unfinished_at_end=measures.unfinished_at_end,
        unfinished=fleet.checks.unfinished,
        faults=len(scenario.faults),
        deaths=len(fleet.died_at),
        steps_an_hour=round(ended / hours, 1) if hours else 0.0,
        claim_p50=_seconds(quantile(measures.claim_waits, 0.50)),
        claim_p99=_seconds(quantile(measures.claim_waits, 0.99)),
        drain_seconds=_seconds(max(0.0, measures.last_ended_at - measures.first_submitted_at)),
        lock_waits=len(stats.waits),
        lock_wait_p50=_seconds(quantile(stats.waits, 0.50)),
        lock_wait_p99=_seconds(quantile(stats.waits, 0.99)),
        refused_by_lock=stats.rejections,
        rejected_syncs=round(stats.rejected_syncs / stats.syncs, 4) if stats.syncs else None,
        timed_out_at_lock=stats.timeouts,
        timed_out_at_warehouse=stats.slot_timeouts,
        deadlocks=stats.deadlocks,
        requests_a_step=round(stats.requests / ended, 1) if ended else None,
        statements=stats.statements,
        statements_a_step=round(stats.statements / ended, 1) if ended else None,
        lock_seconds_a_step=round(stats.lock_seconds / ended, 3) if ended else None,
        recovered_from_dead=measures.recovered - measures.recovered_from_living,
        recovered_from_living=measures.recovered_from_living,
        recovery_p50=_seconds(quantile(measures.recovery_waits, 0.50)),
        recovery_p99=_seconds(quantile(measures.recovery_waits, 0.99)),
    )


def history(outcome: Outcome) -> list[str]:
    """Return the history of a broken promise until it broke: requests, faults, and the log of the
    step or pod concerned, ordered by time."""
    scenario, violation = outcome.scenario, outcome.violation
    assert violation is not None
    lines = [(pod.at, f"{pod.pod_id} starts{_routes(pod)}") for pod in scenario.pods]
    lines += [(fault.at, describe_fault(fault)) for fault in scenario.faults]
    lines += [(request.at, _request(request)) for request in scenario.requests]
    database = outcome.fleet.database
    for event in (
        *database.step_log.get(violation.subject, ()),
        *database.pod_log.get(violation.subject, ()),
    ):
        seconds = database.written_at[event.stream, event.version]
        by = f" by {event.pod_id}" if event.pod_id else ""
        lines.append((seconds, f"    {event.stream} {event.version}: {event.fact.type}{by}"))
    broken_at = outcome.fleet.virtual_clock.now
    lines = sorted((line for line in lines if line[0] <= broken_at), key=lambda line: line[0])
    lines.append((broken_at, f"broken: {violation}"))
    return [f"{seconds:10.3f} s  {line}" for seconds, line in lines]


def markdown(rows: Sequence[Figures]) -> str:
    """Return the figures of several fleets as a Markdown table."""
    head = (
        "pods", "tables", "steps", "undone in time", "left undone", "claim p50", "claim p99",
        "rejected syncs", "lock wait p99", "requests a step", "statements a step",
        "lock seconds a step", "recovered: dead", "living", "faults", "deaths", "drained in",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "| ---: | --- |" + " ---: |" * (len(head) - 2)]
    for row in rows:
        rejected = "-" if row.rejected_syncs is None else f"{100 * row.rejected_syncs:.1f} %"
        clusters = f"{row.clusters} clusters" if row.clusters > 1 else ""
        tables = ", ".join(filter(None, (row.store, clusters, row.scenario)))
        cells = (
            f"{row.pods:,}", tables, f"{row.submitted:,}", f"{row.unfinished_at_end:,}",
            f"{row.unfinished:,}",
            _cell(row.claim_p50), _cell(row.claim_p99), rejected, _cell(row.lock_wait_p99),
            f"{row.requests_a_step or 0:,.1f}", f"{row.statements_a_step or 0:,.1f}",
            f"{row.lock_seconds_a_step or 0:,.2f}",
            f"{row.recovered_from_dead:,}", f"{row.recovered_from_living:,}", f"{row.faults:,}",
            f"{row.deaths:,}", _cell(row.drain_seconds),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.1f} s"


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def describe_fault(fault: sc.Fault) -> str:
    """Return what a fault does, for the history."""
    match fault:
        case sc.StoreOutage(seconds=seconds):
            return f"the store is unavailable for {seconds:g} s"
        case sc.Suspension(seconds=seconds):
            return f"all processes are frozen for {seconds:g} s"
        case sc.LongLock(seconds=seconds):
            return f"a client outside the fleet holds the store's locks for {seconds:g} s"
        case sc.StaleReads(table=table, share=share, seconds=seconds):
            return f"a share of {share:g} of the reads of {table} is stale for {seconds:g} s"
        case sc.RenewedSessions(seconds=seconds):
            return f"pods have a new session for every call for {seconds:g} s"
        case sc.WaitingInserts(seconds=seconds):
            return f"INSERTs wait for the locks of their tables for {seconds:g} s"
        case sc.EarlyTimestamps(seconds=seconds):
            return f"transactions have the time before their waits for {seconds:g} s"
        case sc.LateRepeats(seconds=seconds, delay=delay):
            return f"for {seconds:g} s, posted requests arrive again after {delay:g} s"
        case sc.StoreClock(seconds=seconds):
            return f"the store's clock is set by {seconds:+g} s"
        case sc.Crash(pod_id=pod_id):
            what = "is killed"
        case sc.Freeze(pod_id=pod_id, seconds=seconds):
            what = f"is frozen for {seconds:g} s"
        case sc.DuplicatePod(pod_id=pod_id):
            what = "is started a second time"
        case sc.Stop(pod_id=pod_id):
            what = "is drained"
        case sc.Upgrade(pod_id=pod_id):
            what = f"is replaced by another version{_routes(fault)}"
        case sc.ClockJump(pod_id=pod_id, seconds=seconds):
            what = f"has its clock moved {seconds:g} s forward"
        case sc.UnreachableStorage(pod_id=pod_id, seconds=seconds):
            what = f"receives no large results for {seconds:g} s"
        case sc.TransactionFault(pod_id=pod_id):
            place = "after the last" if fault.statement < 0 else f"before number {fault.statement}"
            what = f"in its next transaction, {place} request: {fault.seconds:g} s, {fault.then}"
            what += f"; lock queues are full for {fault.contended:g} s" if fault.contended else ""
    back = getattr(fault, "back_after", None)
    return f"{pod_id} {what}" + (f", restarted after {back:g} s" if back is not None else "")


def _routes(pod: sc.Start | sc.Upgrade) -> str:
    routes = [f"queues {', '.join(pod.queues)}"] if pod.queues is not None else []
    if pod.task_types is not None:
        routes.append(f"types {', '.join(map(repr, pod.task_types))}")
    return f", takes {' and '.join(routes)}" if routes else ""


def _request(request: sc.Request) -> str:
    match request:
        case sc.Submission(steps=steps, inbox=inbox):
            how = "inserted into the inbox" if inbox else "submitted"
            return f"{how}: " + ", ".join(f"{w.step_id} ({w.behaviour})" for w in steps)
        case sc.Cancellation(step_id=step_id):
            return f"cancelled: {step_id}"
        case sc.Replaying(step_id=step_id):
            return f"replayed: {step_id}"
        case sc.Reprioritizing(step_id=step_id, priority=priority):
            return f"priority {priority}: {step_id}"
        case sc.ScheduleSetting(work=work, every=every, overlap=overlap, missed=missed):
            rules = f"overlap {overlap}, missed {missed}, window {request.window:g} s"
            return f"schedule {work.step_id} ({work.behaviour}): every {every:g} s, {rules}"
        case sc.SchedulePause(schedule=schedule, paused=paused):
            return f"schedule {schedule}: {'paused' if paused else 'resumed'}"
        case sc.QueueSetting(queue=queue, change=change):
            given = {name: value for name, value in asdict(change).items() if value is not UNSET}
            limits = ", ".join(f"{name} {value}" for name, value in given.items())
            return f"queue {queue}: {limits}"
