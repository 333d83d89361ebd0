"""Publishing a dataset on the Hugging Face Hub (extra ``hub``)."""

from __future__ import annotations

import json
import re
from pathlib import Path

from offbench.catalog import hub
from offbench.catalog.cards import Card
from offbench.catalog.content import digest
from offbench.catalog.download import is_offline
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.formats import native

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", re.ASCII)


def publish(trajectories: Trajectories, card: Card, repository: str, folder: Path, private: bool = False) -> Path:
    """Upload a dataset as a native file with a README, in one commit, and write a card that points to that commit.

    Args:
        trajectories: what is uploaded.
        card: whose id, revision, task, licence, citation and known defects go along.
        repository: ``OWNER/NAME`` of a dataset repository; made if there is none.
        folder: where the native file and the card are written, ``<name>.offbench`` and ``<name>.toml``.
        private: whether a repository that is made is private.

    Returns:
        The path of the card, which `offbench.load` takes.

    Raises:
        OffbenchError: the library is not installed, OFFBENCH_OFFLINE is set, the name is none, or the Hub refuses.
    """
    if not _REPOSITORY.match(repository):
        raise OffbenchError(f"{repository!r} is no name of a repository; OWNER/NAME would be right")
    if is_offline():
        raise OffbenchError("nothing can be published while OFFBENCH_OFFLINE is set; unset it")
    huggingface_hub = hub.library()
    name = card.id.rpartition("/")[2]
    file = folder / f"{name}{native.SUFFIX}"
    native.save(trajectories, file)
    api, errors = huggingface_hub.HfApi(endpoint=hub.endpoint()), huggingface_hub.errors
    try:
        api.create_repo(repository, repo_type="dataset", exist_ok=True, private=private)
        commit = api.create_commit(
            repository,
            [
                huggingface_hub.CommitOperationAdd(file.name, str(file)),
                huggingface_hub.CommitOperationAdd("README.md", readme(trajectories, card, file.name).encode()),
            ],
            commit_message=f"{card.id}, revision {card.revision}",
            repo_type="dataset",
        )
    except (OSError, errors.HFValidationError, errors.LocalTokenNotFoundError) as error:
        raise OffbenchError(
            f"the Hub refuses {repository}: {hub.first_line(error)}; log in with 'hf auth login' and check the name"
        ) from error
    url = f"hf://datasets/{repository}@{commit.oid}/{file.name}"
    pinned = folder / f"{name}.toml"
    pinned.write_text(card_text(card, url, file, trajectories.steps), encoding="utf-8")
    return pinned


def card_text(card: Card, url: str, file: Path, steps: int) -> str:
    """The TOML of a card like another, whose data are one native file at an address."""
    lines = [f"id = {_quoted(card.id)}", f"revision = {card.revision}"]
    texts = {name: getattr(card, name) for name in ("task", "environment", "description", "licence", "citation")}
    lines += [f"{name} = {_quoted(text)}" for name, text in texts.items() if text]
    lines += [f"steps = {steps}", 'reader = "native"']
    if card.known_defects:
        lines += ["known_defects = [", *(f"    {_quoted(defect)}," for defect in card.known_defects), "]"]
    lines += ["", "[[files]]", f"url = {_quoted(url)}", f"size = {file.stat().st_size}"]
    return "\n".join([*lines, f'sha256 = "{digest(file)}"', ""])


def readme(trajectories: Trajectories, card: Card, name: str) -> str:
    """The page that the Hub shows: licence and tags as it wants them, then what the data are."""
    licence = [f"license: {card.licence.lower()}"] if card.licence else []
    sections = [f"# {card.id}", card.description, f"```\n{trajectories.summary()}\n```"]
    sections.append(f"`{name}` is a native file of offbench: `offbench.load({name!r})`.")
    if card.known_defects:
        sections.append("Known defects:\n\n" + "\n".join(f"- {defect}" for defect in card.known_defects))
    if card.citation:
        sections.append(f"Please cite: {card.citation}.")
    front = ["---", *licence, "tags:", "- reinforcement-learning", "- offline-rl", "---"]
    return "\n".join(front) + "\n\n" + "\n\n".join(sections) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
