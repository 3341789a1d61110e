"""How a process is killed at a named place: the function there is wrapped from outside, the product knows nothing."""

import functools
import inspect
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Literal

Strike = Callable[["Point"], None]


def always(arguments: tuple[Any, ...], result: Any) -> bool:
    """Every call counts."""
    return True


@dataclass(frozen=True)
class Point:
    """A place to die at.

    `at`: `module:name` of a function, where it is looked up when it is called (not where it is defined), or
    `module:Class.method`. Death comes when the `nth` call for which `only(arguments, result)` holds begins (`before`,
    result None) or has returned (`after`). Of a generator the `nth` item counts: `after` it was taken by who reads it.
    `drive`: which doings lead there, a name in `drives.py`.
    """

    name: str
    drive: str
    when: Literal["before", "after"]
    at: str
    nth: int = 1
    only: Callable[[tuple[Any, ...], Any], bool] = always

    @property
    def in_program(self) -> bool:
        """Whether it is a place in the workplace's program, else in the service."""
        return self.at.startswith("workplace.")


class ArmedByFile:
    """Kills this process at the point that `file` names: by renaming the file it first tells that it was reached."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._hits: dict[str, int] = {}
        self._lock = Lock()

    def __call__(self, point: Point) -> None:
        with self._lock:
            try:
                name, mark = self._file.read_text().split("\n")
            except FileNotFoundError:
                return
            if name != point.name:
                return
            self._hits[mark] = self._hits.get(mark, 0) + 1
            if self._hits[mark] >= point.nth:
                self._file.rename(reached(self._file))
                os.kill(os.getpid(), signal.SIGKILL)


def arm(file: Path, point: Point, mark: str) -> None:
    """The next time the process that looks at `file` comes to the point, it dies there. `mark` is new each time."""
    reached(file).unlink(missing_ok=True)
    coming = file.with_suffix(".coming")
    coming.write_text(f"{point.name}\n{mark}")
    coming.rename(file)


def reached(file: Path) -> Path:
    """What `file` is called once its point was reached."""
    return file.with_suffix(".reached")


def install(points: Iterable[Point], strike: Strike) -> None:
    """From now on `strike` is called at each of the points. A point that names nothing raises."""
    for point in points:
        owner, name = place(point)
        setattr(owner, name, _wrapped(getattr(owner, name), point, strike))


def place(point: Point) -> tuple[Any, str]:
    """The module or class that holds the function, and its name there; AttributeError when there is none."""
    module, _, path = point.at.partition(":")
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, import_module(module))
    getattr(owner, name)
    return owner, name


def _wrapped(function: Callable[..., Any], point: Point, strike: Strike) -> Callable[..., Any]:
    def look(when: str, arguments: tuple[Any, ...], result: Any = None) -> None:
        if point.when == when and point.only(arguments, result):
            strike(point)

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return _watched_items(function, look)

    @functools.wraps(function)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        look("before", arguments)
        result = await function(*arguments, **named)
        look("after", arguments, result)
        return result

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        look("before", arguments)
        result = function(*arguments, **named)
        look("after", arguments, result)
        return result

    return awaited if inspect.iscoroutinefunction(function) else called


def _watched_items(function: Callable[..., Any], look: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def to_come(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        async for item in function(*arguments, **named):
            look("before", arguments, item)
            yield item
            look("after", arguments, item)

    @functools.wraps(function)
    def items(*arguments: Any, **named: Any) -> Iterator[Any]:
        for item in function(*arguments, **named):
            look("before", arguments, item)
            yield item
            look("after", arguments, item)

    return to_come if inspect.isasyncgenfunction(function) else items
