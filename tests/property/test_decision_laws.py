"""Laws of decisions: of a problem's two versions one or the other stands, and nothing else changes with it."""

from hypothesis import given
from hypothesis import strategies as st

from shared.replication.dispute import Dispute
from shared.replication.merge import merge
from tests.property.test_merge_laws import (
    PARTS,
    SHAPE,
    Cells,
    Record,
    conflicts,
    differ,
    divergences,
    edits,
    push,
    result,
    stored,
)

Found = tuple[Record, Record, Record]
Line = Cells | None


def decided(about: Dispute, present: Record | None, whose: str) -> Record | None:
    """The record after a decision."""
    return result(merge(SHAPE, stored(present), about.wanted(SHAPE, stored(present), whose), "workplace_wins"), present)


def dispute(found: Found, *, partly: bool) -> Dispute:
    before, service, workplace = found
    return Dispute(push(before, workplace), stored(service), partly=partly)


def known(record: Record | None) -> Record:
    assert record is not None
    return record


@given(divergences(), st.booleans())
def test_the_versions_take_turns_as_often_as_one_likes(found: Found, partly: bool) -> None:
    _, service, _ = found
    about = dispute(found, partly=partly)
    stands: Record | None = service
    versions: dict[str, Record | None] = {}
    for _ in range(2):
        for whose in ("workplace", "service"):
            stands = decided(about, stands, whose)
            assert not differ(stands, versions.setdefault(whose, stands))
            assert decided(about, stands, whose) == stands


@given(divergences())
def test_when_all_is_in_dispute_the_services_version_is_the_one_it_was(found: Found) -> None:
    _, service, _ = found
    about = dispute(found, partly=False)
    assert not differ(decided(about, decided(about, service, "workplace"), "service"), service)


@given(divergences())
def test_a_part_of_a_conflict_that_was_none_does_not_come_and_go(found: Found) -> None:
    """What the policies agree about stands already."""
    before, service, workplace = found
    won = known(result(merge(SHAPE, stored(service), push(before, workplace), "workplace_wins"), service))
    lost = known(result(merge(SHAPE, stored(service), push(before, workplace), "service_wins"), service))
    about = dispute(found, partly=True)
    assert not differ(decided(about, lost, "workplace"), won)
    assert not differ(decided(about, won, "service"), lost)
    if not conflicts(before, workplace, service):
        assert not differ(won, lost)


@given(divergences(), st.booleans(), st.data())
def test_what_is_not_in_dispute_keeps_its_present_value(found: Found, partly: bool, data: st.DataObject) -> None:
    """Whoever changed it since, and whatever it is now."""
    _, service, _ = found
    about = dispute(found, partly=partly)
    workplaces = known(decided(about, service, "workplace"))
    services = known(decided(about, workplaces, "service"))
    for wanted, whose in ((workplaces, "workplace"), (services, "service")):
        present = data.draw(edits(data.draw(st.sampled_from([services, workplaces]))))
        then = known(decided(about, present, whose))
        cells_are_right(services.row, workplaces.row, wanted.row, present.row, then.row)
        for part in PARTS:
            for no in range(1, 5):
                sides = [record.parts[part].get(no) for record in (services, workplaces, wanted, present, then)]
                line_is_right(*sides)


def line_is_right(one: Line, other: Line, wanted: Line, now: Line, then: Line) -> None:
    if not differ(one, other):
        assert then == now
    elif one is None or other is None:
        assert not differ(then, wanted)
    else:
        assert then is not None
        assert wanted is not None
        cells_are_right(one, other, wanted, now or wanted, then)


def cells_are_right(one: Cells, other: Cells, wanted: Cells, now: Cells, then: Cells) -> None:
    for name in one:
        disputed = differ({name: one[name]}, {name: other[name]})
        assert not differ({name: then[name]}, {name: (wanted if disputed else now)[name]})


@given(divergences())
def test_a_record_that_is_gone_comes_back_whole(found: Found) -> None:
    _, service, _ = found
    about = dispute(found, partly=False)
    assert not differ(decided(about, None, "service"), service)
    assert not differ(decided(about, None, "workplace"), decided(about, service, "workplace"))


@given(divergences())
def test_a_deletion_is_decided_whole(found: Found) -> None:
    before, service, now = found
    about = Dispute(push(before, None), stored(service), partly=True)
    assert decided(about, now, "workplace") is None
    assert not differ(decided(about, None, "service"), service)
    assert not differ(decided(about, now, "service"), service)
