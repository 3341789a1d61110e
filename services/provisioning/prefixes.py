"""Prefixes of document numbers: bijective base 26, so that every counter value has a word of its own."""


def prefix(number: int) -> str:
    """The prefix of the workplace with this number in its application: 1 is A, 26 is Z, 27 is AA.

    Never the same twice.
    """
    if number < 1:
        raise ValueError("workplaces are numbered from 1")
    letters = ""
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
