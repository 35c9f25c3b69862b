"""The loaded model, the thread that runs it, and one for files: for the effect, all its clones, and the module."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from MedSAMSegmentSlicer.file_stamps import FileStamp, file_stamps
from MedSAMSegmentSlicer.inference_worker import AHEAD, IDLE, USER, InferenceWorker, Job

if TYPE_CHECKING:
    from MedSAMSegmentLib.inference.segmenter import Segmenter
    from MedSAMSegmentLib.models.protocol import SegmentationModel
    from MedSAMSegmentSlicer.encoding_ahead import ExpectedPrompt, PromptInSight
    from MedSAMSegmentSlicer.prompt_work import PromptAnswer, PromptRequest


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and where it runs: what `MedSAMSegmentLib.models.load.load_model` takes."""

    model: str = "lite-medsam"
    device: str = "auto"
    precision: str = "auto"


Phase = Literal["unloaded", "loading", "ready", "failed"]


@dataclass(frozen=True)
class EngineState:
    """What the status line says about the model.

    Attributes:
        phase: of loading.
        choice: what was asked for last.
        device: where it runs, once it is ready.
        precision: of the encoder, once it is ready.
        seconds: that loading took.
        error: why it failed.
    """

    phase: Phase = "unloaded"
    choice: ModelChoice | None = None
    device: str = ""
    precision: str = ""
    seconds: float = 0.0
    error: str = ""


LoadModel = Callable[[ModelChoice], "SegmentationModel"]


def load_chosen(choice: ModelChoice) -> SegmentationModel:
    """Load a model that is on this computer."""
    from MedSAMSegmentLib.models.load import load_model

    return load_model(choice.model, device=choice.device, precision=choice.precision)


