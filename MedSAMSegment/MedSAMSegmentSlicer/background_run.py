"""Something that is computed in the background and then written: where it runs, and who is told how it went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from MedSAMSegmentLib.errors import CancelledError

if TYPE_CHECKING:
    from MedSAMSegmentSlicer.inference_engine import InferenceEngine
    from MedSAMSegmentSlicer.inference_worker import Job

Found = TypeVar("Found")
Result = TypeVar("Result")


@dataclass(frozen=True)
class BackgroundRun(Generic[Result]):
    """One run of a job; all who are told are told in the main thread.

    Attributes:
        engine: computes; to be polled by the caller.
        key: with which the run can be cancelled; nothing is written then, and nobody is told.
        done: called with the result after it was written.
        failed: called with what went wrong.
        progress: told how many thousandths are done, and what is being done.
    """

    engine: InferenceEngine
    key: str
    done: Callable[[Result], None]
    failed: Callable[[Exception], None]
    progress: Callable[[int, int, str], None] | None = None

    def start(self, compute: Callable[[Job], Found], write: Callable[[Found], Result]) -> None:
        """Compute in the engine's thread, and write what was found in the main thread."""
        self.engine.run(self.key, compute, self.ending_with(write), self.failed, self.progress)

    def ending_with(self, write: Callable[[Found], Result]) -> Callable[[Found], None]:
        """What the engine is to call when it is done: it writes what was found, and tells.

        Args:
            write: may raise `CancelledError` where what was found is not wanted any more.
        """

        def end(found: Found) -> None:
            try:
                result = write(found)
            except CancelledError:
                return
            except Exception as error:
                self.failed(error)
                return
            self.done(result)

        return end
