"""Every setting of edet, with its default, its unit and where the number comes from.

"reference" is google/automl efficientdet; "paper" is arXiv 1911.09070. The settings of one named
model (width, depth, image size, ...) are in `sizes.py`; this file holds what they all share.
The classes are frozen: a configuration is read, never edited, once `load_config` has built it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from edet.errors import UserError

FUSIONS = ("fast", "softmax", "unbounded", "sum")
FeatureNetwork = Literal["bifpn", "fpn", "panet", "nas_fpn", "fully_connected", "quad_fpn"]
FUSION_PREFIXES = ("", "channel_", "pixel_")
HEADS = ("detection", "segmentation")


class ConfigError(UserError):
    """A setting that cannot work."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class AnchorConfig:
    """The reference boxes tiled over every level of the pyramid."""

    scale: float = 4.0  # side of the smallest square anchor, in strides of its level (reference)
    num_scales: int = 3  # octave scales 2^(i / num_scales) per location (paper 5.1)
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5)  # width / height (paper 5.1)
    # Explicit (width, height) multipliers instead of the ratios. The D0-D7x weights released before
    # September 2020 were trained with [[1, 1], [1.4, 0.7], [0.7, 1.4]].
    aspect_pairs: tuple[tuple[float, float], ...] = ()

    @property
    def multipliers(self) -> tuple[tuple[float, float], ...]:
        """The (width, height) multiplier of each aspect."""
        return self.aspect_pairs or tuple((r**0.5, r**-0.5) for r in self.aspect_ratios)

    @property
    def per_location(self) -> int:
        """Anchors at one location: octave scales x aspects (9 in every released model)."""
        return self.num_scales * len(self.multipliers)

    def __post_init__(self):
        _require(
            all(ratio > 0 for ratio in self.aspect_ratios),  # before their roots are taken
            f"model.anchors.aspect_ratios is {list(self.aspect_ratios)}; each must be positive.",
        )
        _require(self.scale > 0, f"model.anchors.scale is {self.scale}; it must be positive.")
        _require(
            self.num_scales >= 1,
            f"model.anchors.num_scales is {self.num_scales}; it must be at least 1.",
        )
        _require(
            bool(self.multipliers) and all(a > 0 for pair in self.multipliers for a in pair),
            "model.anchors needs at least one aspect, and each must be positive.",
        )


@dataclass(frozen=True)
class SegmentationConfig:
    """The head that gives every pixel a class (paper 5.2); `model.heads` turns it on."""

    num_classes: int = 21  # logits of a pixel; filled in from `labels` when those are given
    # The values of the masks and their names: "voc", a YAML file of `value: name`, or the map
    # itself. Logit k is the k-th value in rising order; 255 is no class but "leave it out".
    # Empty: VOC's background and twenty classes for 21, otherwise 0..num_classes-1 without names.
    labels: Any = field(default_factory=dict)
    level: int = 2  # the one level that it reads, of stride 2^2; the pyramid reaches down to it
    width: int = 256  # channels of its convolutions
    repeats: int = 3  # convolutions before the last

    def __post_init__(self):
        _require(
            isinstance(self.labels, dict),
            f"model.segmentation.labels is {self.labels!r}; load it with edet.load_config, which "
            "reads names and files.",
        )
        labels = {int(k): str(v) for k, v in sorted(self.labels.items())}
        object.__setattr__(self, "labels", labels)
        _require(
            all(0 <= value <= 253 for value in labels),
            f"model.segmentation.labels has the value {max(labels, default=0, key=abs)}; values of "
            "masks are 0 to 253, and 255 for what is left out.",
        )
        _require(
            2 <= self.num_classes <= 254,
            f"model.segmentation.num_classes is {self.num_classes}; it must be 2 to 254.",
        )
        _require(
            not labels or len(labels) == self.num_classes,
            f"model.segmentation.num_classes is {self.num_classes} but its labels name "
            f"{len(labels)} classes; set one of them, or make them agree.",
        )
        _require(
            1 <= self.level <= 5,
            f"model.segmentation.level is {self.level}; the backbone gives levels 1-5.",
        )
        _require(self.width >= 1, "model.segmentation.width must be at least 1.")
        _require(self.repeats >= 0, "model.segmentation.repeats must not be negative.")


