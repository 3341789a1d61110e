"""The state machine of a workplace."""

from itertools import product
from typing import get_args

import pytest

from services.provisioning.states import OVER, TRANSITIONS, UNDER_WAY, USABLE, Act, after
from shared.contracts.provisioning import WorkplaceState

STATES: tuple[WorkplaceState, ...] = get_args(WorkplaceState)
ACTS: tuple[Act, ...] = get_args(Act)


def test_the_table_knows_every_state_and_every_act_is_used() -> None:
    assert set(TRANSITIONS) == set(STATES)
    assert {act for acts in TRANSITIONS.values() for act in acts} == set(ACTS)
    assert UNDER_WAY | USABLE | OVER | {"suspended"} == set(STATES)


def test_everything_can_be_deleted_once_and_nothing_comes_back() -> None:
    assert all(after(state, "delete") == "deleted" for state in STATES if state != "deleted")
    assert all(after("deleted", act) is None for act in ACTS)


def test_from_what_is_over_there_is_only_the_way_to_deleted() -> None:
    reached = {after(state, act) for state, act in product(OVER, ACTS)} - {None}
    assert reached == {"deleted"}


def test_the_main_way() -> None:
    state: WorkplaceState | None = "requested"
    way: tuple[Act, ...] = ("grant", "build", "activate", "suspend", "resume_active", "delete")
    for act in way:
        assert state is not None
        state = after(state, act)
    assert state == "deleted"


@pytest.mark.parametrize(
    ("state", "act"), [("requested", "build"), ("ready", "fail"), ("active", "grant"), ("failed", "build")]
)
def test_steps_that_would_skip_something_are_not_there(state: WorkplaceState, act: Act) -> None:
    assert after(state, act) is None
