"""Servers that a setting names: taken as they are, or the search ends."""

from collections.abc import Callable

import psycopg

from deploy.servers.server import Server


class NamedServerSilent(Exception):
    """A server was named by a setting and does not answer: another one is not taken in its place."""


def named_server(part: str, setting: str, url: str, version_of: Callable[[str], str]) -> Server:
    """The server at `url`, which `setting` names; raises `NamedServerSilent`."""
    try:
        return Server(part, version_of(url), url, setting)
    except (OSError, psycopg.Error) as error:
        raise NamedServerSilent(f"{part} named by {setting} does not answer: {error}") from error
