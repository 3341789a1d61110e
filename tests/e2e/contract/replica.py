"""A workplace's program, written from the protocol page alone: a replica, its exchanges, and nothing more."""

import base64
import gzip
import hashlib
import io
import json
import sqlite3
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.contract.service import Caller, Json, good
from tests.e2e.contract.wire import bucket_of, digest_of, dumps, loads, to_digest, to_sqlite, to_wire

PROGRAM = "contract/1.0"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def content_digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def ndjson(*lines: Json) -> bytes:
    return b"".join(dumps(line).encode() + b"\n" for line in lines)


@dataclass
class Delta:
    """A pulled delta whose count and hash are right."""

    first: Json
    lines: list[Json]
    last: Json

    def of(self, table: str, op: str = "put") -> list[Json]:
        return [line for line in self.lines if line["table"] == table and line["op"] == op]

    def put(self, table: str, **key: Any) -> Json | None:
        found = [line for line in self.of(table) if line["key"] == key]
        assert len(found) < 2
        return found[0] if found else None


@dataclass
class Exchanged:
    """What one whole exchange did."""

    opening: Json
    answers: list[Json] = field(default_factory=list)
    delta: Delta | None = None

    @property
    def results(self) -> list[Json]:
        return [result for answer in self.answers for result in answer["results"]]


def parse_delta(body: bytes) -> Delta:
    """A delta's lines, after counting and hashing them as the page says."""
    assert body.endswith(b"\n")
    raw = body.splitlines(keepends=True)
    first, last = loads(raw[0]), loads(raw[-1])
    assert last["end"] is True
    assert last["count"] == len(raw) - 2
    assert last["sha256"] == sha256(b"".join(raw[:-1]))
    return Delta(first, [loads(line) for line in raw[1:-1]], last)