@dataclass(frozen=True)
class ModelConfig:
    """One network. The defaults are EfficientDet-D0; `sizes.py` has the others."""

    name: str = "efficientdet-d0"
    backbone: str = "efficientnet-b0"
    # Pixels of the network input: one number for a square, or [height, width]. Kept as a tuple.
    image_size: Any = 512
    num_classes: int = 90  # class logits; filled in from `labels` when those are given
    # The data set's own class ids and names: "coco", "voc", a YAML file of `id: name`, or the map
    # itself. Logit k is the k-th id in rising order; an id with an empty name is never detected.
    # Empty: COCO's map for 90 classes, otherwise ids 1..num_classes without names.
    labels: Any = field(default_factory=dict)
    min_level: int = 3  # P3 has stride 2^3
    max_level: int = 7
    # The nodes of a cell (paper Figure 2 and Table 5); models/fusion_graph.py draws them.
    feature_network: FeatureNetwork = "bifpn"
    fusion: str = "fast"  # fast, softmax, unbounded or sum; channel_* and pixel_* variants (3.3)
    pyramid_width: int = 64  # channels of every level (paper Table 1)
    pyramid_repeats: int = 3  # cells of the feature network (paper Table 1)
    # Brings each level of the backbone to the pyramid's width once. False: anew for every use of
    # it, as in the released weights.
    project_once: bool = False
    head_repeats: int = 3  # convolutions of each head before the last (paper Table 1)
    heads: tuple[str, ...] = ("detection",)  # what the network gives: detection, segmentation
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    # Of the 3 x 3 convolutions in the feature network and the heads: by depth and then by point
    # (paper 3.2), or full, as in RetinaNet.
    convolution: Literal["separable", "full"] = "separable"
    activation: Literal["swish", "relu6", "relu", "hswish"] = "swish"
    drop_connect_rate: float = 0.2  # of the last block; grows linearly with depth; 0 turns it off
    batch_norm_momentum: float = 0.99  # reference; a short run shortens it, see training.recipe
    batch_norm_epsilon: float = 1e-3  # reference
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)  # ImageNet mean, 0-255
    stddev_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)  # ImageNet deviation, 0-255
    # What is right of and below a fitted image, in normalised units: 0 is the mean colour
    # (reference). Its Det-AdvProp weights scale to [-1, 1] after padding and expect -1, black.
    padding: float = 0.0
    anchors: AnchorConfig = field(default_factory=AnchorConfig)

    @property
    def levels(self) -> range:
        """The pyramid levels that have anchors, fine to coarse."""
        return range(self.min_level, self.max_level + 1)

    @property
    def pyramid_levels(self) -> range:
        """All levels of the pyramid, fine to coarse; segmentation may read a finer one."""
        if self.segments:
            return range(min(self.min_level, self.segmentation.level), self.max_level + 1)
        return self.levels

    @property
    def detects(self) -> bool:
        """Whether the network has class logits and box deltas."""
        return "detection" in self.heads

    @property
    def segments(self) -> bool:
        """Whether the network has logits of every pixel's class."""
        return "segmentation" in self.heads

    @property
    def pad_color(self) -> tuple[float, ...]:
        """Red, green and blue of the padding as a raw pixel, 0-255."""
        pairs = zip(self.mean_rgb, self.stddev_rgb, strict=True)
        return tuple(mean + self.padding * deviation for mean, deviation in pairs)

    def __post_init__(self):
        object.__setattr__(self, "image_size", parse_image_size(self.image_size))
        object.__setattr__(self, "heads", tuple(self.heads))
        labels = self.labels
        _require(
            isinstance(labels, dict),
            f"model.labels is {labels!r}; load it with edet.load_config, which reads names and "
            "files.",
        )
        object.__setattr__(self, "labels", {int(k): str(v) for k, v in sorted(labels.items())})
        _require(
            self.num_classes >= 1,
            f"model.num_classes is {self.num_classes}; a detector needs at least one class.",
        )
        _require(
            not labels or len(labels) == self.num_classes,
            f"model.num_classes is {self.num_classes} but model.labels names {len(labels)} "
            "classes; set one of them, or make them agree.",
        )
        _require(
            all(class_id >= 1 for class_id in self.labels),
            f"model.labels has the id {min(self.labels, default=1)}; ids start at 1, there is no "
            "background class.",
        )
        _require(
            1 <= self.min_level <= 5 <= self.max_level <= 9,
            f"model levels {self.min_level}-{self.max_level} are not possible; the backbone gives "
            "levels 1-5 and the pyramid must reach at least level 5.",
        )
        _require(
            self.feature_network != "nas_fpn" or self.pyramid_levels == range(3, 8),
            "model.feature_network nas_fpn was searched for levels 3-7, not "
            f"{self.pyramid_levels[0]}-{self.max_level}; leave model.min_level and max_level, or "
            "choose another network.",
        )
        _require(
            bool(self.heads) and set(self.heads) <= set(HEADS),
            f"model.heads is {list(self.heads)}; name one or both of {', '.join(HEADS)}.",
        )
        base = self.fusion.removeprefix("channel_").removeprefix("pixel_")
        _require(
            base in FUSIONS and (base != "sum" or self.fusion == "sum"),
            f"model.fusion is {self.fusion!r}; choose one of "
            + ", ".join(p + f for p in FUSION_PREFIXES for f in FUSIONS if f != "sum" or not p)
            + ".",
        )
        for key in ("pyramid_width", "pyramid_repeats"):
            _require(getattr(self, key) >= 1, f"model.{key} must be at least 1.")
        _require(self.head_repeats >= 0, "model.head_repeats must not be negative.")
        _require(
            0.0 <= self.drop_connect_rate < 1.0,
            f"model.drop_connect_rate is {self.drop_connect_rate}; it must be in [0, 1).",
        )
        _require(
            0.0 < self.batch_norm_momentum < 1.0,
            f"model.batch_norm_momentum is {self.batch_norm_momentum}; it must be in (0, 1).",
        )
        _require(
            all(s > 0 for s in self.stddev_rgb),
            f"model.stddev_rgb is {self.stddev_rgb}; every value must be positive.",
        )
        _require(
            all(0 <= c <= 255 for c in self.pad_color),
            f"model.padding is {self.padding}, which is the colour {self.pad_color}; it must be "
            "one of 0-255.",
        )


