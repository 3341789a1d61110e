"""What the service says its rows are: the digests of a delta, asked for over the workplace's own protocol."""

import json
from typing import Any

from deploy.demo.computer import Computer
from deploy.demo.doors import Door
from deploy.demo.narrator import StoryBroken


def service_digests(url: str, computer: Computer) -> dict[str, dict[str, Any]]:
    """Digests per table for the scope of this workplace, as of now; nothing is applied by asking."""
    state, credentials = computer.state(), computer.credentials()
    opening = {
        "replica_id": credentials["replica_id"],
        "configuration": state["configuration"],
        "version": state["version"],
        "generation": state["generation"],
        "position": state["position"],
        "scope_version": state["scope_version"],
        "last_message": state.get("last_message", 0),
        "sending": None,
        "pending": 0,
        "verify": True,
        "program": "yurt-demo/1",
    }
    with Door(f"{url}/api/v1", credentials["token"]) as door:
        exchange = door.call("POST", "exchanges", opening)
        path = f"exchanges/{exchange['id']}/changes"
        answer = door.http.get(path, params={"after": state["position"], "digests": "tables"}, follow_redirects=True)
        if answer.is_error:
            raise StoryBroken(f"GET {path} was answered {answer.status_code}: {answer.text}")
        end = json.loads(answer.text.splitlines()[-1])
        door.call("DELETE", f"exchanges/{exchange['id']}")
    digests: dict[str, dict[str, Any]] = end["digests"]
    return digests
