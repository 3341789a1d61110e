"""The story of `make demo`, told to nobody and checked at every step."""

from io import StringIO

import pytest
from rich.console import Console

from deploy.demo.cloud import DataMissing, sources
from deploy.demo.narrator import Narrator
from deploy.demo.plot import read_plot
from deploy.demo.story import tell
from deploy.stack.stack import Stack


def told(stack: Stack, application: str) -> str:
    """What a newcomer would read."""
    plot = read_plot(application)
    try:
        sources(plot)
    except DataMissing as missing:
        pytest.skip(str(missing))  # not a server that cannot be had: data of another licence, named
    text = StringIO()
    tell(Narrator(Console(file=text, width=120)), stack, plot)
    return text.getvalue()


@pytest.mark.parametrize("application", ["accounting_kz", "northwind"])
def test_the_story_holds_with_everything_embedded(embedded_stack: Stack, application: str) -> None:
    assert "row for row" in told(embedded_stack, application)


def test_the_story_can_be_told_again(embedded_stack: Stack) -> None:
    told(embedded_stack, "accounting_kz")
    assert "row for row" in told(embedded_stack, "accounting_kz")


@pytest.mark.xdist_group("broker")
@pytest.mark.parametrize("application", ["accounting_kz", "northwind"])
def test_the_story_holds_on_a_broker_with_four_processes(broker_stack: Stack, application: str) -> None:
    assert sorted(broker_stack.services) == ["licensing", "provisioning", "snapshot-builder", "sync-gateway"]
    assert "row for row" in told(broker_stack, application)
