"""The story itself, chapter by chapter."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deploy.demo.cloud import ROOT, Cloud, fill, sources
from deploy.demo.computer import Computer
from deploy.demo.doors import Operator, Person
from deploy.demo.narrator import Narrator
from deploy.demo.plot import Plot
from deploy.demo.tidy import clear_folder, end_earlier_workplaces
from deploy.demo.told_digests import service_digests
from deploy.stack.stack import Stack

PASSWORD = "felt-and-lattice-42"  # noqa: S105 - of a person who lives in this demonstration only

PROBLEMS_CAME_BACK = 3  # exit code of the workplace's program


def tell(narrator: Narrator, stack: Stack, plot: Plot) -> None:
    """Tells all of it; `StoryBroken` at the first thing that is not as told."""
    sources(plot)
    with ExitStack() as doors:
        operator = doors.enter_context(Operator(stack.url, stack.operator_token))
        fill_the_cloud(narrator, stack, plot)
        person = doors.enter_context(attach(narrator, stack, plot, operator))
        workplace = _create(narrator, plot, person)
        computer = _download(narrator, stack, plot, person, workplace)
        picks = {**computer.pick(plot.picks), "prefix": workplace["prefix"]}
        cloud = Cloud(stack.database_url(stack.demo_database(plot.application)), picks)
        _work_offline(narrator, plot, computer, picks)
        _work_in_the_cloud(narrator, plot, cloud)
        _synchronise(narrator, plot, computer, cloud, picks)
        _show_the_conflict(narrator, plot, person, computer, picks)
        _refuse_the_second(narrator, plot, person)
        _prove(narrator, stack, computer)
    _where_to_look(narrator, plot, computer)


def fill_the_cloud(narrator: Narrator, stack: Stack, plot: Plot) -> None:
    narrator.chapter("A business application in the cloud")
    end_earlier_workplaces(stack, plot, PASSWORD)
    measured = fill(stack, plot)
    count = ", ".join(f"{value:,} {name}" for name, value in measured.items() if value)
    narrator.say(
        f"Database {stack.demo_database(plot.application)} is filled: {count}. The application knows nothing of Yurt."
    )


def attach(narrator: Narrator, stack: Stack, plot: Plot, operator: Operator) -> Person:
    narrator.chapter("The operator attaches it")
    operator.put(
        f"subscribers/{plot.code}",
        {
            "name": plot.subscriber,
            "plan": "starter",
            "extra_seats": 0,
            "valid_until": "2099-12-31",
            "local_licence": True,
        },
    )
    narrator.say(f"The subscriber {plot.subscriber} has the plan Starter: one seat, for one workplace.")
    manifest = (ROOT / "applications" / plot.application / "manifest.toml").read_text(encoding="utf-8")
    application = {"subscriber": plot.code, "title": plot.title, "manifest": manifest, "connection": plot.connection}
    operator.put(f"applications/{plot.code}", application | {"area": plot.area})
    if plot.area:
        narrator.say(f"Several subscribers share its database; the rows of this one are those of area {plot.area}.")
    narrator.say(f"The application {plot.code} is attached by its manifest; its changes are recorded from now on.")
    login = f"admin@{plot.code}"
    user = {"full_name": plot.administrator, "role": "administrator", "password": PASSWORD}
    operator.put(f"applications/{plot.code}/users/{login}", user)
    person = Person(stack.url, login, PASSWORD)
    narrator.say(f"{person.name} may administer it and signs in as {login}.")
    return person


def _create(narrator: Narrator, plot: Plot, person: Person) -> dict[str, Any]:
    narrator.chapter("She presses Create")
    application = person.call("GET", f"applications/{plot.code}")
    wish: dict[str, Any] = {"name": "Field office"}
    if application["organisations"]:
        chosen = sorted(application["organisations"], key=lambda organisation: str(organisation["title"]))[:2]
        wish["organisations"] = [organisation["key"] for organisation in chosen]
        names = " and ".join(str(organisation["title"]) for organisation in chosen)
        narrator.say(f"Of {len(application['organisations'])} organisations she takes two with her: {names}.")
    workplace = person.call("POST", f"applications/{plot.code}/workplaces", wish)
    with narrator.bar("preparing") as bar:
        for state in person.follow(workplace["id"]):
            workplace = state
            progress = state["progress"] or {"phase": state["state"], "done": 0, "total": None}
            bar.show(str(progress["phase"]), progress["done"] or 0, progress["total"])
    if workplace["reason"]:
        narrator.say(workplace["reason"]["text"])
    narrator.expect(workplace["state"] == "ready", f"The workplace is ready; its prefix is {workplace['prefix']}.")
    return workplace


def _download(narrator: Narrator, stack: Stack, plot: Plot, person: Person, workplace: dict[str, Any]) -> Computer:
    narrator.chapter("She downloads the package and unzips it on her computer")
    package = workplace["package"]
    home = clear_folder(stack.home / "demo" / plot.application)
    file = home / "package.zip"
    half = package["size"] // 2
    etag = person.download_part(workplace["id"], file, until=half)
    narrator.say(f"The line breaks on purpose after {file.stat().st_size:,} of {package['size']:,} bytes.")
    person.download_part(workplace["id"], file, etag=etag)
    narrator.expect(
        file.stat().st_size == package["size"], f"The rest follows by range: {package['filename']} is whole."
    )
    computer = Computer(home / "workplace", home / "computer")
    names = computer.unzip(file)
    narrator.aside("\n".join(names))
    narrator.expect(not computer.damaged(), "Size and SHA-256 of every file are as manifest.json says.")
    narrator.expect(computer.asked(plot.scope, {}), plot.scope_promise)
    narrator.aside(computer.run("status"))
    return computer


def _work_offline(narrator: Narrator, plot: Plot, computer: Computer, picks: dict[str, Any]) -> None:
    narrator.chapter("She works offline, with any program that opens SQLite")
    for edit in plot.offline:
        computer.edit(edit, picks)
        narrator.say(edit.say)
    changes = computer.changes()
    narrator.expect(
        len(changes) == len(plot.offline), f"The replica itself has noted {len(changes)} changed objects to send."
    )


def _work_in_the_cloud(narrator: Narrator, plot: Plot, cloud: Cloud) -> None:
    narrator.chapter("Meanwhile others work in the cloud")
    for edit in plot.cloud:
        cloud.edit(edit.sql)
        narrator.say(edit.say)


def _synchronise(narrator: Narrator, plot: Plot, computer: Computer, cloud: Cloud, picks: dict[str, Any]) -> None:
    narrator.chapter("The line is there again: Synchronise")
    sign_in = ("--login", f"admin@{plot.code}", "--password-stdin")
    narrator.aside(computer.run("sync", *sign_in, typed=f"{PASSWORD}\n", expect=(PROBLEMS_CAME_BACK,)))
    there = [("→ cloud", edit, cloud.asked(edit.arrived)) for edit in plot.offline]
    back = [("← cloud", edit, computer.asked(edit.arrived, picks)) for edit in plot.cloud]
    rows = there + back
    told = [(way, edit.say, edit.outcome if true else "MISSING") for way, edit, true in rows]
    narrator.table(("way", "change", "what became of it"), told)
    narrator.expect(all(true for *_, true in rows), "Each change is where it belongs, on both sides.")
    narrator.expect(not computer.changes(), "Nothing is left to send.")


def _show_the_conflict(
    narrator: Narrator, plot: Plot, person: Person, computer: Computer, picks: dict[str, Any]
) -> None:
    narrator.chapter("One object was edited on both sides")
    told = plot.conflict
    problems = person.call("GET", f"applications/{plot.code}/problems")["items"]
    mine = [problem for problem in problems if str(picks[told["key"]]) in map(str, problem["key"].values())]
    narrator.expect(len(mine) == 1 and mine[0]["kind"] == "conflict", "It is in the list of problems, once.")
    (problem,) = mine
    column = told["column"]
    service, pushed = problem["service"]["row"][column], problem["pushed"]["row"][column]
    narrator.table(
        ("version", f"{told['table']}.{column}", "in force"),
        [
            ("of the cloud", service, "yes" if problem["in_force"] == "service" else ""),
            ("of the workplace", pushed, "yes" if problem["in_force"] == "workplace" else ""),
        ],
    )
    both = service == told["in_force"] and pushed == told["pushed"]
    narrator.expect(both, "Both versions are kept; a person may still put the other one in force.")
    narrator.aside(computer.run("problems"), lines=9)


def _refuse_the_second(narrator: Narrator, plot: Plot, person: Person) -> None:
    narrator.chapter("A second workplace")
    second = person.call("POST", f"applications/{plot.code}/workplaces", {"name": "Second office"})
    for state in person.follow(second["id"]):
        second = state
    reason = second["reason"] or {"code": "", "text": ""}
    narrator.say(reason["text"])
    refused = second["state"] == "refused" and reason["code"] == "seat_limit_reached"
    narrator.expect(refused, "It is refused: the plan Starter has one seat.")
    seats = person.call("GET", f"applications/{plot.code}")["seats"]
    narrator.expect(seats == {"limit": 1, "used": 1}, "One seat of one is used, not more.")


def _prove(narrator: Narrator, stack: Stack, computer: Computer) -> None:
    narrator.chapter("Proof that the copy equals the cloud")
    narrator.aside(computer.run("verify"))
    there, here = service_digests(stack.url, computer), computer.digests()
    rows = [
        (table, there[table]["rows"], there[table]["digest"], here.get(table, {}).get("digest"))
        for table in sorted(there)
    ]
    narrator.table(("table", "rows", "digest in the cloud", "digest of the copy"), rows, numbers=(1,))
    narrator.expect(there == here, f"All {len(there)} tables are equal, row for row.")


def _where_to_look(narrator: Narrator, plot: Plot, computer: Computer) -> None:
    narrator.chapter("Where to look next")
    narrator.say(f"The workplace is in {_short(computer.folder)}; open InfoBase/infobase.db with any SQLite program.")
    narrator.say(f"Its program needs only Python: cd {_short(computer.folder)} && python3 yurt-workplace.pyz list")
    narrator.say(f"`make serve` keeps this cloud running; sign in as admin@{plot.code} with the password {PASSWORD}.")
    narrator.say("README.md says what is where, docs/adr/ why it is so.")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
