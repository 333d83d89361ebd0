"""The Hugging Face Hub: its library, and fetching files of a pinned revision (extra ``hub``)."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from offbench.errors import OffbenchError

_ADDRESS = re.compile(r"^hf://datasets/(?P<repository>[^/@]+/[^/@]+)@(?P<revision>[0-9a-f]{40})/(?P<path>.+)$")


def download(url: str, destination: Path) -> None:
    """Fetch one file of the Hub; the library resumes and goes through the Hub's own storage.

    Raises:
        OffbenchError: the library is not installed, the address names no commit, or there is no such file.
        OSError: the Hub cannot be reached or answers with an error that may pass.
    """
    match = _ADDRESS.match(url)
    if match is None:
        raise OffbenchError(f"{url} is no hf://datasets/OWNER/NAME@COMMIT/PATH with the 40 digits of a commit")
    hub = library()
    folder = destination.with_name(destination.name + ".hub")
    errors = hub.errors
    try:
        found = hub.hf_hub_download(
            match["repository"],
            match["path"],
            repo_type="dataset",
            revision=match["revision"],
            cache_dir=folder,
            endpoint=endpoint(),
        )
        os.replace(Path(found).resolve(), destination)
    except errors.LocalEntryNotFoundError as error:
        raise OSError(f"the Hub cannot be reached: {first_line(error)}") from error
    except (errors.EntryNotFoundError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise OffbenchError(f"the Hub has no such file, or keeps it from you: {first_line(error)}") from error
    except errors.HFValidationError as error:
        raise OffbenchError(first_line(error)) from error
    # Only after success: what is there of a cut transfer is of use to the next one.
    shutil.rmtree(folder, ignore_errors=True)


def library() -> Any:
    """The package huggingface_hub; raises OffbenchError, which names the extra, where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise OffbenchError("the Hugging Face Hub needs the extra hub: pip install 'offbench[hub]'") from error
    return huggingface_hub


def endpoint() -> str | None:
    """Another Hub than the public one, where HF_ENDPOINT names it."""
    return os.environ.get("HF_ENDPOINT") or None


def first_line(error: BaseException) -> str:
    """What an error of the library says, without the advice that follows."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
