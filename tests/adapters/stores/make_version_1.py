"""Makes ``version_1.db``. It was run with FLEET-Q as it was at commit 12aaa18, the last to work on
schema version 1, and is kept to show what the file holds: ``python make_version_1.py``.

There are steps in every status and pods in every status, with all that can have happened to them.
"""

from __future__ import annotations

from pathlib import Path

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Beat, Drain, Join, Leave, Sleep
from fleet_q.core.ports import Turn
from fleet_q.core.step import Complete, Fail, Recover, Release, Submit
from tests.submitted import are_new

SECOND = 1_000_000
now = 1_760_000_000 * SECOND


def pass_time(seconds):
    global now
    now += seconds * SECOND


def say(presence):
    store.turn(Turn(presence.pod_id, presence.incarnation, presence))


def claim(pod_id, incarnation, token, *step_ids):
    turn = Turn(pod_id, incarnation, claim=len(step_ids), claim_token=token)
    assert [step.step_id for step in store.turn(turn).claimed] == list(step_ids)


def report(pod_id, incarnation, *outcomes):
    assert store.turn(Turn(pod_id, incarnation, outcomes=outcomes)).refused == ()


def submit(step_id, payload="{}", **options):
    assert are_new(store.submit([Submit(step_id, payload, **options)])) == [True]


path = Path(__file__).with_name("version_1.db")
path.unlink(missing_ok=True)
store = SqliteStore(path, clock=lambda: now)

# A pod that lived, slept, was woken by its next heartbeat, drained and left.
say(Join("retired", "r1"))
for _ in range(3):
    pass_time(10)
    say(Beat("retired", "r1"))
say(Sleep("retired", "r1"))
pass_time(300)
for _ in range(2):
    say(Beat("retired", "r1"))
    pass_time(10)

submit("completed", '{"task_type": "load", "file": "größe.csv"}', priority=5)
claim("retired", "r1", "t-completed", "completed")
report("retired", "r1", Complete("completed", "t-completed", '{"lines": 3}'))

submit("completed at the second try")
claim("retired", "r1", "t-1", "completed at the second try")
report(
    "retired", "r1", Fail("completed at the second try", "t-1", "ValueError: no", "Traceback ...")
)
claim("retired", "r1", "t-2", "completed at the second try")
report("retired", "r1", Complete("completed at the second try", "t-2", "null"))

submit("failed for good")
claim("retired", "r1", "t-3", "failed for good")
report("retired", "r1", Fail("failed for good", "t-3", "Boom", "Traceback ...", permanent=True))

submit("tries used up", max_retries=1)
for token in ("t-4", "t-5"):
    claim("retired", "r1", token, "tries used up")
    report("retired", "r1", Fail("tries used up", token, "Boom again"))

submit("cancelled while pending")
store.cancel("cancelled while pending")
submit("cancelled while claimed")
claim("retired", "r1", "t-6", "cancelled while claimed")
store.cancel("cancelled while claimed", "retired")

submit("replayed and completed")
claim("retired", "r1", "t-7", "replayed and completed")
report("retired", "r1", Fail("replayed and completed", "t-7", "Boom", permanent=True))
store.replay(["replayed and completed"])
claim("retired", "r1", "t-8", "replayed and completed")
report("retired", "r1", Complete("replayed and completed", "t-8", "[1, 2]"))
submit("cancelled and replayed", priority=-1)
store.cancel("cancelled and replayed")
store.replay(["cancelled and replayed"], "retired")

submit("pruned")
claim("retired", "r1", "t-9", "pruned")
report("retired", "r1", Complete("pruned", "t-9", "null"))
page = store.ended(["completed"], now, 100)
assert store.prune([step for step in page.steps if step.step_id == "pruned"], now).streams == 1

submit("released", priority=2)
claim("retired", "r1", "t-10", "released")
report("retired", "r1", Release("released", "t-10"))
submit("retried with delay")
claim("retired", "r1", "t-11", "released")  # the order is by priority
report("retired", "r1", Release("released", "t-11"))
say(Drain("retired", "r1"))
pass_time(10)
say(Beat("retired", "r1"))
say(Leave("retired", "r1"))

# One that was killed holding steps, and declared dead; a leader has given one of them back.
say(Join("dead", "d1"))
say(Beat("dead", "d1"))
claim("dead", "d1", "t-12", "released", "retried with delay", "cancelled and replayed")
later = Fail("retried with delay", "t-12", "not yet", None, retry_delay=3_600 * SECOND)
report("dead", "d1", later, Release("cancelled and replayed", "t-12"))
submit("claimed by a dead pod", priority=3)
submit("recovered", priority=3)
submit("last try of a dead pod", max_retries=0, priority=3)
dead = ("claimed by a dead pod", "last try of a dead pod", "recovered")
claim("dead", "d1", "t-13", *dead)
pass_time(100)
say(Join("leader", "l1"))
assert [pod.pod_id for pod in store.declare_dead(60 * SECOND, "leader")] == ["dead"]
store.recover([Recover("recovered", "t-13")], "leader")

# One that was restarted under its id while it held a step.
say(Join("restarted", "s1"))
submit("claimed by an earlier incarnation", priority=9)
claim("restarted", "s1", "t-14", "claimed by an earlier incarnation")
say(Join("restarted", "s2"))

# Those that live on: they were killed with their last heartbeats still fresh.
say(Join("sleeper", "z1"))
say(Sleep("sleeper", "z1"))
say(Join("drainer", "x1"))
submit("claimed by a drainer", priority=9)
claim("drainer", "x1", "t-15", "claimed by a drainer")
say(Drain("drainer", "x1"))
say(Join("worker", "w1"))
submit("claimed by a worker", priority=9)
claim("worker", "w1", "t-16", "claimed by a worker")
for _ in range(20):
    for pod in (Beat("leader", "l1"), Beat("restarted", "s2"), Beat("worker", "w1")):
        say(pod)
    say(Beat("drainer", "x1"))
    pass_time(10)

submit("pending", '{"task_type": "load", "file": "b.csv"}')
submit("delayed", delay=7_200 * SECOND, priority=7)

assert store.rebuild(check=True).equal
print(store.counts(), [(pod.pod_id, pod.status, pod.version) for pod in store.pods().pods])
store.close()