class InferenceEngine:
    """Answers prompts in the background. For the main thread, which has to call `poll` while `is_busy`.

    Args:
        load: loads a model, in the thread.
        worker: the thread.
    """

    def __init__(self, load: LoadModel = load_chosen, worker: InferenceWorker | None = None) -> None:
        self._load = load
        self._worker = worker or InferenceWorker()
        self._transfers = InferenceWorker("MedSAMSegment transfers")
        self._loaded: tuple[ModelChoice, Segmenter] | None = None
        self._files: tuple[FileStamp, ...] = ()
        self.state = EngineState()
        self.on_busy: list[Callable[[], None]] = []
        """Called in the main thread when there is something to poll for."""

    @property
    def is_busy(self) -> bool:
        return self._worker.is_busy or self._transfers.is_busy

    def has(self, key: str) -> bool:
        """Whether a request with this key is on its way."""
        return self._worker.has(key) or self._transfers.has(key)

    def poll(self) -> None:
        """Deliver what is ready."""
        self._worker.poll()
        self._transfers.poll()

    def forsake(self) -> None:
        """Nobody will poll for a while."""
        self._worker.forsake()
        self._transfers.forsake()

    def cancel(self, prefix: str) -> None:
        """Forget all requests whose key starts so: nothing of them is delivered any more."""
        self._worker.cancel_all(prefix)
        self._transfers.cancel_all(prefix)

    def close(self) -> None:
        """End the threads and let go of the model."""
        self._worker.close()
        self._transfers.close()
        self._loaded = None
        self.state = EngineState()

    def unload(self, model: str) -> None:
        """Let go of a model, if it is the loaded one. What it is computing comes to its end; what is next loads it."""
        if self._loaded is not None and self._loaded[0].model == model:
            self._loaded = None
            self.state = EngineState()

    def encode_ahead(
        self,
        key: str,
        choice: ModelChoice,
        prompt: ExpectedPrompt,
        sight: PromptInSight,
        done: Callable[[bool], None],
        failed: Callable[[Exception], None],
        priority: int = AHEAD,
    ) -> None:
        """Load the model and encode a slice before a prompt comes; the newest request with a key wins.

        ``done`` is told whether the slice was encoded: without the prompt, not every window is known, and what is done
        only while there is nothing else to do is not worth loading a model. It is not called if the slice was given up
        for the prompt in sight.
        """

        def work(job: Job) -> bool:
            from MedSAMSegmentSlicer.encoding_ahead import encode_expected

            if not self._is_worth_loading(choice, priority):
                return False
            return encode_expected(self.segmenter(choice), prompt, sight, job.cancelled)

        self._submit(Job(key, work, done, failed, priority=priority))

    def follow(self, key: str, choice: ModelChoice, sight: PromptInSight, failed: Callable[[Exception], None]) -> None:
        """Encode what the prompt in sight needs, whatever it becomes meanwhile."""

        def work(job: Job) -> None:
            from MedSAMSegmentSlicer.encoding_ahead import follow

            if self._is_worth_loading(choice, AHEAD):
                follow(self.segmenter(choice), sight, job.cancelled)

        self._submit(Job(key, work, lambda _: None, failed, priority=AHEAD))

    def answer(
        self,
        key: str,
        choice: ModelChoice,
        requests: list[PromptRequest],
        done: Callable[[list[PromptAnswer]], None],
        failed: Callable[[Exception], None],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Segment one or several structures on their slices; the newest request with a key wins."""

        def work(job: Job) -> list[PromptAnswer]:
            from MedSAMSegmentSlicer.prompt_work import answer_prompts

            return answer_prompts(self.segmenter(choice), requests, progress=job.report, cancelled=job.cancelled)

        self._submit(Job(key, work, done, failed, progress, USER))

    def answer_structures(
        self,
        key: str,
        choice: ModelChoice,
        requests: list[PromptRequest],
        level: str,
        orientation: str,
        done: Callable[[list[PromptAnswer]], None],
        failed: Callable[[Exception], None],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Segment one or several structures in 3D; progress is in thousandths."""

        def work(job: Job) -> list[PromptAnswer]:
            from MedSAMSegmentSlicer.prompt_work import answer_structure

            segmenter = self.segmenter(choice)
            answers: list[PromptAnswer] = []
            for n, request in enumerate(requests):

                def told(share: float, doing: str, n: int = n) -> None:
                    if len(requests) > 1:
                        doing = f"ROI {n + 1} of {len(requests)}, {doing[:1].lower()}{doing[1:]}"
                    job.report(round(1000 * (n + share) / len(requests)), 1000, doing)

                answers.append(
                    answer_structure(
                        segmenter, request, level, orientation=orientation, progress=told, cancelled=job.cancelled
                    )
                )
            return answers

        self._submit(Job(key, work, done, failed, progress, USER))

    def run(
        self,
        key: str,
        work: Callable[[Job], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Do something else with the model, see `segmenter`, in its thread."""
        self._submit(Job(key, work, done, failed, progress, USER))

    def transfer(
        self,
        key: str,
        work: Callable[[Job], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        """Do something that takes long and needs no model, such as a download, beside what is computed.

        What could not be loaded before is tried again afterwards.
        """

        def finished(result: Any) -> None:
            if self.state.phase == "failed":
                self.state = EngineState()
            done(result)

        self._transfers.submit(Job(key, work, finished, failed, progress, USER))
        self._tell_busy()

    def _submit(self, job: Job) -> None:
        self._worker.submit(job)
        self._tell_busy()

    def _tell_busy(self) -> None:
        for callback in list(self.on_busy):
            callback()

    def _is_worth_loading(self, choice: ModelChoice, priority: int) -> bool:
        """Whether to load a model for what nobody has asked for: not if that has failed, nor for a mere guess."""
        if self._loaded is not None and self._loaded[0] == choice:
            return True
        return priority != IDLE and not (self.state.phase == "failed" and self.state.choice == choice)

    def segmenter(self, choice: ModelChoice) -> Segmenter:
        """The model with its cache, loaded if it is not: for work in the thread, see `run`.

        A file or folder that was written anew since is loaded anew; what was deleted since goes on as it is in memory.
        """
        files = file_stamps(choice.model)
        if self._loaded is not None and self._loaded[0] == choice and files in (self._files, ()):
            return self._loaded[1]
        from MedSAMSegmentLib.inference.segmenter import Segmenter

        # One model at a time: two may not fit on the device.
        self._loaded = None
        self.state = EngineState("loading", choice)
        start = time.perf_counter()
        try:
            model = self._load(choice)
        except Exception as error:
            self.state = EngineState("failed", choice, error=str(error))
            raise
        self.state = EngineState("ready", choice, model.device, model.precision, time.perf_counter() - start)
        self._files = files
        self._loaded = (choice, Segmenter(model))
        return self._loaded[1]


class _Shared:
    engine: InferenceEngine | None = None


def shared_engine() -> InferenceEngine:
    """The application's engine. It holds a loaded model and its cache, and no state of the scene."""
    if _Shared.engine is None:
        _Shared.engine = InferenceEngine()
    return _Shared.engine


def close_shared_engine() -> None:
    """End the application's engine: at exit, and before the code is reloaded."""
    engine, _Shared.engine = _Shared.engine, None
    if engine is not None:
        engine.close()


@contextmanager
def shared_engine_replaced(engine: InferenceEngine) -> Iterator[InferenceEngine]:
    """Another engine for as long as a test takes."""
    before, _Shared.engine = _Shared.engine, engine
    try:
        yield engine
    finally:
        engine.close()
        _Shared.engine = before
