"""What a run will need in memory, worked out before it starts; what it took; and too little of it.

Numbers of one device. They are those of a runtime that keeps whatever the gradient reads, as
TensorFlow's does on CPUs and GPUs; XLA fuses and needs less. docs/memory.md compares them with
measured ones.

Shapes: B images of a micro-batch on one device, A anchors, K classes.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import math
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import keras
import rich.table
import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.files import reason
from edet.models.complexity import Kept, count_kept

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# Values of the class loss at its peak, float32 for each of [B, A, K]: of the focal loss, whose
# gradient reads them, logits, signed logits, cross entropy, modulator and products of them.
_LOSS_COPIES = 7
# Of [B, H, W, C], float32: upsampled logits, their softmax, and the gradient of both.
_PIXEL_LOSS_COPIES = 3
# Of the largest feature map, while the gradient passes it: the gradients on both sides of a layer,
# and the convolution's own space.
_GRADIENT_COPIES = 3
# Of control groups, versions 2 and 1: where a container reads how much it may take.
_CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)  # fmt: skip
# The system's words where TensorFlow's error is the same as for a device's memory.
_FULL_DISK = tuple(os.strerror(n) for n in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE))


@dataclass(frozen=True)
class ExpectedMemory:
    """Bytes on one device."""

    weights: int
    velocities: int
    averages: int
    evaluation: int  # weights of a second network, which holds the averages
    gradients: int  # and while they are clipped and applied, the new values of all of these
    activations: int  # of one micro-batch, kept from its forward to its backward pass
    temporary: int  # beside them at the worst moment: of the losses, or of a block's gradient

    @property
    def standing(self) -> int:
        """What is there between two steps, too."""
        return self.weights + self.velocities + self.averages + self.evaluation

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(dataclasses.astuple(self))

    def table(self) -> rich.table.Table:
        """Returns the parts as a table, in MiB."""
        table = rich.table.Table(title="memory that this run is expected to need")
        table.add_column("on one device")
        table.add_column("MiB", justify="right")
        for name, value in (*dataclasses.asdict(self).items(), ("total", self.total)):
            table.add_row(name, f"{value / 2**20:,.0f}")
        return table


def expected_memory(
    network: keras.Model, images: int, precision: str = "float32", micro_batches: int = 1,
    remat: bool = False, evaluate_too: bool = False, optimizer: str = "sgd",
    kept: Mapping[str, Kept] | None = None,
) -> ExpectedMemory:  # fmt: skip
    """Returns what training a network is expected to need on each of its devices.

    Args:
      network: its image size, heads and frozen layers count.
      images: of the batch on one device.
      precision: of activations, as `Recipe.precision`.
      micro_batches: parts that the images are worked through in.
      remat: whether blocks are computed again for their gradient.
      evaluate_too: whether a second network evaluates while training.
      optimizer: "sgd", or "adamw", which keeps two values of each weight.
      kept: `count_kept(network)`, where it is counted already.
    """
    trainable, others = (
        4 * sum(math.prod(variable.shape) for variable in variables)
        for variables in (network.trainable_variables, network.non_trainable_variables)
    )
    at_once = images // micro_batches
    blocks = (kept or count_kept(network)).values()
    value = at_once * _BYTES[precision]
    targets = loss = 0  # bytes of an image
    if "class_logits" in network.output:
        anchors, classes = network.output["class_logits"].shape[1:]
        targets += anchors * (1 + 4) * 4  # class and deltas
        loss += anchors * classes * 4 * _LOSS_COPIES
    if "segmentation_logits" in network.output:
        pixels = math.prod(network.input.shape[1:3])
        targets += pixels  # the mask
        loss += pixels * network.output["segmentation_logits"].shape[-1] * 4 * _PIXEL_LOSS_COPIES
    loss *= at_once
    gradient = _GRADIENT_COPIES * max(block.largest for block in blocks) * value
    if remat:
        activations = sum(block.outputs for block in blocks) * value
        # When the blocks of large maps are computed again, few of the outputs are still there.
        again = max(block.inside for block in blocks) * value
        temporary = max(loss, again + gradient - activations)
    else:
        activations = sum(block.inside for block in blocks) * value
        temporary = max(loss, gradient)
    temporary += images * targets  # of the whole batch
    velocities = trainable * (2 if optimizer == "adamw" else 1)
    # Weights, velocities and averages after the update.
    new_values = 2 * trainable + velocities + 2 * others
    return ExpectedMemory(
        weights=trainable + others,
        velocities=velocities,
        averages=trainable + others,
        evaluation=trainable + others if evaluate_too else 0,
        gradients=trainable + new_values,
        activations=activations,
        temporary=temporary,
    )


def free_memory() -> int:
    """Returns how many bytes of this machine's memory are free, as far as the system tells."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:  # Linux
        lines = dict(line.split(":", 1) for line in file)
        found = 1024 * int(lines["MemAvailable"].split()[0])
    for path in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError), open(path) as file:  # "max": there is none
            found = min(found, int(file.read()))
    return found


