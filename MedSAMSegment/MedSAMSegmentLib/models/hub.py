"""Models on the Hugging Face hub, by huggingface_hub's own means: cache, resume, proxies, ``HF_*`` settings.

Only ``config.json`` and ``model.safetensors`` are ever fetched: safetensors cannot carry code.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.errors import CancelledError, MissingPackageError, WeightsError
from MedSAMSegmentLib.models.file_digest import Progress, check_sha256, remember_arrival
from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS
from MedSAMSegmentLib.packages import require

_CHUNK = 2**20
"""Bytes between two looks at whether the user has cancelled; huggingface_hub's ten times as many take long to come."""


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


def find_in_cache(repositories: tuple[str, ...]) -> HubModel | None:
    """The first of some repositories that is in the cache whole; nothing is asked of the network.

    Of several revisions, the one that the hub named last; an older one where that has not arrived.
    """
    try:
        cache = cache_folder()
    except MissingPackageError:
        return None
    for repository in repositories:
        stored = cache / f"models--{repository.replace('/', '--')}"
        folders = [folder for folder in stored.glob("snapshots/*") if _is_whole(folder)]
        if folders:
            with suppress(OSError):
                newest = stored / "snapshots" / (stored / "refs" / "main").read_text(encoding="utf-8").strip()
                folders.sort(key=lambda folder: (folder == newest, folder.stat().st_mtime))
            return HubModel(repository, folders[-1].name, folders[-1])
    return None


def download(
    repositories: tuple[str, ...],
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> HubModel:
    """Fetch the first of some repositories that can be had.

    A connection that breaks is taken up again where it broke, a few times; what is complete is not fetched again.

    Args:
        repositories: owner/name, tried in this order.
        progress: told about the weights file.
        cancelled: asked while bytes arrive.

    Raises:
        WeightsError: none can be had; the message says why for each, and what to do.
        CancelledError: ``cancelled`` said so. Half a file is never taken for a model.
        MissingPackageError: huggingface_hub is not installed.
    """
    require("huggingface_hub")
    complaints = []
    for repository in repositories:
        try:
            return _download_one(repository, progress, cancelled)
        except CancelledError:
            raise
        # huggingface_hub lets its HTTP library's errors through, and that library has changed before.
        except Exception as error:
            complaints.append(f"{repository}: {_in_plain_words(error)}")
            if _is_unreachable(error):
                break  # huggingface_hub has tried for half a minute, and would again
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


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids the network."""
    return bool(require("huggingface_hub.constants").HF_HUB_OFFLINE)


def published_sha256(weights: Path) -> str | None:
    """What the hub says of a weights file in its cache, where large files are named after it, if links are possible."""
    name = weights.resolve().name
    return name if len(name) == 64 and all(digit in "0123456789abcdef" for digit in name) else None


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (CONFIG, WEIGHTS))


def _download_one(repository: str, progress: Progress | None, cancelled: Callable[[], bool] | None) -> HubModel:
    hub = require("huggingface_hub")
    _raise_if(cancelled)
    with _quiet(), _plain_http():
        config = Path(hub.hf_hub_download(repository, CONFIG, tqdm_class=_reporting_bar(None, cancelled)))
        # The weights of the same commit, should somebody push meanwhile.
        revision = config.parent.name
        bar = _reporting_bar(progress, cancelled)
        weights = Path(hub.hf_hub_download(repository, WEIGHTS, revision=revision, tqdm_class=bar))
    expected = published_sha256(weights)
    try:
        if expected is None:
            remember_arrival(weights)
        else:
            check_sha256(weights, expected)
    except WeightsError as error:
        # Or the cache would hand out the same damaged file again.
        weights.resolve().unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
        raise WeightsError(f"{WEIGHTS} was damaged: its SHA-256 is not {expected}. Download it again.") from error
    return HubModel(repository, revision, weights.parent)


def _raise_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("The download was cancelled. Nothing of it is used.")


def _reporting_bar(progress: Progress | None, cancelled: Callable[[], bool] | None) -> type:
    """A tqdm that draws nothing: it tells ``progress``, and raises when ``cancelled`` says so."""
    from tqdm import tqdm

    class ReportingBar(tqdm):
        # Left to itself, tqdm starts a thread, and a lock between processes starts a process: of Slicer, inside Slicer.
        monitor_interval = 0
        _lock = threading.RLock()

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            # A disabled bar does not count: let it draw into nothing instead.
            super().__init__(*args, **options | {"disable": False, "file": _Nowhere()})

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
    """Warnings about symbolic links and tokens are no use to those who clicked Download."""
    logging = require("huggingface_hub.utils").logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextmanager
def _plain_http() -> Iterator[None]:
    """Fetch over HTTP, in small pieces, and tell the hub nothing of what else is installed here.

    The hub's other protocol, Xet, runs in threads of its own, which do not hear that the user has cancelled, and talks
    to servers that a hospital's firewall and a mirror (``HF_ENDPOINT``) do not know of.
    """
    constants = require("huggingface_hub.constants")
    changes = {"HF_HUB_DISABLE_XET": True, "HF_HUB_DISABLE_TELEMETRY": True, "DOWNLOAD_CHUNK_SIZE": _CHUNK}
    before = {name: getattr(constants, name) for name in changes}
    for name, value in changes.items():
        setattr(constants, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(constants, name, value)


def _is_unreachable(error: Exception) -> bool:
    """Whether no hub answers, as opposed to one that answers with an error."""
    is_connection = isinstance(error, require("huggingface_hub.errors").LocalEntryNotFoundError)
    return is_connection and getattr(error.__cause__, "response", None) is None


def _in_plain_words(error: Exception) -> str:
    errors = require("huggingface_hub.errors")
    endpoint = require("huggingface_hub.constants").ENDPOINT
    if isinstance(error, WeightsError):
        return str(error)
    if isinstance(error, errors.GatedRepoError):
        return "its owner grants access on request; ask for it on the hub's page, then log in with `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private."
    if isinstance(error, errors.LocalEntryNotFoundError):
        if is_offline():
            return "it is not in the cache, and HF_HUB_OFFLINE forbids the network; unset it to download."
        if isinstance(error.__cause__, errors.FileMetadataError):
            return f"what answers at {endpoint} is not the hub, perhaps a proxy's login page; check the network."
        status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
        if status is not None:
            return f"{endpoint} answers with error {status}; try again later."
        return f"{endpoint} cannot be reached; check the network and the proxy (HTTPS_PROXY), then try again."
    if isinstance(error, errors.EntryNotFoundError):
        return f"it has no {CONFIG} or no {WEIGHTS}, and no other format is read from the hub."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left on the disk of {cache_folder()}; free some, or set HF_HOME to a folder elsewhere."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{cache_folder()} cannot be written to; set HF_HOME to a folder elsewhere."
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no message')}."
