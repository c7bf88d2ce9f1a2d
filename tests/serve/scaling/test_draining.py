"""Those that go: never one with work in flight, and none that would have been idle stays for one that works."""

from hypothesis import given
from hypothesis import strategies as st

from modelwright.records.autoscaling import InstanceLoad
from modelwright.serve.scaling import leaving, recalled, stoppable

fleets = st.lists(
    st.tuples(st.sampled_from(["starting", "ready", "draining"]), st.integers(0, 3), st.floats(0, 100)), max_size=12
).map(
    lambda rows: [
        InstanceLoad(f"i-{number}", state, 0 if state == "starting" else work, since)
        for number, (state, work, since) in enumerate(rows)
    ]
)


def test_first_those_not_ready_then_idle_ones_then_the_least_busy_and_the_newest_first() -> None:
    fleet = [
        InstanceLoad("old", "ready", 0, 1.0),
        InstanceLoad("new", "ready", 0, 2.0),
        InstanceLoad("busy", "ready", 2, 3.0),
        InstanceLoad("half", "ready", 1, 0.0),
        InstanceLoad("unborn", "starting", 0, 4.0),
        InstanceLoad("going", "draining", 0, 9.0),
    ]
    assert leaving(fleet, 9) == ("unborn", "new", "old", "half", "busy")
    assert leaving(fleet, 2) == ("unborn", "new")
    assert leaving(fleet, 0) == leaving(fleet, -3) == ()
    assert stoppable(fleet) == ("going",)


@given(fleets, st.integers(-2, 14))
def test_none_goes_with_work_in_flight_and_none_that_stays_has_less(fleet: list[InstanceLoad], surplus: int) -> None:
    by_id = {one.id: one for one in fleet}
    going = [by_id[name] for name in leaving(fleet, surplus)]
    staying = [one for one in fleet if one.state != "draining" and one not in going]
    assert len(going) == min(max(surplus, 0), sum(one.state != "draining" for one in fleet))
    assert all(one.in_flight <= other.in_flight for one in going for other in staying)
    assert all(by_id[name].in_flight == 0 and by_id[name].state == "draining" for name in stoppable(fleet))


@given(fleets, st.integers(-2, 14))
def test_those_that_come_back_were_going_and_the_busiest_come_first(fleet: list[InstanceLoad], missing: int) -> None:
    by_id = {one.id: one for one in fleet}
    back = [by_id[name] for name in recalled(fleet, missing)]
    assert all(one.state == "draining" for one in back)
    assert [one.in_flight for one in back] == sorted((one.in_flight for one in back), reverse=True)
    assert len(back) == min(max(missing, 0), sum(one.state == "draining" for one in fleet))
