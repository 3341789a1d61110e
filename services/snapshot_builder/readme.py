"""ReadMe.html of a package: the template beside the program, filled in for one workplace."""

from collections.abc import Mapping
from html import escape
from string import Template


def render_readme(template: str, values: Mapping[str, str]) -> bytes:
    """The page as UTF-8. Values are escaped; a name the template has and `values` has not raises `KeyError`."""
    return Template(template).substitute({name: escape(value) for name, value in values.items()}).encode()
