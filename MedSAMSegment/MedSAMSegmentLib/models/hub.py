"""Models on the Hugging Face hub, by huggingface_hub's own means: cache, resume, proxies, ``HF_*`` settings.

Only ``config.json`` and ``model.safetensors`` are ever fetched: safetensors cannot carry code.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.cancellation import stop_if
from MedSAMSegmentLib.errors import MissingPackageError, WeightsError
from MedSAMSegmentLib.models.child_process import Cancelled, run_module
from MedSAMSegmentLib.models.file_digest import Progress, check_sha256, remember_arrival
from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS
from MedSAMSegmentLib.packages import require
from MedSAMSegmentLib.secrets import without_passwords

_PROGRAM = "MedSAMSegmentLib.models.hub_program"


@dataclass(frozen=True)
class HubModel:
    """A model in the hub's cache.

    Attributes:
        repository: owner/name.
        revision: commit hash of what is there.
        folder: holds ``config.json`` and ``model.safetensors``.
    """

    repository: str
    revision: str
    folder: Path


def find_in_cache(repositories: tuple[str, ...], revision: str | None = None) -> HubModel | None:
    """The first of some repositories that is in the cache whole; nothing is asked of the network.

    Of several revisions, the given one only, or the one that the hub named last; an older one where that has not
    arrived.
    """
    try:
        places = [(repository, _stored(repository)) for repository in repositories]
    except MissingPackageError:
        return None
    for repository, stored in places:
        folders = [folder for folder in stored.glob(f"snapshots/{revision or '*'}") if _is_whole(folder)]
        if folders:
            with suppress(OSError):
                newest = stored / "snapshots" / (stored / "refs" / "main").read_text(encoding="utf-8").strip()
                folders.sort(key=lambda folder: (folder == newest, folder.stat().st_mtime))
            return HubModel(repository, folders[-1].name, folders[-1])
    return None


def download(
    repositories: tuple[str, ...],
    *,
    revision: str | None = None,
    sha256: str | None = None,
    most_bytes: int = 2**40,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> HubModel:
    """Fetch the first of some repositories that can be had, in a process of its own: see `hub_program`.

    A connection that breaks is taken up again where it broke, a few times; what is complete is not fetched again.

    Args:
        repositories: owner/name, tried in this order.
        revision: the commit to fetch; the newest if not given.
        sha256: what the weights file must be, lower-case hexadecimal, where it is known.
        most_bytes: a weights file that is larger is not fetched.
        progress: told about the weights file.
        cancelled: asked several times a second, whether bytes arrive or not.

    Raises:
        WeightsError: none can be had; the message says why for each, and what to do.
        CancelledError: ``cancelled`` said so. Half a file is never taken for a model.
        MissingPackageError: huggingface_hub is not installed.
    """
    require("huggingface_hub")
    complaints = []
    for repository in repositories:
        stop_if(cancelled)
        answer = _answer(repository, revision, most_bytes, progress, cancelled)
        error = answer.get("error")
        if error is None:
            found = HubModel(repository, str(answer["revision"]), Path(str(answer["folder"])))
            error = _what_is_wrong(found, sha256, cancelled)
            if error is None:
                return found
        elif answer["unreachable"] and (found_here := find_in_cache((repository,), revision)) is not None:
            return found_here
        complaints.append(f"{repository}: {error}")
        if answer.get("unreachable"):
            break  # the others are in the same place
    raise WeightsError(
        f"The model cannot be downloaded. {' '.join(complaints)} Where the hub cannot be reached, copy the model's "
        f"folder ({CONFIG} and {WEIGHTS}) from another computer and import it."
    )


def delete_from_cache(repositories: tuple[str, ...]) -> int:
    """Remove every stored revision of some repositories; the number of bytes that are free now."""
    hub = require("huggingface_hub")
    try:
        cache = hub.scan_cache_dir(cache_folder())
    except require("huggingface_hub.errors").CacheNotFound:
        return 0
    revisions = [
        revision.commit_hash for repo in cache.repos if repo.repo_id in repositories for revision in repo.revisions
    ]
    if not revisions:
        return 0
    strategy = cache.delete_revisions(*revisions)
    strategy.execute()
    return int(strategy.expected_freed_size)


def cache_folder() -> Path:
    """Where the hub's models are kept on this computer: ``HF_HOME`` and its like decide.

    Raises:
        MissingPackageError: huggingface_hub, which knows, is not installed.
    """
    require("huggingface_hub")
    return Path(require("huggingface_hub.constants").HF_HUB_CACHE)


def sha256_by_name(weights: Path) -> str | None:
    """What the server said of a weights file in the cache, where large files are named after it, if links are possible.

    It tells whether the file has arrived whole and is unchanged, not whether it is what its authors published.
    """
    name = weights.resolve().name
    return name if len(name) == 64 and all(digit in "0123456789abcdef" for digit in name) else None


def _stored(repository: str) -> Path:
    return cache_folder() / f"models--{repository.replace('/', '--')}"


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (CONFIG, WEIGHTS))


def _answer(
    repository: str, revision: str | None, most_bytes: int, progress: Progress | None, cancelled: Cancelled | None
) -> dict[str, Any]:
    """What `hub_program` says at its end."""
    constants = require("huggingface_hub.constants")
    environment = os.environ | {
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HUB_CACHE": str(constants.HF_HUB_CACHE),
        "HF_HUB_OFFLINE": "1" if constants.HF_HUB_OFFLINE else "0",
        "HF_HUB_DISABLE_XET": "1",
        # The hub is told nothing of what else is installed here.
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    last: dict[str, Any] = {}

    def told(line: str) -> None:
        message = json.loads(line)
        if "done" not in message:
            last.update(message)
        elif progress is not None:
            progress(message["done"], message["total"])

    job = json.dumps({"repository": repository, "revision": revision, "most_bytes": most_bytes})
    before = _unfinished_files(repository)
    try:
        finished = run_module(_PROGRAM, [job], environment=environment, on_line=told, cancelled=cancelled)
    finally:
        # A program that was ended cannot clean up after itself.
        for path in _unfinished_files(repository) - before:
            with suppress(OSError):
                path.unlink()
    if not last:
        lines = finished.complaints.strip().splitlines() or [f"exit code {finished.code}"]
        return {"error": f"the download ended ({without_passwords(lines[-1])}).", "unreachable": False}
    return last


def _unfinished_files(repository: str) -> set[Path]:
    return set(_stored(repository).glob("blobs/*.incomplete"))


def _what_is_wrong(found: HubModel, sha256: str | None, cancelled: Cancelled | None) -> str | None:
    """Compare what has arrived with what is known of it, and remove it where that differs."""
    weights = found.folder / WEIGHTS
    expected = sha256 or sha256_by_name(weights)

    def asked(_done: int, _total: int) -> None:
        stop_if(cancelled)

    try:
        if expected is None:
            remember_arrival(weights)
        else:
            check_sha256(weights, expected, asked)
            remember_arrival(weights)
    except WeightsError:
        # Or the cache would hand out the same damaged file again.
        weights.resolve().unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
        return f"{WEIGHTS} is damaged or another file: its SHA-256 is not {expected}. Download it again."
    return None
