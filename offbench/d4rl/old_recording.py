"""Gym's Monitor, RecordVideo and VideoRecorder: films as MP4 where the extra video is installed, else as GIF."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from offbench.basis.files import atomic
from offbench.d4rl.old_wrappers import Wrapper
from offbench.environments.pictures import Film
from offbench.errors import OffbenchError


def capped_cubic_video_schedule(episode_id: int) -> bool:
    """Gym's choice of episodes: the cubes up to 1000, then every thousandth."""
    return round(episode_id ** (1.0 / 3)) ** 3 == episode_id if episode_id < 1000 else episode_id % 1000 == 0


class VideoRecorder:
    """Pictures of an environment, written when it is closed.

    Attributes:
        path: the film's file.
        enabled: whether pictures are taken.
    """

    def __init__(
        self,
        env: Any,
        path: str | None = None,
        metadata: Any = None,
        enabled: bool = True,
        base_path: str | None = None,
    ) -> None:
        if path is None and base_path is None:
            raise OffbenchError("a film needs a path, or a base_path without a suffix")
        self.env, self.enabled = env, enabled
        self.path = str(path or f"{base_path}.mp4")
        if not find_spec("imageio_ffmpeg"):
            self.path = str(Path(self.path).with_suffix(".gif"))
        self._frames: list[Any] = []

    def capture_frame(self) -> None:
        """Take a picture."""
        if self.enabled:
            self._frames.append(self.env.render(mode="rgb_array"))

    def close(self) -> None:
        """Write the film, if there are pictures."""
        if self._frames:
            seconds = float(getattr(self.env, "dt", 1 / 30))
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            Film(self._frames, 1, seconds).save(self.path)
        self._frames, self.enabled = [], False


class RecordVideo(Wrapper):
    """Films of episodes, or of a number of steps from some step on."""

    def __init__(
        self,
        env: Any,
        video_folder: str,
        episode_trigger: Callable[[int], bool] | None = None,
        step_trigger: Callable[[int], bool] | None = None,
        video_length: int = 0,
        name_prefix: str = "rl-video",
    ) -> None:
        super().__init__(env)
        if episode_trigger is None and step_trigger is None:
            episode_trigger = capped_cubic_video_schedule
        self.episode_trigger, self.step_trigger = episode_trigger, step_trigger
        self.video_folder, self.video_length, self.name_prefix = video_folder, video_length, name_prefix
        self.video_recorder: VideoRecorder | None = None
        self.episode_id, self.step_id, self.recorded_frames = 0, 0, 0

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode; returns the observation."""
        observation = self.env.reset(**kwargs)
        if self.video_recorder is not None:
            self._capture()
        elif self._wanted():
            self.start_video_recorder()
        return observation

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step; a film ends with its episode, or after its number of steps."""
        stepped: tuple[Any, float, bool, dict[str, Any]] = self.env.step(action)
        self.step_id += 1
        if self.video_recorder is not None:
            self._capture()
            if (stepped[2] and not self.video_length) or 0 < self.video_length <= self.recorded_frames:
                self.close_video_recorder()
        elif self.step_trigger is not None and self.step_trigger(self.step_id):
            self.start_video_recorder()
        self.episode_id += bool(stepped[2])
        return stepped

    def start_video_recorder(self) -> None:
        """Begin a film."""
        self.close_video_recorder()
        counted = f"episode-{self.episode_id}" if self.episode_trigger else f"step-{self.step_id}"
        base = Path(self.video_folder) / f"{self.name_prefix}-{counted}"
        self.video_recorder, self.recorded_frames = VideoRecorder(self.env, base_path=str(base)), 0
        self._capture()

    def close_video_recorder(self) -> None:
        """End the film, if there is one."""
        if self.video_recorder is not None:
            self.video_recorder.close()
        self.video_recorder = None

    def close(self) -> None:
        """End the film and free what the environment holds."""
        self.close_video_recorder()
        self.env.close()

    def _wanted(self) -> bool:
        if self.episode_trigger is not None:
            return self.episode_trigger(self.episode_id)
        assert self.step_trigger is not None
        return self.step_trigger(self.step_id)

    def _capture(self) -> None:
        assert self.video_recorder is not None
        self.video_recorder.capture_frame()
        self.recorded_frames += 1


class Monitor(RecordVideo):
    """Films of episodes and, when it is closed, returns and lengths as ``openaigym.episode_batch.0.stats.json``."""

    def __init__(
        self,
        env: Any,
        directory: str,
        video_callable: Any = None,
        force: bool = False,
        resume: bool = False,
        write_upon_reset: bool = False,
        uid: Any = None,
        mode: str | None = None,
    ) -> None:
        chosen = (lambda episode: False) if video_callable is False else video_callable
        super().__init__(env, directory, episode_trigger=chosen, name_prefix="openaigym.video.0")
        self.episode_rewards: list[float] = []
        self.episode_lengths: list[int] = []

    def reset(self, **kwargs: Any) -> Any:
        """Start an episode and its count; returns the observation."""
        self.episode_rewards.append(0.0)
        self.episode_lengths.append(0)
        return super().reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        """Advance by one step and count."""
        stepped = super().step(action)
        self.episode_rewards[-1] += float(stepped[1])
        self.episode_lengths[-1] += 1
        return stepped

    def get_episode_rewards(self) -> list[float]:
        """The returns so far."""
        return self.episode_rewards

    def get_episode_lengths(self) -> list[int]:
        """The lengths so far."""
        return self.episode_lengths

    def close(self) -> None:
        """Write films and counts, and free what the environment holds."""
        folder = Path(self.video_folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / "openaigym.episode_batch.0.stats.json") as temporary:
            counts = {"episode_rewards": self.episode_rewards, "episode_lengths": self.episode_lengths}
            temporary.write_text(json.dumps(counts))
        super().close()
