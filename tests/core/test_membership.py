"""What a pod tells the fleet when it joins."""

from __future__ import annotations

from itertools import count

from fleet_q.core.pod import Join, PodDescription
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.membership import Membership


def test_pod_tells_what_it_is_at_the_time_of_each_join() -> None:
    numbers = count()
    slots = 1

    def describe() -> PodDescription:
        return PodDescription("host", "1.0", slots)

    member = Membership("pod", PodSettings(), lambda: f"i{next(numbers)}", describe)
    joins = [member.due_command(0, may_leave=False, should_sleep=False)]
    member.on_command_done(Join("pod", "i0"), 0)
    slots = 2
    member.begin_incarnation()
    joins.append(member.due_command(0, may_leave=False, should_sleep=False))
    assert joins == [
        Join("pod", "i0", PodDescription("host", "1.0", 1).text),
        Join("pod", "i1", PodDescription("host", "1.0", 2).text),
    ]


def test_pod_without_a_description_tells_nothing() -> None:
    member = Membership("pod", PodSettings(), lambda: "one")
    command = member.due_command(0, may_leave=False, should_sleep=False)
    assert command == Join("pod", "one", None)
