"""Changes the limits of queues."""

from __future__ import annotations

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.queues import Queue, QueueChange, change_queue


def set_queue(calls: Calls, queue: str, change: QueueChange, by: str | None) -> Queue:
    """Change the limits of a queue, and return it. It is read first, and changed only if it has not
    changed since."""

    def set_once() -> Queue:
        current = {row.queue: row for row in map(rows.to_queue, calls.query("queues"))}.get(queue)
        changed = change_queue(current, queue, change, at=0, by=by)
        if changed is None:
            return current or Queue(queue)
        event, after = changed
        answer = calls.write(
            "set_queue",
            "changed_queues",
            queue=queue,
            new_version=event.version,
            event_type=event.type,
            max_running=after.max_running,
            max_running_per_key=after.max_running_per_key,
            rate_count=after.rate_count,
            rate_period=after.rate_period,
            paused=after.paused,
            begins_rate=current is None or after.rate != current.rate,
            tokens=after.tokens,
            changed_by=by,
        )
        if not answer:
            raise StoreUnavailable("Snowflake: the queue changed while it was being changed")
        return rows.to_queue(answer[0])

    return calls.patiently(set_once)
