"""Events of an invented service, for the suites of messaging."""

from typing import ClassVar

from shared.contracts.envelope import Event


class LampLit(Event):
    wire_name: ClassVar[str] = "lamps.lamp_lit.v1"

    lamp: str


class LampSold(Event):
    wire_name: ClassVar[str] = "lamps.lamp_sold.v1"

    lamp: str