def shortage(
    foresee: Callable[..., ExpectedMemory], free: int, devices: int, images: int,
    micro_batches: int = 1, remat: bool = False,
) -> str:  # fmt: skip
    """Says that a run needs more memory than is free, and what would fit; "" if it does not.

    Args:
      foresee: `expected_memory` but for its `micro_batches` and `remat`.
      free: bytes.
      devices: that share them.
      images, micro_batches, remat: as of `expected_memory`.
    """

    def needed(parts: int, again: bool) -> int:
        return devices * foresee(micro_batches=parts, remat=again).total

    def least_parts(again: bool) -> int:
        more = (n for n in range(micro_batches + 1, images + 1) if images % n == 0)
        return next((n for n in more if needed(n, again) <= free), 0)

    if (wanted := needed(micro_batches, remat)) <= free:
        return ""
    ways = ["train.remat=true"] if not remat and needed(micro_batches, True) <= free else []
    if parts := least_parts(remat):
        ways.append(f"train.micro_batches={parts}")
    if not ways and not remat and (parts := least_parts(True)):
        ways.append(f"train.remat=true with train.micro_batches={parts}")
    advice = " or ".join(ways or ["data.batch_size or model.image_size smaller"])
    return (
        f"this run is expected to need {wanted / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are "
        f"free on this machine, which would end it without a word; set {advice} (docs/memory.md)."
    )


def peak_memory(run: Callable[[], object], device: str) -> tuple[int, str]:
    """Returns how many bytes `run` took at most beyond what was taken before, and who says so.

    TensorFlow's allocator counts them on a GPU, and on a CPU whose TensorFlow uses oneDNN (not on
    Arm, and on x86-64 without AVX-512 only if TF_ENABLE_ONEDNN_OPTS=1 was set before the import).
    Elsewhere it is the process's resident memory, which has the runtime's own buffers in it.
    """
    memory = tf.config.experimental
    try:
        memory.reset_memory_stats(device)
    except ValueError:  # there are no statistics
        before = _resident()
        run()
        return max(0, _resident(peak=True) - before), "resident memory of the process"
    before = memory.get_memory_info(device)["current"]
    run()
    return memory.get_memory_info(device)["peak"] - before, "TensorFlow's allocator"


def peaks_so_far() -> dict[str, float]:
    """Returns the most MiB until now: "process_mib", resident, and "device_mib" of one device.

    The latter is left out where TensorFlow's allocator does not tell, as of TPUs.
    """
    found = {"process_mib": _resident(peak=True) / 2**20}
    kinds = [k for k in ("GPU", "TPU", "CPU") if tf.config.list_logical_devices(k)]
    if kinds[0] != "TPU":
        devices = tf.config.list_logical_devices(kinds[0])
        with contextlib.suppress(ValueError):  # it has no statistics
            info = [tf.config.experimental.get_memory_info(device.name) for device in devices]
            found["device_mib"] = max(one["peak"] for one in info) / 2**20
    return found


def _resident(peak: bool = False) -> int:
    """Returns bytes of this process: now, whence the peak is counted on Linux, or at their peak."""
    try:
        if not peak:
            ctypes.CDLL(None).malloc_trim(0)  # what is free already must not hide what is taken
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak begins anew
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return 1024 * int(lines["VmHWM" if peak else "VmRSS"].split()[0])
    except (OSError, AttributeError):  # not Linux: the peak since the process started
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# What to do when a device's memory is used up.
TO_TRAIN = (
    "set data.batch_size smaller, train.micro_batches=2 or more, train.remat=true, or "
    "train.precision=bfloat16: docs/memory.md"
)
TO_LOOK = (
    "look at fewer pictures at once: set data.eval_batch_size smaller (batch_size of predict in "
    "Python)"
)


@contextlib.contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turns what a device raises whose memory is used up into a sentence.

    Args:
      advice: what to do, `TO_TRAIN` or `TO_LOOK`.

    Raises:
      UserError: says what to set; StorageError: it is a disk that is full.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if any(words in error.message for words in _FULL_DISK):
            raise StorageError(f"cannot write a file: {reason(error)}") from error
        raise UserError(
            f"a device has too little memory ({reason(error)[:200]}); {advice}."
        ) from error
