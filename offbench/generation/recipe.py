"""What a recipe says: which function makes a dataset, from which seed, how much of it, and what it should come to."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Expected(BaseModel):
    """What a generated dataset should come to, measured over many episodes where its recipe was written.

    Simulators and processors differ in the last bit, and contacts amplify that: on another machine the episodes are
    others, of the same distribution.

    Attributes:
        mean_return, return_error: mean undiscounted return of its episodes, and the standard error of that mean.
        mean_length, length_error: the same of their numbers of steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean_return: float
    return_error: float = Field(ge=0)
    mean_length: float
    length_error: float = Field(ge=0)


class Recipe(BaseModel):
    """How a dataset is generated.

    Attributes:
        name: a function of `offbench.generation.recipes`.
        seed: the same seed gives the same data.
        episodes: how many are recorded; or
        transitions: how many steps at least are recorded, in whole episodes.
        expected: what the returns of the data should be, on whatever machine they are generated.
        arguments: what else the function takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seed: int = Field(ge=0)
    episodes: int | None = Field(default=None, gt=0)
    transitions: int | None = Field(default=None, gt=0)
    expected: Expected | None = None
    arguments: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_size(self) -> Recipe:
        if (self.episodes is None) == (self.transitions is None):
            raise ValueError("a recipe says either how many episodes or how many transitions it records")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all fields but what is expected: equal recipes, equal digest."""
        made = self.model_dump_json(exclude={"expected"}, exclude_none=True)
        return hashlib.sha256(made.encode()).hexdigest()
