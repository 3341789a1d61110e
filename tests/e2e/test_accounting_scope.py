"""Two subscribers share the tables of one accounting database: each copy holds its own organisations and no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.stack import Stack
from tests.e2e.neighbours import Books, move, neighbours, three_organisations

INVOICES = 2_000
MOVED = 120


@pytest.fixture
def books(embedded_stack: Stack, tmp_path: Path) -> Iterator[tuple[Books, Books]]:
    with neighbours(embedded_stack, tmp_path, INVOICES) as both:
        yield both


def test_a_copy_is_its_scope_and_nothing_else_while_documents_move_and_organisations_come_and_go(
    books: tuple[Books, Books],
) -> None:
    mine, theirs = books
    first, second, third = three_organisations(mine.cloud, mine.area)
    for copy in books:
        assert_it_holds_its_scope_alone(copy)
    for source, target in ((third, first), (second, third), (first, second)):
        move(mine.cloud, source, target, MOVED // 3)
    moved = mine.synchronise()
    assert moved.lines >= MOVED
    assert moved.removed > 0
    assert_it_holds_its_scope_alone(mine)
    for organisations in ([first, second, third], [second]):
        mine.take(organisations)
        assert mine.synchronise().lines > INVOICES // 3
        assert_it_holds_its_scope_alone(mine)
    assert theirs.synchronise().lines == 0
    assert_it_holds_its_scope_alone(theirs)


def assert_it_holds_its_scope_alone(copy: Books) -> None:
    compared = copy.compared()
    assert {table: (held.missing, held.foreign) for table, held in compared.items()} == dict.fromkeys(compared, (0, 0))
    assert compared.keys() == copy.computer.digests().keys()
    assert compared["invoices"].rows > 0
    assert copy.digests_are_equal()
