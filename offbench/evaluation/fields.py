"""Kinds of fields that all parts of a run record share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal")]
Name = Annotated[str, Field(min_length=1)]


def _with_lists(value: Any) -> Any:
    """Tuples as lists, which is what JSON makes of them, so that a record equals itself after a round trip."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(_with_lists)]


class Strict(BaseModel):
    """Every field is known, every number finite, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
