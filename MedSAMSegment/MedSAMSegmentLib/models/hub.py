"""Models on the Hugging Face hub, by huggingface_hub's own means: cache, resume, proxies, ``HF_*`` settings.

Only ``config.json`` and ``model.safetensors`` are ever fetched: safetensors cannot carry code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import CancelledError, WeightsError
from MedSAMSegmentLib.packages import require

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_NO_SPACE = 28

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are there."""


@dataclass(frozen=True)
class HubModel:
    """A model in the hub's cache.

    Attributes:
        repository: owner/name.
        revision: commit hash of what is there.
        folder: holds `CONFIG` and `WEIGHTS`.
    """

    repository: str
    revision: str
    folder: Path


def find_in_cache(repositories: tuple[str, ...]) -> HubModel | None:
    """The first of some repositories that is in the cache whole; nothing is asked of the network."""
    hub = require("huggingface_hub")
    for repository in repositories:
        paths = [hub.try_to_load_from_cache(repository, name) for name in (CONFIG, WEIGHTS)]
        if all(isinstance(path, str) for path in paths):
            folder = Path(paths[1]).parent
            return HubModel(repository, folder.name, folder)
    return None


def download(
    repositories: tuple[str, ...],
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> HubModel:
    """Fetch the first of some repositories that can be had; an interrupted download is resumed.

    Args:
        repositories: owner/name, tried in this order.
        progress: told about the weights file.
        cancelled: asked while bytes arrive.

    Raises:
        WeightsError: none can be had; the message says why for each, and what to do.
        CancelledError: ``cancelled`` said so. What has arrived stays in the cache, and is not taken for a model.
    """
    complaints = []
    for repository in repositories:
        try:
            return _download_one(repository, progress, cancelled)
        except CancelledError:
            raise
        except Exception as error:
            complaints.append(f"{repository}: {_in_plain_words(error)}")
    raise WeightsError(
        "The model cannot be downloaded. "
        + " ".join(complaints)
        + " Where the hub cannot be reached, copy the model's folder (config.json and model.safetensors) from another "
        "computer and give it as the model."
    )


def delete_from_cache(repositories: tuple[str, ...]) -> int:
    """Remove every stored revision of some repositories; the number of bytes that are free now."""
    hub = require("huggingface_hub")
    try:
        cache = hub.scan_cache_dir()
    except hub.errors.CacheNotFound:
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
    """Where the hub's models are kept on this computer."""
    return Path(require("huggingface_hub").constants.HF_HUB_CACHE)


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids the network."""
    return bool(require("huggingface_hub").constants.HF_HUB_OFFLINE)


def _download_one(repository: str, progress: Progress | None, cancelled: Callable[[], bool] | None) -> HubModel:
    hub = require("huggingface_hub")
    _raise_if(cancelled)
    with _quiet():
        config = Path(hub.hf_hub_download(repository, CONFIG))
        # The weights of the same commit, should somebody push meanwhile.
        revision = config.parent.name
        weights = hub.hf_hub_download(
            repository, WEIGHTS, revision=revision, tqdm_class=_reporting_bar(progress, cancelled)
        )
    return HubModel(repository, revision, Path(weights).parent)


def _raise_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("The download was cancelled. It goes on where it was when it is started again.")


def _reporting_bar(progress: Progress | None, cancelled: Callable[[], bool] | None) -> type:
    """A tqdm that draws nothing: it tells ``progress``, and raises when ``cancelled`` says so."""
    from tqdm import tqdm

    class ReportingBar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            # Disabled bars do not count: draw into nothing instead.
            options |= {"disable": False, "file": _Nowhere(), "mininterval": 0.0}
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            _raise_if(cancelled)
            updated = super().update(n)
            if progress is not None and self.total:
                progress(int(self.n), int(self.total))
            return updated

    return ReportingBar


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings about symlinks and tokens are no use to those who clicked Download."""
    logging = require("huggingface_hub").utils.logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _in_plain_words(error: Exception) -> str:
    errors = require("huggingface_hub").errors
    if isinstance(error, errors.GatedRepoError):
        return "its owner grants access on request; ask for it on the hub's page, then log in with `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private."
    if isinstance(error, errors.LocalEntryNotFoundError):
        if is_offline():
            return "it is not in the cache, and HF_HUB_OFFLINE forbids the network; unset it to download."
        return "the hub cannot be reached; check the network and the proxy (HTTPS_PROXY), then try again."
    if isinstance(error, errors.EntryNotFoundError):
        return "it has no config.json and model.safetensors, the only format that is read from the hub."
    if isinstance(error, OSError) and error.errno == _NO_SPACE:
        return f"no space is left on the disk of {cache_folder()}; free some, or set HF_HOME to a folder elsewhere."
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
