"""A teacher that looks at pictures: both segments are drawn, and a command or an endpoint is asked which is better.

This is the seat of a vision-language model, as in RL-VLM-F (Wang et al. 2024, https://arxiv.org/abs/2402.03681), which
compares single pictures; no model comes with the package. docs/teachers.md shows a program that asks one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.labelling import contract, transports
from offbench.labelling.asking import pair_of
from offbench.labelling.contract import Answer
from offbench.labelling.transports import Patience, Transport

SIZE = (240, 180)  # width and height, in pixels


@dataclass(frozen=True)
class Pictured:
    """Draws both segments and asks; see `offbench.labelling.contract` for what is sent and answered.

    Segments are drawn as `offbench data render` draws episodes: what tells the simulator's state are the observations
    of MuJoCo's robots, PointMaze and Pendulum, and the extra columns qpos and qvel for other tasks of MuJoCo.

    Attributes:
        transport: who is asked.
        prompt: what is asked, in words that the one who answers understands.
        task: what the data were recorded in.
        frames: pictures of a segment at most, equally far apart from its first state on; 1: its last state.
        size: width and height of a picture in pixels.
        patience: how often is asked for one label.
        name: who answers, where answers are kept: those of one name are one teacher's, wherever it is asked. By default
            the command or the whole address.

    Raises:
        OffbenchError: an empty prompt, or frames and sizes that are not positive.
    """

    transport: Transport
    prompt: str
    task: Task
    frames: int = 4
    size: tuple[int, int] = SIZE
    patience: Patience = field(default_factory=Patience)
    name: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise OffbenchError("the prompt of a teacher is empty; say by what the better of two segments is told")
        if self.frames < 1 or min(self.size) < 1:
            raise OffbenchError(f"frames {self.frames} and size {self.size} of pictures must be at least 1")

    @property
    def identity(self) -> str:
        """SHA-256 of who is asked, what, and how segments are drawn."""
        t = self.transport
        address = t.command if isinstance(t, transports.Command) else t.url
        who = self.name or f"{type(t).__name__} {address}"
        return contract.hash_of([contract.SCHEMA, who, self.prompt, self.task.name, self.frames, list(self.size)])

    def __str__(self) -> str:
        prompt = self.prompt if len(self.prompt) <= 200 else f"{self.prompt[:200]}..."
        return f"{self.name or self.transport}, asked {prompt!r} of {self.frames} pictures a segment"

    def __call__(self, first: Trajectories, second: Trajectories) -> Answer:
        """The answer on two segments.

        Raises:
            OffbenchError: the segments cannot be drawn, or there is no answer.
        """
        sides = []
        for segment in (first, second):
            frames, seconds = self._drawn(segment)
            sides.append(contract.side(frames, int(segment.lengths[0]), seconds))
        body = contract.request(self.prompt, pair_of(first, second), self.task.name, *sides)
        return transports.answer(self.transport, body, self.patience)

    def _drawn(self, segment: Trajectories) -> tuple[list[Array], float]:
        """The pictures of a segment, and the simulated seconds from one to the next."""
        # Imported here because it pulls in the simulators.
        from offbench.environments.pictures import film

        steps = int(segment.lengths[0])
        every = max(1, -(-steps // max(1, self.frames - 1)))
        drawn = film(self.task, segment, every, max(2, self.frames), self.size)
        return (drawn.frames[-1:] if self.frames == 1 else drawn.frames), drawn.seconds
