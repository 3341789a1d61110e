"""When two choices of organisations are the same."""

from collections.abc import Sequence

import pytest

from services.provisioning.scope import same_scope


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (None, None, True),
        (["1", "2"], ["2", "1"], True),
        (["1"], ["1", "2"], False),
        (["1"], None, False),
        (None, ["1"], False),
    ],
)
def test_order_means_nothing_and_all_is_no_list(
    before: Sequence[str] | None, now: Sequence[str] | None, same: bool
) -> None:
    assert same_scope(before, now) is same
