"""What the bytes of a file must be, and their checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Content:
    """What the bytes of a file must be, as far as it is known."""

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def is_certain(self) -> bool:
        """Whether a checksum tells right from wrong."""
        return bool(self.sha256 or self.md5)

    def wrong(self, path: Path) -> str | None:
        """What is wrong with a file, both values named, or None."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes where {self.size:,} are right"
        for name in ("sha256", "md5"):
            expected = getattr(self, name)
            if expected and (found := digest(path, name)) != expected:
                return f"{name} {found} where {expected} is right"
        return None


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
