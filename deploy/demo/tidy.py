"""What an earlier telling left behind is put away through the same doors, so that the story can be told again."""

import shutil
from pathlib import Path

import httpx

from deploy.demo.doors import Person
from deploy.demo.narrator import StoryBroken
from deploy.demo.plot import Plot
from deploy.stack.stack import Stack


def end_earlier_workplaces(stack: Stack, plot: Plot, password: str) -> None:
    """Ends the workplaces of this application, which frees their seats. Nothing to do at the first telling."""
    try:
        person = Person(stack.url, f"admin@{plot.code}", password)
    except StoryBroken:
        return  # nobody to sign in as: never told here
    with person:
        try:
            listed = person.call("GET", f"applications/{plot.code}/workplaces?limit=200")
        except httpx.HTTPError as error:
            raise StoryBroken(f"the workplaces of an earlier telling cannot be listed: {error}") from error
        for workplace in listed["items"]:
            if workplace["state"] != "deleted":
                person.call("DELETE", f"workplaces/{workplace['id']}")


def clear_folder(folder: Path) -> Path:
    """An empty folder at that place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
