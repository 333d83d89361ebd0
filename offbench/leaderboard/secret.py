"""The secret that hidden tasks are drawn from: read, committed to, and never shown.

The organiser publishes SHA-256(salt + secret) in the suite before anybody is scored, and so cannot choose a secret
afterwards that suits somebody. Whoever is shown the secret in the end can check that.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from offbench.errors import OffbenchError
from offbench.leaderboard.suite import Suite

VARIABLE = "OFFBENCH_SECRET"
SHORTEST = 32  # characters; what can be guessed would be found from the commitment


@dataclass(frozen=True)
class Secret:
    """A secret text; it is left out wherever this is printed."""

    text: str = field(repr=False)

    def commitment(self, salt: str) -> str:
        """SHA-256 of the salt (hexadecimal) and the secret."""
        return hashlib.sha256(bytes.fromhex(salt) + self.text.encode()).hexdigest()

    def derived(self, *purpose: str) -> str:
        """64 hexadecimal digits that nobody can tell who lacks the secret, others for every purpose (HMAC-SHA256)."""
        return hmac.new(self.text.encode(), "\n".join(purpose).encode(), hashlib.sha256).hexdigest()


def read_secret(path: Path | None) -> Secret:
    """The secret in a file, or else in the environment variable ``OFFBENCH_SECRET``.

    Raises:
        OffbenchError: there is none, or it is short enough to be guessed.
    """
    if path is None:
        text, where = os.environ.get(VARIABLE, ""), f"the variable {VARIABLE}"
        if not text:
            raise OffbenchError(f"hidden tasks need the secret: name its file with --secret, or set {VARIABLE}")
    else:
        where = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OffbenchError(
                f"cannot read the secret {path}: {getattr(error, 'strerror', None) or error}"
            ) from error
    text = text.strip()
    if len(text) < SHORTEST:
        raise OffbenchError(
            f"the secret in {where} has {len(text)} characters; at least {SHORTEST} random ones are needed"
        )
    return Secret(text)


def new_secret(path: Path) -> Secret:
    """A random secret, in a new file that its owner alone can read.

    Raises:
        OffbenchError: there is such a file already, or it cannot be written.
    """
    made = Secret(secrets.token_hex(32))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise OffbenchError(f"{path} exists; a secret is never replaced, name another file") from error
    except OSError as error:
        raise OffbenchError(f"cannot write the secret {path}: {error.strerror or error}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(made.text + "\n")
    return made


def check_commitment(suite: Suite, secret: Secret) -> None:
    """Refuse, with an OffbenchError, a secret other than the one that the suite's commitment was made with."""
    if suite.commitment is None or suite.salt is None:
        raise OffbenchError(
            f"the suite {suite.name} has no commitment to a secret, so its seed could be chosen afterwards; "
            "offbench leaderboard commit prints the lines to put into it"
        )
    if not hmac.compare_digest(secret.commitment(suite.salt), suite.commitment):
        raise OffbenchError(f"this is not the secret that the suite {suite.name} has committed to")
