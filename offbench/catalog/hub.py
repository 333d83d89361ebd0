"""The Hugging Face Hub: publishing a dataset there, and fetching files of a pinned revision (extra ``hub``)."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from offbench.catalog.cards import Card
from offbench.catalog.download import digest, is_offline
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.formats import native

_ADDRESS = re.compile(r"^hf://datasets/(?P<repository>[^/@]+/[^/@]+)@(?P<revision>[0-9a-f]{40})/(?P<path>.+)$")
_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", re.ASCII)


def download(url: str, destination: Path) -> None:
    """Fetch one file of the Hub; the library resumes and goes through the Hub's own storage.

    Raises:
        OffbenchError: the library is not installed, the address names no commit, or there is no such file.
        OSError: the Hub cannot be reached or answers with an error that may pass.
    """
    match = _ADDRESS.match(url)
    if match is None:
        raise OffbenchError(f"{url} is no hf://datasets/OWNER/NAME@COMMIT/PATH with the 40 digits of a commit")
    hub = _library()
    folder = destination.with_name(destination.name + ".hub")
    errors = hub.errors
    try:
        found = hub.hf_hub_download(
            match["repository"],
            match["path"],
            repo_type="dataset",
            revision=match["revision"],
            cache_dir=folder,
            endpoint=_endpoint(),
        )
        os.replace(Path(found).resolve(), destination)
    except errors.LocalEntryNotFoundError as error:
        raise OSError(f"the Hub cannot be reached: {_first_line(error)}") from error
    except (errors.EntryNotFoundError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise OffbenchError(f"the Hub has no such file, or keeps it from you: {_first_line(error)}") from error
    except errors.HFValidationError as error:
        raise OffbenchError(_first_line(error)) from error
    # Only after success: what is there of a cut transfer is of use to the next one.
    shutil.rmtree(folder, ignore_errors=True)


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
    hub = _library()
    name = card.id.rpartition("/")[2]
    file = folder / f"{name}{native.SUFFIX}"
    native.save(trajectories, file)
    api = hub.HfApi(endpoint=_endpoint())
    try:
        api.create_repo(repository, repo_type="dataset", exist_ok=True, private=private)
        commit = api.create_commit(
            repository,
            [
                hub.CommitOperationAdd(file.name, str(file)),
                hub.CommitOperationAdd("README.md", readme(trajectories, card, file.name).encode()),
            ],
            commit_message=f"{card.id}, revision {card.revision}",
            repo_type="dataset",
        )
    except (OSError, hub.errors.HFValidationError, hub.errors.LocalTokenNotFoundError) as error:
        raise OffbenchError(
            f"the Hub refuses {repository}: {_first_line(error)}; log in with 'hf auth login' and check the name"
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


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise OffbenchError("the Hugging Face Hub needs the extra hub: pip install 'offbench[hub]'") from error
    return huggingface_hub


def _endpoint() -> str | None:
    """Another Hub than the public one, where HF_ENDPOINT names it."""
    return os.environ.get("HF_ENDPOINT") or None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
