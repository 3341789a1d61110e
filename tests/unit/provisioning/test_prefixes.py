"""Prefixes never repeat and hold nothing but Latin capitals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provisioning.prefixes import prefix


@pytest.mark.parametrize(
    ("number", "letters"), [(1, "A"), (26, "Z"), (27, "AA"), (52, "AZ"), (53, "BA"), (702, "ZZ"), (703, "AAA")]
)
def test_numbers_are_words_in_bijective_base_26(number: int, letters: str) -> None:
    assert prefix(number) == letters


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_a_prefix_tells_its_number_so_no_two_are_equal(number: int) -> None:
    letters = prefix(number)
    read = 0
    for letter in letters:
        assert "A" <= letter <= "Z"
        read = read * 26 + ord(letter) - ord("A") + 1
    assert read == number


def test_the_prefixes_of_thirty_thousand_workplaces_differ_not_only_in_case() -> None:
    made = [prefix(number) for number in range(1, 30_001)]
    assert len({letters.casefold() for letters in made}) == 30_000
    assert all(letters.isascii() and letters.isalpha() for letters in made)  # never the `-` before the counter
    assert max(map(len, made)) == 4
    numbers = {f"{letters}-{counter}" for letters in made for counter in (1, 11, 111)}
    assert len({number.casefold() for number in numbers}) == 90_000


def test_there_is_no_workplace_number_zero() -> None:
    with pytest.raises(ValueError, match="from 1"):
        prefix(0)
