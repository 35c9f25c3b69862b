"""The program that fetches one repository's model from the hub; `hub.download` runs it in a process of its own.

It prints JSON, one object a line: ``{"done": …, "total": …}`` while bytes arrive, then ``{"folder": …, "revision": …}``
or ``{"error": …, "unreachable": …}``.
"""

from __future__ import annotations

import errno
import json
import re
import sys
from pathlib import Path
from typing import Any

from MedSAMSegmentLib.models.sam_folder import CONFIG, WEIGHTS
from MedSAMSegmentLib.secrets import without_passwords

_CHUNK = 2**20
"""Bytes between two reports; huggingface_hub's ten times as many take long to come."""
_SECONDS_TO_ANSWER = 10.0
_MOST_CONFIG_BYTES = 2**20


class RefusedError(Exception):
    """The hub's answer is not one; the message says why."""


def main() -> None:
    """Fetch what the only argument, a JSON object, asks for: repository, revision or None, most_bytes."""
    job = json.loads(sys.argv[1])
    try:
        _say(_fetched(job["repository"], job["revision"], job["most_bytes"]))
    # huggingface_hub lets its HTTP library's errors through, and that library has changed before.
    except Exception as error:
        _say({"error": without_passwords(in_plain_words(error)), "unreachable": _is_unreachable(error)})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _fetched(repository: str, revision: str | None, most_bytes: int) -> dict[str, Any]:
    import huggingface_hub as hub
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    # The hub's other protocol, Xet, talks to servers that a hospital's firewall and a mirror (HF_ENDPOINT) do not know.
    constants.HF_HUB_DISABLE_XET = True
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    original = hub.get_hf_file_metadata

    def checked(*arguments: Any, **options: Any) -> Any:
        metadata = original(*arguments, **options)
        check_answer(metadata.commit_hash, metadata.etag)
        _check_size(metadata.size or 0, most_bytes)
        return metadata

    # What the server says here becomes names of files in the cache.
    file_download.get_hf_file_metadata = checked
    if not constants.HF_HUB_OFFLINE:
        checked(hub.hf_hub_url(repository, CONFIG, revision=revision), timeout=_SECONDS_TO_ANSWER)
    config = Path(
        hub.hf_hub_download(repository, CONFIG, revision=revision, tqdm_class=_bar(_MOST_CONFIG_BYTES, False))
    )
    # The weights of the same commit, should somebody push meanwhile.
    commit = config.parent.name
    bar = _bar(most_bytes, True)
    weights = Path(hub.hf_hub_download(repository, WEIGHTS, revision=commit, tqdm_class=bar))
    cache = Path(constants.HF_HUB_CACHE).resolve()
    for path in (config, weights):
        if not path.resolve().is_relative_to(cache):
            raise RefusedError(f"what answers for it wants to write outside of {cache}.")
    return {"folder": str(weights.parent), "revision": commit}


def check_answer(commit: str | None, etag: str | None) -> None:
    """Whether what a server calls a commit and a file are hashes, as the hub's are.

    Raises:
        RefusedError: they are something else, such as a path.
    """
    if commit is None or etag is None:
        raise RefusedError(
            f"what answers at {without_passwords(_endpoint())} is not the hub, perhaps a proxy's login page; check the "
            "network."
        )
    if not re.fullmatch("[0-9a-f]{40}", commit) or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", etag):
        raise RefusedError(
            f"what answers at {without_passwords(_endpoint())} names its files {etag[:80]!r} of commit {commit[:80]!r},"
            " which are no hashes: nothing was fetched."
        )


def _bar(most_bytes: int, reports: bool) -> type:
    """A tqdm that draws nothing: it reports, and ends what is larger than it may be."""
    from tqdm import tqdm

    class ReportingBar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            # A disabled bar does not count: let it draw into nothing instead.
            super().__init__(*args, **options | {"disable": False, "file": _Nowhere()})
            self._check()

        def update(self, n: float | None = 1) -> bool | None:
            updated = super().update(n)
            self._check()
            if reports and self.total:
                _say({"done": int(self.n), "total": int(self.total)})
            return updated

        def _check(self) -> None:
            _check_size(int(max(self.n, self.total or 0)), most_bytes)

    return ReportingBar


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise RefusedError(f"it has {size} bytes, and no more than {most_bytes} are expected: it is another one.")


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _status(error: BaseException | None) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_unreachable(error: Exception) -> bool:
    """Whether no hub answers, as opposed to one that answers with an error."""
    from huggingface_hub import errors

    if isinstance(error, RefusedError | errors.OfflineModeIsEnabled) or _status(error) or _status(error.__cause__):
        return False
    return _is_of_network(error)


def _is_of_network(error: Exception) -> bool:
    from huggingface_hub import errors

    # Not OSError at large: those of the disk have an errno too.
    names = {kind.__name__ for kind in type(error).__mro__}
    is_http = bool(names & {"TransportError", "TimeoutException", "ConnectionError"})
    return is_http or isinstance(error, errors.LocalEntryNotFoundError)


def in_plain_words(error: Exception) -> str:
    """What went wrong and what to do, for somebody who knows no HTTP."""
    from huggingface_hub import constants, errors

    endpoint, cache = _endpoint(), constants.HF_HUB_CACHE
    if isinstance(error, RefusedError):
        return str(error)
    if isinstance(error, errors.GatedRepoError):
        return "its owner grants access on request; ask for it on the hub's page, then log in with `hf auth login`."
    if isinstance(error, errors.RevisionNotFoundError):
        return "the version that is asked for is not there any more."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private."
    if constants.HF_HUB_OFFLINE and isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return "it is not in the cache, and HF_HUB_OFFLINE forbids the network; unset it to download."
    status = _status(error) or _status(error.__cause__)
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"it has no {CONFIG} or no {WEIGHTS}, and no other format is read from the hub."
    if status is not None:
        return f"{endpoint} answers with error {status}; try again later."
    if isinstance(error.__cause__, RefusedError):
        return str(error.__cause__)
    if _is_of_network(error):
        return f"{endpoint} cannot be reached; check the network and the proxy (HTTPS_PROXY), then try again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left on the disk of {cache}; free some, or set HF_HOME to a folder elsewhere."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{cache} cannot be written to; set HF_HOME to a folder elsewhere."
    if "Consistency check failed" in str(error):
        return f"a file did not arrive as {endpoint} announced it; try again."
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no message')}."


if __name__ == "__main__":
    main()