class Workplace:
    """An unpacked package on some computer."""

    def __init__(self, url: str, package: bytes, folder: Path) -> None:
        self.folder = folder
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            archive.extractall(folder)
        self.file = folder / "InfoBase" / "infobase.db"
        self.about: Json = json.loads((folder / "InfoBase" / "workplace.json").read_bytes())
        self.id: str = self.about["workplace"]
        self.url = url
        self.replica_id = str(uuid4())
        self.caller = Caller(url)
        self.db = self.connect()

    def connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def close(self) -> None:
        self.db.close()
        self.caller.http.close()

    # -- what the replica says about itself

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> Json | None:
        found = self.db.execute(query, values).fetchone()
        return None if found is None else dict(found)

    def state(self, key: str) -> Any:
        found = self.row("SELECT value FROM yurt_workplace WHERE key = ?", key)
        return None if found is None else json.loads(found["value"])

    def keep(self, **values: Any) -> None:
        for key, value in values.items():
            self.db.execute("DELETE FROM yurt_workplace WHERE key = ?", [key])
            self.db.execute("INSERT INTO yurt_workplace (key, value) VALUES (?, ?)", [key, json.dumps(value)])

    def columns(self, table: str) -> dict[str, sqlite3.Row]:
        found = self.rows("SELECT * FROM yurt_columns WHERE table_name = ? ORDER BY ordinal", table)
        return {column["column_name"]: column for column in found}

    def key_columns(self, table: str) -> list[str]:
        keyed = [c for c in self.columns(table).values() if c["key_ordinal"] is not None]
        return [c["column_name"] for c in sorted(keyed, key=lambda c: int(c["key_ordinal"]))]

    def parts(self, table: str) -> dict[str, str]:
        """Part tables of a root and their parent columns."""
        found = self.rows(
            "SELECT part_table, parent_column FROM yurt_aggregates WHERE table_name = ? AND part_table NOT NULL", table
        )
        return {part["part_table"]: part["parent_column"] for part in found}

    def tables(self) -> list[str]:
        """Every application table of the replica, roots and parts."""
        return [r[0] for r in self.rows("SELECT DISTINCT coalesce(part_table, table_name) FROM yurt_aggregates")]

    def roots(self) -> list[str]:
        return [r[0] for r in self.rows("SELECT table_name FROM yurt_aggregates WHERE part_table IS NULL")]

    def changes(self, table: str | None = None) -> list[sqlite3.Row]:
        every = self.rows("SELECT * FROM yurt_changes ORDER BY seq")
        return [change for change in every if table in {None, change["table_name"]}]

    def change(self, table: str) -> Json:
        """The only change of a table, its JSON read."""
        found = self.changes(table)
        assert len(found) == 1, [dict(f) for f in found]
        change = dict(found[0])
        for name in ("key", "before", "parts_before"):
            change[name] = None if change[name] is None else json.loads(change[name])
        return change

    # -- freezing

    def _wire(self, table: str, row: Json, *, blob_hex: bool = False) -> Json:
        kinds = self.columns(table)
        return {
            name: to_wire(kinds[name]["type"], value, blob_hex=blob_hex)
            for name, value in row.items()
            if not kinds[name]["generated"]
        }

    def _lines(self, table: str, parent: str, key: Json) -> list[Json]:
        (value,) = key.values()
        return [self._wire(table, dict(r)) for r in self.rows(f'SELECT * FROM "{table}" WHERE "{parent}" IS ?', value)]

    def _stored_key(self, table: str, key: Json) -> Json:
        return {name: to_sqlite(self.columns(table)[name]["type"], value) for name, value in key.items()}

    def current(self, table: str, key: Json) -> Json | None:
        where = " AND ".join(f'"{name}" IS ?' for name in key)
        found = self.row(f'SELECT * FROM "{table}" WHERE {where}', *key.values())
        return None if found is None else self._wire(table, found)

    def line(self, change: sqlite3.Row) -> Json:
        """One row of `yurt_changes` as a line of a message."""
        table, key = change["table_name"], loads(change["key"])
        before = loads(change["before"])
        parts_before = loads(change["parts_before"]) if change["parts_before"] else {}
        line: Json = {
            "seq": change["seq"],
            "table": table,
            "key": self._wire(table, key),
            "op": change["op"],
            "base": change["base"],
            "before": self._wire(table, before, blob_hex=True),
            "parts_before": {
                part: [self._wire(part, was, blob_hex=True) for was in lines] for part, lines in parts_before.items()
            },
            "edited_at": change["edited_at"],
            "edited_by": change["edited_by"],
        }
        if change["op"] == "put":
            new = change["base"] is None
            line["row"] = self.current(table, self._stored_key(table, line["key"]))
            touched = {p: c for p, c in self.parts(table).items() if new or p in parts_before}
            line["parts"] = {p: self._lines(p, c, self._stored_key(table, line["key"])) for p, c in touched.items()}
        return line

    def freeze(self, number: int) -> bytes:
        """Writes all changes under a number into the outbox; the body."""
        self.db.execute("BEGIN IMMEDIATE")
        changes = self.changes()
        body = ndjson(*(self.line(change) for change in changes))
        self.db.execute(
            "INSERT INTO yurt_outbox (message, body, digest, version) VALUES (?, ?, ?, ?)",
            [number, body, sha256(body), self.state("version")],
        )
        self.db.execute("DELETE FROM yurt_changes")
        self.db.execute("COMMIT")
        return body

    # -- talking

    def activate(self, login: str, password: str, **override: Any) -> httpx.Response:
        body = {"login": login, "password": password, "replica_id": self.replica_id, "program": PROGRAM, **override}
        with Caller(self.url) as nobody:
            answer = nobody.post(f"/workplaces/{self.id}/activation", body)
        if answer.status_code == 200:
            self.caller.http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return answer

    @property
    def token(self) -> str:
        return self.caller.http.headers["Authorization"].removeprefix("Bearer ")

    def opening(self, **override: Any) -> Json:
        outbox = self.row("SELECT min(message) AS n FROM yurt_outbox") or {}
        count = self.rows("SELECT (SELECT count(*) FROM yurt_changes) + (SELECT count(*) FROM yurt_outbox)")[0][0]
        return {
            "replica_id": self.replica_id,
            "configuration": self.state("configuration"),
            "version": self.state("version"),
            "generation": self.state("generation"),
            "position": self.state("position"),
            "scope_version": self.state("scope_version"),
            "last_message": self.state("last_message") or 0,
            "sending": outbox["n"],
            "pending": count,
            "free": self.free(),
            "program": PROGRAM,
            **override,
        }

    def free(self) -> dict[str, int]:
        found = self.rows("SELECT table_name, sum(last - next + 1) FROM yurt_ranges WHERE next <= last GROUP BY 1")
        leased = self.rows("SELECT table_name FROM yurt_aggregates WHERE keys = 'range' AND part_table IS NULL")
        return {table: 0 for (table,) in leased} | {table: int(n) for table, n in found}

    def open(self, **override: Any) -> httpx.Response:
        return self.caller.post("/exchanges", self.opening(**override))

    def begin(self, **override: Any) -> Json:
        """An exchange that is not idle; `verify` makes it so."""
        opened: Json = good(self.open(**{"verify": "tables", **override}), 201)
        return opened

    def push(self, exchange: str, number: int, body: bytes, *, zipped: bool = False, **headers: Any) -> httpx.Response:
        sent = gzip.compress(body) if zipped else body
        named = {
            "Content-Type": "application/x-ndjson",
            "Content-Digest": content_digest(sent),
            "Yurt-Version": self.state("version"),
            **({"Content-Encoding": "gzip"} if zipped else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        kept = {name: value for name, value in named.items() if value is not None}
        return self.caller.call("POST", f"/api/v1/exchanges/{exchange}/messages/{number}", content=sent, headers=kept)

    def pushed(self, opened: Json, *lines: Json, **options: Any) -> Json:
        """Sends hand-made lines as the next message of a fresh exchange; the answer."""
        answer: Json = good(self.push(opened["id"], opened["next_message"], ndjson(*lines), **options), 200)
        opened["next_message"] += 1
        self.keep(last_message=answer["message"])
        return answer

    def answered(self, answer: Json) -> None:
        """A stored answer is in: the outbox is done with it."""
        self.db.execute("BEGIN")
        self.db.execute("DELETE FROM yurt_outbox WHERE message = ?", [answer["message"]])
        self.keep(last_message=answer["message"])
        self.db.execute("COMMIT")

    def pull(self, exchange: str, digests: str | None = None, **override: Any) -> Delta:
        params = {"after": self.state("position"), **({"digests": digests} if digests else {}), **override}
        answer = self.caller.get(f"/exchanges/{exchange}/changes", params=params)
        if answer.status_code == 303:
            answer = self.caller.call("GET", answer.headers["location"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        return parse_delta(answer.content)

    def complete(self, exchange: str, **override: Any) -> httpx.Response:
        """`applied`: how many lines of the delta were applied (the page does not say what it is)."""
        return self.caller.post(
            f"/exchanges/{exchange}/completion", {"position": self.state("position"), "applied": 0, **override}
        )

    def exchange(self, *, digests: str | None = "tables", **override: Any) -> Exchanged:
        """The whole of it: open, push, pull, apply, verify, complete."""
        opened = good(self.open(**({"verify": digests} if digests else {}), **override), 200, 201)
        done = Exchanged(opened)
        if opened.get("idle"):
            self.keep(position=opened["position"])
            return done
        self.lease(opened.get("ranges") or {})
        if opened["last_result"]:
            self.answered(opened["last_result"])
        number = opened["next_message"]
        for held in self.rows("SELECT * FROM yurt_outbox ORDER BY message"):
            self.db.execute("UPDATE yurt_outbox SET message = ? WHERE message = ?", [number, held["message"]])
            answer = good(self.push(opened["id"], number, bytes(held["body"]), Yurt_Version=held["version"]), 200)
            self.answered(answer)
            done.answers.append(answer)
            number += 1
        if self.changes():
            body = self.freeze(number)
            answer = good(self.push(opened["id"], number, body, zipped=True), 200)
            self.answered(answer)
            done.answers.append(answer)
        done.delta = self.pull(opened["id"], digests)
        self.apply(done.delta)
        verdict = {"verified": self.verified(done.delta)} if digests and not self.changes() else {}
        good(self.complete(opened["id"], applied=len(done.delta.lines), **verdict), 200)
        return done

    def lease(self, ranges: Json) -> None:
        for table, lease in ranges.items():
            for first, last in lease["spans"]:
                self.db.execute(
                    "INSERT INTO yurt_ranges (table_name, column_name, next, last) VALUES (?, ?, ?, ?)",
                    [table, lease["column"], int(first), int(last)],
                )

    # -- applying

    def unsent(self) -> set[tuple[str, str]]:
        held = {(c["table_name"], dumps(self._wire(c["table_name"], loads(c["key"])))) for c in self.changes()}
        for outbox in self.rows("SELECT body FROM yurt_outbox"):
            held |= {(line["table"], dumps(line["key"])) for line in map(loads, bytes(outbox["body"]).splitlines())}
        return held

    def _remove(self, table: str, key: Json) -> None:
        stored = self._stored_key(table, key)
        for part, parent in self.parts(table).items():
            self.db.execute(f'DELETE FROM "{part}" WHERE "{parent}" IS ?', list(stored.values()))
        where = " AND ".join(f'"{name}" IS ?' for name in stored)
        self.db.execute(f'DELETE FROM "{table}" WHERE {where}', list(stored.values()))

    def _insert(self, table: str, row: Json) -> None:
        kinds = self.columns(table)
        names = ", ".join(f'"{name}"' for name in row)
        values = [to_sqlite(kinds[name]["type"], value) for name, value in row.items()]
        self.db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', values)

    def apply(self, delta: Delta) -> None:
        """All of it in one transaction, paused, or nothing."""
        unsent = self.unsent()
        mine = [d for d in delta.lines if d["op"] == "bucket" or (d["table"], dumps(d["key"])) not in unsent]
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.db.execute("INSERT INTO yurt_paused DEFAULT VALUES")
            self.db.execute("PRAGMA defer_foreign_keys = ON")
            if delta.first["reset"]:
                self._empty(unsent)
            for line in mine:
                if line["op"] == "bucket":
                    self._tidy(line, unsent)
                else:
                    self._remove(line["table"], line["key"])
            for line in mine:
                if line["op"] == "put":
                    self._insert(line["table"], line["row"])
                    for part, lines in line["parts"].items():
                        for row in lines:
                            self._insert(part, row)
            self.keep(**{name: delta.first[name] for name in ("generation", "scope_version")})
            self.keep(position=delta.last["position"])
            self.db.execute("DELETE FROM yurt_paused")
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def keys(self, table: str) -> list[Json]:
        names = self.key_columns(table)
        listed = ", ".join(f'"{name}"' for name in names)
        return [self._wire(table, dict(row)) for row in self.rows(f'SELECT {listed} FROM "{table}"')]

    def _empty(self, unsent: set[tuple[str, str]]) -> None:
        for table in self.roots():
            for key in self.keys(table):
                if (table, dumps(key)) not in unsent:
                    self._remove(table, key)

    def _tidy(self, line: Json, unsent: set[tuple[str, str]]) -> None:
        table, stay = line["table"], {dumps(key) for key in line["keys"]}
        for key in self.keys(table):
            inside = bucket_of(list(key.values())) == line["bucket"]
            if inside and dumps(key) not in stay and (table, dumps(key)) not in unsent:
                self._remove(table, key)

    # -- digests

    def digests(self, *, buckets: bool = False) -> Json:
        found: Json = {}
        for table, part, parent in self.rows("SELECT table_name, part_table, parent_column FROM yurt_aggregates"):
            name = part or table
            kinds = self.columns(name)
            root_key = [parent] if part else self.key_columns(name)
            rows = self.rows(f'SELECT {", ".join(f"{chr(34)}{c}{chr(34)}" for c in kinds)} FROM "{name}"')
            shaped = [[to_digest(kinds[c]["type"], row[c]) for c in kinds] for row in rows]
            found[name] = {"rows": len(rows), "digest": digest_of(shaped)}
            if buckets:
                split: list[list[list[Any]]] = [[] for _ in range(256)]
                for row, values in zip(rows, shaped, strict=True):
                    split[bucket_of([to_digest(kinds[c]["type"], row[c]) for c in root_key])].append(values)
                found[name]["buckets"] = [digest_of(rows) for rows in split]
        return found

    def verified(self, delta: Delta) -> bool:
        theirs = delta.last["digests"]
        mine = self.digests(buckets=any("buckets" in of for of in theirs.values()))
        return bool(mine == theirs)
