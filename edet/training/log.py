"""What a run logs: lines with the time left, its history of all steps, TensorBoard."""

from __future__ import annotations

import contextlib
import datetime
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from edet.errors import StorageError
from edet.files import reason
from edet.runtime.memory import peaks_so_far
from edet.step_log import StepLog
from edet.terminal import Console, warn
from edet.training.fusion_log import FusionLog
from edet.training.loggers import Logger, warn_of_failure
from edet.workdir import Workdir

METRICS = (
    "total_loss", "class_loss", "box_loss", "iou_loss", "segmentation_loss", "l2_loss",
    "learning_rate", "gradient_norm", "positives", "dropped_boxes", "replaced_images",
)  # fmt: skip
# The last is of the ids of the step's images, in order: the same batch, the same number.
COLUMNS = ("step", *METRICS, "images_per_second", "process_mib", "device_mib", "images_crc32")

_BUCKET_SECONDS = 60  # between two writes of the history to a bucket
_WARNINGS = {
    "dropped_boxes": "boxes did not fit into data.max_boxes and were left out",
    "replaced_images": "images could not be decoded (named above) and were replaced",
}


class Reporter:
    """Writes the history and TensorBoard, and prints lines with the time left."""

    def __init__(
        self, workdir: Workdir, first_step: int, total_steps: int, batch_size: int,
        is_chief: bool = True, fusion: FusionLog | None = None, loggers: Sequence[Logger] = (),
    ):  # fmt: skip
        """Args: `is_chief`, whether this process writes and prints; of several workers one does."""
        self._loggers = list(loggers)
        self.fusion = fusion
        self.total_steps, self.batch_size, self.is_chief = total_steps, batch_size, is_chief
        self.console = Console(soft_wrap=True, quiet=not is_chief)
        if is_chief:
            seconds = _BUCKET_SECONDS if "://" in workdir.path else 0
            self.history = StepLog(workdir.history_file, seconds)
            self.history.start(first_step, COLUMNS)
            with _board_errors():
                self.board = tf.summary.create_file_writer(workdir.tensorboard)
        self._workdir, self._step = workdir, first_step
        self._pending: list[dict[str, np.ndarray]] = []  # metrics since the last line
        self._rates: list[float] = []
        self._warned: set[str] = set()

    def add(
        self, last_step: int, metrics: dict[str, np.ndarray], images: np.ndarray, seconds: float
    ) -> None:
        """Records the steps of an inner loop.

        Args:
          last_step: updates done by now.
          metrics: {name: [n]} of the last n steps.
          images: [n, B] ids of their images.
          seconds: a step took.
        """
        if not self.is_chief:
            return
        count = len(images)
        self._step = last_step
        self._rates += [self.batch_size / seconds] * count
        memory = {name: f"{value:.0f}" for name, value in peaks_so_far().items()}
        rows = [
            {name: f"{values[i]:.7g}" for name, values in metrics.items()}
            | memory
            | {
                "step": last_step - count + i,
                "images_per_second": f"{self._rates[-1]:.2f}",
                "images_crc32": zlib.crc32(images[i].tobytes()),
            }
            for i in range(count)
        ]
        self.history.add(rows)
        self._pending.append(metrics)

    def log(self) -> None:
        """Prints a line about the steps since the last line; their means go to TensorBoard."""
        if not self.is_chief:
            return
        metrics = {
            name: np.concatenate([part[name] for part in self._pending])
            for name in self._pending[0]
        }
        self._pending = []
        means = {name: float(np.mean(values)) for name, values in metrics.items()}
        rate = float(np.median(self._rates[-len(metrics["total_loss"]) :]))
        with _board_errors():
            with self.board.as_default(self._step):
                for name, value in means.items():
                    tf.summary.scalar(f"train/{name}", value)
                tf.summary.scalar("train/images_per_second", rate)
            if self.fusion is not None:
                self.fusion.add(self._step, self.board)
            self.board.flush()
        self._tell(self._step, "train", means | {"images_per_second": rate})
        self.console.print(self._line(self._step, means, rate), highlight=False)
        self._warn_once(metrics)

    def _warn_once(self, metrics: dict[str, np.ndarray]) -> None:
        for name, text in _WARNINGS.items():
            count = int(metrics[name].sum())
            if count and name not in self._warned:
                self._warned.add(name)
                warn(f"{count} {text}; history.csv counts them step by step.", self.console)

    def _line(self, step: int, means: dict[str, float], rate: float) -> str:
        seconds = (self.total_steps - step) * self.batch_size / _usual_rate(self._rates)
        left = round(min(seconds, 1e10))  # of 1e30 epochs there is no length of time
        terms = f"class {means['class_loss']:.4f} box {means['box_loss']:.5f} "
        if means["segmentation_loss"]:  # a network without detection has no other
            terms = f"{terms if means['class_loss'] else ''}pixel {means['segmentation_loss']:.4f} "
        return (
            f"step {step}/{self.total_steps}  loss {means['total_loss']:.4f} ({terms}"
            f"L2 {means['l2_loss']:.4f})  "
            f"rate {means['learning_rate']:.4g}  {rate:.1f} images/s  "
            f"left {datetime.timedelta(seconds=left)}"
        )

    def evaluation(self, step: int, metrics: dict[str, float], picture: str) -> None:
        """Shows an evaluation's numbers in TensorBoard, and its page of drawn examples, a PNG.

        There is no page, "", of an evaluation that is not kept, and none where no picture has a
        mask of its own size.
        """
        if not self.is_chief:
            return
        page = tf.io.read_file(picture) if picture and tf.io.gfile.exists(picture) else None
        with _board_errors():
            with self.board.as_default(step):
                for name, value in metrics.items():
                    tf.summary.scalar(f"eval/{name}", value)
                if page is not None:
                    tf.summary.image("eval/examples", tf.io.decode_png(page, channels=3)[None])
            self.board.flush()
        self._tell(step, "eval", metrics)

    def _tell(self, step: int, part: str, values: dict[str, float]) -> None:
        """Hands numbers to the loggers; one that fails is named, and left out from then on."""
        named = {f"{part}/{name}": value for name, value in values.items()}
        for logger in list(self._loggers):
            try:
                logger.scalars(step, named)
            except Exception as error:  # theirs are of any kind, and a training is worth more
                self._loggers.remove(logger)
                warn_of_failure(logger, "takes no more numbers", error)

    def close(self) -> None:
        """Ends the loggers' entries; one that fails is named."""
        for logger in self._loggers:
            try:
                logger.close()
            except Exception as error:  # as in `_tell`
                warn_of_failure(logger, "may lack the last numbers", error)

    def flush(self) -> None:
        """Writes the rows of the history that wait; before a checkpoint, whose past they are."""
        if self.is_chief:
            self.history.flush()

    def summary(self) -> dict[str, float]:
        """Returns the usual speed of the run, that of its past if nothing was left to train."""
        rates = self._rates or [row["images_per_second"] for row in self._workdir.history()]
        return {"images_per_second": round(_usual_rate(rates), 2)}


@contextlib.contextmanager
def _board_errors() -> Iterator[None]:
    """Says that TensorBoard's files cannot be written, which may be so at every value."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(f"cannot write TensorBoard's files: {reason(error)}") from error


def _usual_rate(rates: Sequence[float]) -> float:
    # The first step compiles; it is forgotten as soon as there is another.
    rates = rates[1:] or rates
    return float(np.median(rates)) if rates else 0.0
