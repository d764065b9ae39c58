"""Where turns are dear, what has ended waits a moment for what is about to end."""

from __future__ import annotations

from tests.core.helpers import Pilot


def pod_whose_turns_take(seconds: float, *step_ids: str) -> Pilot:
    """A pod that was given these steps by a turn of that duration."""
    pilot = Pilot()
    request = pilot.sync()
    pilot.wait(seconds)
    pilot.answer(request, *step_ids)
    return pilot


def test_the_first_outcome_waits_a_tenth_of_a_turn_for_others() -> None:
    pilot = pod_whose_turns_take(1.0, "a", "b", "c")
    pilot.finish("a")
    plan = pilot.plan()
    assert (plan.request, plan.next_at) == (None, 101.1)
    pilot.wait(0.05)
    pilot.finish("b")
    assert pilot.plan().request is None
    pilot.wait(0.06)
    assert [outcome.step_id for outcome in pilot.sync().outcomes] == ["a", "b"]


def test_nothing_is_waited_for_when_nothing_runs() -> None:
    pilot = pod_whose_turns_take(1.0, "a", "b")
    pilot.finish("a")
    assert pilot.plan().request is None
    pilot.finish("b")
    assert len(pilot.sync().outcomes) == 2


def test_a_heartbeat_does_not_wait_and_takes_along_what_is_there() -> None:
    pilot = pod_whose_turns_take(1.0, "a", "b")
    pilot.wait(9.99)
    pilot.finish("a")
    assert pilot.plan().request is None
    pilot.wait(0.01)
    request = pilot.sync()
    assert request.pod_command is not None
    assert len(request.outcomes) == 1


def test_where_turns_cost_nothing_nothing_waits() -> None:
    pilot = pod_whose_turns_take(0.0, "a", "b")
    pilot.finish("a")
    assert len(pilot.sync().outcomes) == 1