def parse_image_size(value: Any) -> tuple[int, int]:
    """Returns (height, width) of an int, a [height, width] pair or a tuple of two ints."""
    sides = (value, value) if isinstance(value, int) else value
    _require(
        isinstance(sides, list | tuple)
        and len(sides) == 2
        and all(isinstance(s, int) and not isinstance(s, bool) and s >= 1 for s in sides),
        f"model.image_size is {value!r}; give one positive number of pixels, or [height, width].",
    )
    return (sides[0], sides[1])


@dataclass(frozen=True)
class DataConfig:
    """Where the examples come from and how they are batched."""

    train_records: str = ""  # glob of TFRecord shards; gs:// works
    eval_records: str = ""  # glob of TFRecord shards
    batch_size: int = 64  # images of one training step over all replicas
    eval_batch_size: int = 8  # images of one evaluation step over all replicas
    max_boxes: int = 100  # ground-truth boxes kept per image (reference: max_instances_per_image)
    skip_crowd: bool = True  # leave COCO crowd boxes out of training (reference)
    shuffle_buffer: int = 1024  # examples (encoded) shuffled in memory; the reference has 64
    # In training, JPEGs much larger than needed are decoded at 1/2, 1/4 or 1/8 of their size: that
    # is faster, and smoother than the whole image resized (docs/input_pipeline.md).
    scaled_decode: bool = True
    num_train_examples: int = 0  # images of one epoch; 0 counts the records

    def __post_init__(self):
        for key in ("batch_size", "eval_batch_size", "max_boxes", "shuffle_buffer"):
            value = getattr(self, key)
            _require(value >= 1, f"data.{key} is {value}; it must be at least 1.")
        _require(
            self.num_train_examples >= 0,
            f"data.num_train_examples is {self.num_train_examples}; it must not be negative.",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """What changes an image in training (paper 5.1: flip and scale jitter)."""

    horizontal_flip: bool = True  # with probability 0.5
    vertical_flip: bool = False  # with probability 0.5; for pictures without an up
    jitter_min: float = 0.1  # smallest scale, relative to the fitted size (paper appendix 1.1)
    jitter_max: float = 2.0
    # A box stays ground truth after the crop when this share of its area is still visible.
    min_visible: float = 0.0  # 0 keeps every sliver, as the reference

    def __post_init__(self):
        _require(
            0 < self.jitter_min <= self.jitter_max,
            f"augment.jitter_min {self.jitter_min} and jitter_max {self.jitter_max} must satisfy "
            "0 < jitter_min <= jitter_max.",
        )
        _require(
            0 <= self.min_visible < 1,
            f"augment.min_visible is {self.min_visible}; it must be in [0, 1).",
        )


@dataclass(frozen=True)
class LossConfig:
    """Matching and the three terms of the loss."""

    positive_iou: float = 0.5  # an anchor with this overlap is positive (paper 5.1)
    alpha: float = 0.25  # focal loss balance (paper 5.1)
    gamma: float = 1.5  # focal loss focus (paper 5.1)
    label_smoothing: float = 0.0
    huber_delta: float = 0.1  # reference
    box_weight: float = 50.0  # Huber box loss against class loss (reference); 0 turns it off
    iou_loss: Literal["none", "iou", "giou", "diou", "ciou"] = "none"  # added to the Huber loss
    iou_weight: float = 1.0
    segmentation_weight: float = 1.0  # cross-entropy of the pixels, beside detection or alone
    weight_decay: float = 4e-5  # L2 on kernels, part of the loss (paper 5.1)

    def __post_init__(self):
        _require(
            0 < self.positive_iou <= 1,
            f"loss.positive_iou is {self.positive_iou}; it must be in (0, 1].",
        )
        _require(0 <= self.alpha <= 1, f"loss.alpha is {self.alpha}; it must be in [0, 1].")
        _require(
            0 <= self.label_smoothing < 1,
            f"loss.label_smoothing is {self.label_smoothing}; it must be in [0, 1).",
        )
        _require(
            self.huber_delta > 0, f"loss.huber_delta is {self.huber_delta}; it must be positive."
        )
        for key in ("gamma", "box_weight", "iou_weight", "segmentation_weight", "weight_decay"):
            value = getattr(self, key)
            _require(value >= 0, f"loss.{key} is {value}; it must not be negative.")


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and from where."""

    # Passes over the training records; 0: the paper's 300 (600 for D7), or fewer where `init` is a
    # whole detector, see training.recipe.
    epochs: float = 0
    steps: int = 0  # updates; 0 follows `epochs`
    # Weights to start from: a name of the zoo (efficientdet-d0, efficientnet-b0), a file, a folder
    # or a workdir; empty: from scratch.
    init: str = ""
    freeze: tuple[str, ...] = ()  # parts kept as they are, batch norm too: backbone pyramid heads
    seed: int = 0  # of weights, data order and augmentation

    learning_rate: float = 0.08  # peak, for a batch of 64; scaled with data.batch_size (reference)
    schedule: Literal["cosine", "stepwise", "polynomial", "constant"] = "cosine"
    warmup_epochs: float = 1.0  # linear from warmup_learning_rate to the peak (paper 5.1)
    warmup_learning_rate: float = 0.008  # for a batch of 64, scaled with data.batch_size
    drop_epochs: tuple[float, float] = (200, 250)  # stepwise: x0.1 and x0.01 from here on
    momentum: float = 0.9  # SGD without Nesterov (paper 5.1)
    clip_norm: float = 10.0  # of each gradient, then of all together (reference); 0: no clipping
    ema_decay: float = 0.9998  # moving average of the weights (paper 5.1); 0 turns it off
    # Shorten EMA, batch-norm memory and warm-up when the run is too short for the numbers above
    # (they are made for 277,200 steps), and epochs 0 when `init` is a whole detector; what they
    # became is printed and saved.
    adapt_to_length: bool = True
    # Of activations; losses and updates stay float32. auto: bfloat16 on a TPU, otherwise float32.
    # float16 is for GPUs without bfloat16 and scales the loss.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    remat: bool = False  # compute each block again for its gradient instead of keeping it
    micro_batches: int = 1  # parts that a replica works through its images in, in each step

    eval_every: int = 0  # steps between evaluations in train_and_eval; 0: after each tenth
    save_every: int = 0  # steps between checkpoints; 0: after each twentieth
    keep: int = 3  # checkpoints kept beside the best one
    log_every: int = 0  # steps between log lines; 0: a 200th of the run, at most 100

    def __post_init__(self):
        _require(
            self.learning_rate > 0,
            f"train.learning_rate is {self.learning_rate}; it must be positive.",
        )
        for key in (
            "epochs", "steps", "warmup_epochs", "warmup_learning_rate", "clip_norm", "eval_every",
            "save_every", "log_every", "seed",
        ):  # fmt: skip
            value = getattr(self, key)
            _require(value >= 0, f"train.{key} is {value}; it must not be negative.")
        _require(self.seed < 2**32, f"train.seed is {self.seed}; it must be below 2^32.")
        for key in ("momentum", "ema_decay"):
            value = getattr(self, key)
            _require(0 <= value < 1, f"train.{key} is {value}; it must be in [0, 1).")
        for key in ("keep", "micro_batches"):
            value = getattr(self, key)
            _require(value >= 1, f"train.{key} is {value}; it must be at least 1.")
        parts = {"backbone", "pyramid", "heads"}
        for part in self.freeze:
            _require(
                part in parts,
                f"train.freeze names {part!r}; the parts are {', '.join(sorted(parts))}.",
            )
        _require(
            set(self.freeze) != parts, "train.freeze holds every part; nothing would be trained."
        )


@dataclass(frozen=True)
class DetectConfig:
    """From logits and deltas to detections."""

    max_detections: int = 100  # per image (COCO's protocol)
    # Candidates (anchor, class) that enter suppression; 0 takes each anchor with its best class,
    # which is what the reference's export does. Its evaluation takes 5000.
    pre_nms_top_k: int = 5000
    nms: Literal["gaussian", "hard"] = "gaussian"  # soft-NMS, as the published AP
    class_agnostic: bool = False  # suppress over classes too
    sigma: float = 0.5  # gaussian: a score decays by exp(-IoU^2 / sigma)
    iou_threshold: float = 0.5  # hard: boxes of a class overlapping more than this are dropped
    score_threshold: float = 0.001  # detections at or below it are padding (reference)
    draw_threshold: float = 0.4  # smallest score that predict draws
    # Looking several times, in predict, eval and the Detector; an exported model looks once.
    flip: bool = False  # at every picture mirrored, too
    # Height and width, in pixels of the picture, of the tiles that a larger picture is looked at
    # in beside the whole; [0, 0]: none. The size of the network input keeps every pixel.
    tile: tuple[int, int] = (0, 0)
    # Smallest share of a tile that its neighbour shows too. What is larger than that may be cut by
    # every tile, and is then left to the view of the whole picture.
    tile_overlap: float = 0.2

    @property
    def looks_once(self) -> bool:
        """Whether a picture is one network input: not mirrored, not cut into tiles."""
        return not self.flip and not any(self.tile)

    def __post_init__(self):
        for key in ("max_detections",):
            value = getattr(self, key)
            _require(value >= 1, f"detect.{key} is {value}; it must be at least 1.")
        _require(
            self.pre_nms_top_k >= 0,
            f"detect.pre_nms_top_k is {self.pre_nms_top_k}; it must not be negative.",
        )
        _require(self.sigma > 0, f"detect.sigma is {self.sigma}; it must be positive.")
        for key in ("iou_threshold", "score_threshold", "draw_threshold"):
            value = getattr(self, key)
            _require(0 <= value <= 1, f"detect.{key} is {value}; it must be in [0, 1].")
        object.__setattr__(self, "tile", tuple(self.tile))
        _require(
            self.tile == (0, 0) or (len(self.tile) == 2 and min(self.tile) >= 1),
            f"detect.tile is {list(self.tile)}; give [height, width] in pixels of the picture, or "
            "[0, 0] for no tiles.",
        )
        _require(
            0 <= self.tile_overlap < 1,
            f"detect.tile_overlap is {self.tile_overlap}; it must be in [0, 1).",
        )


@dataclass(frozen=True)
class ExportConfig:
    """What `--mode=export` writes."""

    format: Literal["saved_model", "litert", "onnx"] = "saved_model"
    # Of the network, in LiteRT files. float16: weights only. dynamic: weights int8, activations
    # int8 by the range that each has at that moment. int8: both, with calibrated ranges, and
    # uint8 pixels as input. What turns the network's outputs into detections is float32 always.
    precision: Literal["float32", "float16", "dynamic", "int8"] = "float32"
    # network: class logits and box deltas. boxes: scores and decoded boxes of all anchors.
    # detections: after suppression, as `detect` says. A SavedModel has the first and the last.
    outputs: Literal["network", "boxes", "detections"] = "detections"
    calibration_images: int = 100  # int8: pictures of data.train_records that set the ranges

    def __post_init__(self):
        _require(
            self.precision == "float32" or self.format == "litert",
            f"export.precision {self.precision} exists for export.format=litert only, not for "
            f"{self.format}; set the format, or leave the precision at float32.",
        )
        _require(
            self.outputs == "detections" or self.format != "saved_model",
            f"export.outputs is {self.outputs}, but a SavedModel has signatures for detections and "
            "for the network both; set export.format to litert or onnx, or leave the outputs.",
        )
        _require(
            self.calibration_images >= 1,
            f"export.calibration_images is {self.calibration_images}; it must be at least 1.",
        )


@dataclass(frozen=True)
class Config:
    """The whole of one experiment."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    def __post_init__(self):
        _refuse_infinity("", dataclasses.asdict(self))


def _refuse_infinity(name: str, value: Any) -> None:
    """Refuses inf and nan in any setting below `name`."""
    if isinstance(value, dict):
        for key, each in value.items():
            _refuse_infinity(f"{name}.{key}" if name else key, each)
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_infinity(name, each)
    else:
        finite = not isinstance(value, float) or math.isfinite(value)
        _require(finite, f"{name} is {value}; it must be a finite number.")


def replace(config: Config, **changes: dict[str, Any]) -> Config:
    """Returns `config` with fields of its sections changed: replace(c, train={"steps": 10})."""
    sections = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in changes.items()
    }
    return dataclasses.replace(config, **sections)
