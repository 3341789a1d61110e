"""`python3 -m deploy.compose.first_env`: writes .env from .env.example, secrets made. Standard library only."""

import os
import secrets
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def with_secrets(example: str) -> str:
    """The text with a secret of its own behind every `NAME=` that has no value. Hexadecimal: they stand in URLs."""
    lines = (
        f"{line}{secrets.token_hex(24)}" if line.endswith("=") and not line.startswith("#") else line
        for line in example.splitlines()
    )
    return "\n".join(lines) + "\n"


def write(example: Path, env: Path) -> None:
    """Afterwards `env` exists, its owner's only. Raises FileExistsError: secrets in use are never replaced."""
    text = with_secrets(example.read_text(encoding="utf-8"))
    with os.fdopen(os.open(env, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    write(ROOT / ".env.example", ROOT / ".env")
    print("Secrets were made: .env holds them. Keep a copy; the data cannot be opened with others.")
