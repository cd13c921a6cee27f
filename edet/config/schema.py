"""Every setting of edet, with its default, its unit and where the number comes from.

"reference" is google/automl efficientdet; "paper" is arXiv 1911.09070. The settings of one named
model (width, depth, image size, ...) are in `sizes.py`; this file holds what they all share.
The classes are frozen: a configuration is read, never edited, once `load_config` has built it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from edet.config.checking import (
    ConfigError as ConfigError,  # what cannot work is refused with it
)
from edet.config.checking import (
    Count,
    Duration,
    NotNegative,
    Number,
    Positive,
    Share,
    ShareBelowOne,
    WholeNumber,
    require,
    section,
)

Fit = Literal["letterbox", "stretch"]
FeatureNetwork = Literal["bifpn", "fpn", "panet", "nas_fpn", "fully_connected", "quad_fpn"]
Fusion = Literal[
    "fast", "softmax", "unbounded", "sum", "channel_fast", "channel_softmax", "channel_unbounded",
    "pixel_fast", "pixel_softmax", "pixel_unbounded",
]  # fmt: skip


def parse_image_size(value: Any) -> tuple[int, int]:
    """Returns (height, width) of an int, a [height, width] pair or a tuple of two ints."""
    sides = (value, value) if isinstance(value, int) else value
    require(
        isinstance(sides, list | tuple)
        and len(sides) == 2
        and all(isinstance(s, int) and not isinstance(s, bool) and s >= 1 for s in sides),
        f"model.image_size is {value!r}; give one positive number of pixels, or [height, width].",
    )
    return (sides[0], sides[1])


ImageSize = Annotated[tuple[Count, Count], BeforeValidator(parse_image_size)]
# {id: name} in rising order of the ids.
Labels = Annotated[
    dict[int, str],
    AfterValidator(lambda labels: dict(sorted(labels.items()))),
    Field(description="load it with edet.load_config, which reads names and files"),
]
# Files by glob; a list is of several.
Globs = Annotated[
    str | tuple[str, ...], Field(description="give a glob of TFRecord shards, or a list of globs")
]


@section("model.anchors")
class AnchorConfig:
    """The reference boxes tiled over every level of the pyramid."""

    scale: Positive = 4.0  # side of the smallest square anchor, in strides of its level (reference)
    num_scales: Count = 3  # octave scales 2^(i / num_scales) per location (paper 5.1)
    aspect_ratios: tuple[Positive, ...] = (1.0, 2.0, 0.5)  # width / height (paper 5.1)
    # Explicit (width, height) multipliers instead of the ratios. The D0-D7x weights released before
    # September 2020 were trained with [[1, 1], [1.4, 0.7], [0.7, 1.4]].
    aspect_pairs: Annotated[
        tuple[tuple[Positive, Positive], ...],
        Field(description="each must be [width, height], two positive numbers"),
    ] = ()

    @property
    def multipliers(self) -> tuple[tuple[float, float], ...]:
        """The (width, height) multiplier of each aspect."""
        return self.aspect_pairs or tuple((r**0.5, r**-0.5) for r in self.aspect_ratios)

    @property
    def per_location(self) -> int:
        """Anchors at one location: octave scales x aspects (9 in every released model)."""
        return self.num_scales * len(self.multipliers)

    def __post_init__(self):
        some = bool(self.aspect_ratios or self.aspect_pairs)
        require(some, "model.anchors needs at least one aspect; set aspect_ratios.")


@section("model.segmentation")
class SegmentationConfig:
    """The head that gives every pixel a class (paper 5.2); `model.heads` turns it on."""

    # Logits of a pixel; filled in from `labels` when those are given.
    num_classes: Annotated[Count, Field(le=254, ge=2, description="it must be 2 to 254")] = 21
    # The values of the masks and their names: "voc", a YAML file of `value: name`, or the map
    # itself. Logit k is the k-th value in rising order; 255 is no class but "leave it out".
    # Empty: VOC's background and twenty classes for 21, otherwise 0..num_classes-1 without names.
    labels: Labels = field(default_factory=dict)
    # The one level that it reads, of stride 2^2; the pyramid reaches down to it.
    level: Annotated[Count, Field(le=5, description="the backbone gives levels 1-5")] = 2
    width: Count = 256  # channels of its convolutions
    repeats: WholeNumber = 3  # convolutions before the last

    def __post_init__(self):
        require(
            all(0 <= value <= 253 for value in self.labels),
            f"model.segmentation.labels has the value {max(self.labels, default=0, key=abs)}; "
            "values of masks are 0 to 253, and 255 for what is left out.",
        )
        _require_agreement("model.segmentation", self.num_classes, self.labels)


@section("model")
class ModelConfig:
    """One network. The defaults are EfficientDet-D0; `sizes.py` has the others."""

    name: str = "efficientdet-d0"
    backbone: str = "efficientnet-b0"
    # Pixels of the network input: one number for a square, or [height, width]. Kept as a tuple.
    image_size: ImageSize = (512, 512)
    # How a picture of another shape gets into it: letterbox keeps its shape and pads at the bottom
    # or at the right (reference), stretch fills the input, as MediaPipe does. In training,
    # evaluation, prediction and exports.
    fit: Fit = "letterbox"
    num_classes: Count = 90  # class logits; filled in from `labels` when those are given
    # The data set's own class ids and names: "coco", "voc", a YAML file of `id: name`, or the map
    # itself. Logit k is the k-th id in rising order; an id with an empty name is never detected.
    # Empty: COCO's map for 90 classes, otherwise ids 1..num_classes without names.
    labels: Labels = field(default_factory=dict)
    min_level: WholeNumber = 3  # P3 has stride 2^3
    max_level: WholeNumber = 7
    # The nodes of a cell (paper Figure 2 and Table 5); models/fusion_graph.py draws them.
    feature_network: FeatureNetwork = "bifpn"
    fusion: Fusion = "fast"  # fast, softmax, unbounded or sum; channel_* and pixel_* variants (3.3)
    pyramid_width: Count = 64  # channels of every level (paper Table 1)
    pyramid_repeats: Count = 3  # cells of the feature network (paper Table 1)
    # Brings each level of the backbone to the pyramid's width once. False: anew for every use of
    # it, as in the released weights.
    project_once: bool = False
    head_repeats: WholeNumber = 3  # convolutions of each head before the last (paper Table 1)
    # What the network gives.
    heads: Annotated[
        tuple[Literal["detection", "segmentation"], ...],
        Field(min_length=1, description="name one or both of detection, segmentation"),
    ] = ("detection",)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    # Of the 3 x 3 convolutions in the feature network and the heads: by depth and then by point
    # (paper 3.2), or full, as in RetinaNet.
    convolution: Literal["separable", "full"] = "separable"
    activation: Literal["swish", "relu6", "relu", "hswish"] = "swish"
    # Of the last block; grows linearly with depth; 0 turns it off.
    drop_connect_rate: ShareBelowOne = 0.2
    # Reference; a short run shortens it, see training.recipe.
    batch_norm_momentum: Annotated[Positive, Field(lt=1)] = 0.99
    batch_norm_epsilon: Positive = 1e-3  # reference
    mean_rgb: tuple[Number, Number, Number] = (123.675, 116.28, 103.53)  # ImageNet mean, 0-255
    # ImageNet deviation, 0-255.
    stddev_rgb: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    # What is right of and below a fitted image, in normalised units: 0 is the mean colour
    # (reference). Its Det-AdvProp weights scale to [-1, 1] after padding and expect -1, black.
    padding: Number = 0.0
    # The value of a PNG of 16 bits that becomes 255: 65535, or 4095 for a camera of 12 bits. One
    # number for all pictures, in training, evaluation, prediction and exports; check_data names it.
    white_level: Annotated[int, Field(ge=255, le=65535, description="it must be 255 to 65535")] = (
        65535
    )
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
        _require_agreement("model", self.num_classes, self.labels)
        require(
            all(class_id >= 0 for class_id in self.labels),
            f"model.labels has the id {min(self.labels, default=0)}; ids are 0 or more, and none "
            "is a background.",
        )
        require(
            1 <= self.min_level <= 5 <= self.max_level <= 9,
            f"model levels {self.min_level}-{self.max_level} are not possible; the backbone gives "
            "levels 1-5 and the pyramid must reach at least level 5.",
        )
        require(
            self.feature_network != "nas_fpn" or self.pyramid_levels == range(3, 8),
            "model.feature_network nas_fpn was searched for levels 3-7, not "
            f"{self.pyramid_levels[0]}-{self.max_level}; leave model.min_level and max_level, or "
            "choose another network.",
        )
        require(
            all(0 <= c <= 255 for c in self.pad_color),
            f"model.padding is {self.padding}, which is the colour {self.pad_color}; it must be "
            "one of 0-255.",
        )


def _require_agreement(path: str, num_classes: int, labels: dict[int, str]) -> None:
    """Refuses another number of labels than of classes."""
    require(
        not labels or len(labels) == num_classes,
        f"{path}.num_classes is {num_classes} but {path}.labels names {len(labels)} classes; set "
        "one of them, or make them agree.",
    )


@section("data")
class DataConfig:
    """Where the examples come from and how they are batched."""

    train_records: Globs = ""  # glob of TFRecord shards, or a list of globs; gs:// works
    eval_records: Globs = ""  # likewise
    batch_size: Count = 64  # images of one training step over all replicas
    eval_batch_size: Count = 8  # images of one evaluation step over all replicas
    max_boxes: Count = 100  # ground-truth boxes kept per image (reference: max_instances_per_image)
    skip_crowd: bool = True  # leave COCO crowd boxes out of training (reference)
    shuffle_buffer: Count = 1024  # examples (encoded) shuffled in memory; the reference has 64
    # In training, JPEGs much larger than needed are decoded at 1/2, 1/4 or 1/8 of their size: that
    # is faster, and smoother than the whole image resized (docs/input_pipeline.md).
    scaled_decode: bool = True
    num_train_examples: WholeNumber = 0  # images of one epoch; 0 counts the records


@section("augment")
class AugmentConfig:
    """What changes an image in training (paper 5.1: flip and scale jitter).

    What is 0 here is not in the paper; docs/input_pipeline.md has what it does.
    """

    horizontal_flip: bool = True  # with probability 0.5
    vertical_flip: bool = False  # with probability 0.5; for pictures without an up
    # Scales relative to the fitted size (paper appendix 1.1); modern: 0.5 to 1.5.
    jitter_min: Positive = 0.1
    jitter_max: Positive = 2.0
    # A box stays ground truth after the crop when this share of its area is still visible.
    min_visible: ShareBelowOne = 0.0  # 0 keeps every sliver, as the reference
    # Colours, by a random amount up to this, either way; 0: as they are. YOLO's usual three numbers
    # are 0.015, 0.7 and 0.4.
    hue: Annotated[NotNegative, Field(le=0.5)] = 0.0  # turns of the colour circle
    saturation: Share = 0.0  # of its strength: 0.7 is a factor of 0.3 to 1.7
    brightness: Share = 0.0  # likewise
    mosaic: Share = 0.0  # probability of an image put together of parts of four
    mosaic_off: ShareBelowOne = 0.1  # share of the run's steps, its last, without mosaics

    @property
    def changes_colors(self) -> bool:
        """Whether any of the three is on."""
        return max(self.hue, self.saturation, self.brightness) > 0

    def __post_init__(self):
        require(
            self.jitter_min <= self.jitter_max,
            f"augment.jitter_min {self.jitter_min} and jitter_max {self.jitter_max} must satisfy "
            "0 < jitter_min <= jitter_max.",
        )


@section("loss")
class LossConfig:
    """Matching and the three terms of the loss."""

    # Which anchors answer for a box: those that overlap it by positive_iou, and the best one; or
    # those around its centre that overlap it more than most of these (ATSS, arXiv 1912.02424).
    assignment: Literal["iou", "atss"] = "iou"  # modern: atss
    # An anchor with this overlap is positive (paper 5.1).
    positive_iou: Annotated[Positive, Field(le=1)] = 0.5
    # What a positive anchor's class score is to become: 1 (focal, paper 5.1), or the overlap of the
    # anchor's box as it is found: quality_focal (arXiv 2006.04388), varifocal (arXiv 2008.13367).
    class_loss: Literal["focal", "quality_focal", "varifocal"] = "focal"  # modern: quality_focal
    alpha: Share = 0.25  # focal loss balance (paper 5.1); varifocal: 1 - alpha is of negatives
    gamma: NotNegative = 1.5  # focal loss focus (paper 5.1); modern: 2
    label_smoothing: ShareBelowOne = 0.0
    huber_delta: Positive = 0.1  # reference
    box_weight: NotNegative = 50.0  # Huber box loss against class loss (reference); modern: 0, off
    # Added to the Huber loss; modern: giou, with a weight of 8.
    iou_loss: Literal["none", "iou", "giou", "diou", "ciou"] = "none"
    iou_weight: NotNegative = 1.0
    segmentation_weight: NotNegative = 1.0  # cross-entropy of the pixels, beside detection or alone
    weight_decay: NotNegative = 4e-5  # L2 on kernels, part of the loss (paper 5.1)


@section("train")
class TrainConfig:
    """How long, how fast and from where."""

    # Passes over the training records; 0: the paper's 300 (600 for D7), or fewer where `init` is a
    # whole detector, see training.recipe.
    epochs: Duration = 0
    steps: WholeNumber = 0  # updates; 0 follows `epochs`
    # Instead of either: as many steps as fit into so many minutes of these devices, from the start
    # to the last step; a few are measured first. The evaluations of train_and_eval come on top.
    minutes: Duration = 0
    # Weights to start from: a name of the zoo (efficientdet-d0, efficientnet-b0), a file, a folder
    # or a workdir; empty: from scratch.
    init: str = ""
    # Parts that are kept as they are, batch norm too.
    freeze: tuple[Literal["backbone", "pyramid", "heads"], ...] = ()
    seed: Annotated[WholeNumber, Field(lt=2**31)] = 0  # of weights, data order and augmentation

    # A name for the values of the settings that make it (edet.config.recipes), which also says
    # which it is where none is given. paper: the defaults here.
    recipe: Literal["paper", "modern"] = "paper"
    # Peak; of sgd for a batch of 64, scaled with data.batch_size (reference). modern: 0.0042.
    learning_rate: Positive = 0.08
    schedule: Literal["cosine", "stepwise", "polynomial", "constant"] = "cosine"
    warmup_epochs: Duration = 1.0  # linear from warmup_learning_rate to the peak (paper 5.1)
    warmup_learning_rate: NotNegative = 0.008  # as learning_rate; modern: 0
    drop_epochs: tuple[Duration, Duration] = (200, 250)  # stepwise: x0.1 and x0.01 from here on
    # sgd (paper 5.1), or adamw (modern), whose learning rate is taken as it is, for any batch.
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: ShareBelowOne = 0.9  # of SGD, without Nesterov (paper 5.1)
    adamw_decay: NotNegative = 0.05  # of kernels, times the learning rate, instead of the L2 loss
    # Of each gradient, then of all together (reference); 0: no clipping.
    clip_norm: NotNegative = 10.0
    ema_decay: ShareBelowOne = 0.9998  # moving average of the weights (paper 5.1); 0 turns it off
    # Shorten EMA and batch-norm memory when the run is too short for the numbers above (they are
    # made for 277,200 steps), warm up for 30 steps at least but a twentieth of the run at most, and
    # take fewer epochs than 0 says when `init` is a whole detector; it is printed and saved.
    adapt_to_length: bool = True
    # Of activations; losses and updates stay float32. auto: bfloat16 on a TPU, otherwise float32.
    # float16 is for GPUs without bfloat16 and scales the loss.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    remat: bool = False  # compute each block again for its gradient instead of keeping it
    micro_batches: Count = 1  # parts that a replica works through its images in, in each step

    eval_every: WholeNumber = 0  # steps between evaluations in train_and_eval; 0: after each tenth
    # Ends train_and_eval when so many evaluations one after another are no better than the best
    # before them; 0: never.
    patience: WholeNumber = 0
    save_every: WholeNumber = 0  # steps between checkpoints; 0: after each twentieth
    keep: Count = 3  # checkpoints kept beside the best one
    log_every: WholeNumber = 0  # steps between log lines; 0: a 200th of the run, at most 100
    # Services that keep numbers beside history.csv and TensorBoard; each needs its own package.
    loggers: tuple[Literal["wandb", "mlflow", "aim"], ...] = ()

    def __post_init__(self):
        require(
            len(set(self.freeze)) < 3, "train.freeze holds every part; nothing would be trained."
        )
        for name in ("steps", "epochs"):
            require(
                not (self.minutes and getattr(self, name)),
                f"train.minutes is {self.minutes:g} and train.{name} {getattr(self, name):g}, and "
                f"each says how long to train; set one of them to 0.",
            )


_TileSide = Annotated[WholeNumber, Field(lt=2**31)]  # places in a picture are 32 bits
_SMALLEST_TILE = 8  # a stride of the finest level: a smaller side is meant as a number of tiles
_TILE_ADVICE = (
    f"give [height, width] in pixels of the picture, each {_SMALLEST_TILE} or more, or [0, 0] for "
    "no tiles"
)


@section("detect")
class DetectConfig:
    """From logits and deltas to detections."""

    # Per image (COCO's protocol); each takes a step of suppression.
    max_detections: Annotated[Count, Field(le=10_000)] = 100
    # Candidates (anchor, class) that enter suppression; 0 takes each anchor with its best class,
    # which is what the reference's export does. Its evaluation takes 5000.
    pre_nms_top_k: WholeNumber = 5000
    nms: Literal["gaussian", "hard"] = "gaussian"  # soft-NMS, as the published AP
    class_agnostic: bool = False  # suppress over classes too
    sigma: Positive = 0.5  # gaussian: a score decays by exp(-IoU^2 / sigma)
    iou_threshold: Share = 0.5  # hard: boxes of a class overlapping more than this are dropped
    # Move each box to the mean of the candidates about it, weighted by score and overlap
    # (arXiv 1505.01749).
    box_voting: bool = False
    score_threshold: Share = 0.001  # detections at or below it are padding (reference)
    draw_threshold: Share = 0.4  # smallest score that predict draws
    # Looking several times, in predict, eval and the Detector; an exported model looks once, and
    # pixels are classified once.
    flip: bool = False  # at every picture mirrored, too
    # Height and width, in pixels of the picture, of the tiles that a larger picture is looked at
    # in beside the whole; [0, 0]: none. The size of the network input keeps every pixel.
    tile: Annotated[tuple[_TileSide, _TileSide], Field(description=_TILE_ADVICE)] = (0, 0)
    # Smallest share of a tile that its neighbour shows too. What is larger than that may be cut by
    # every tile, and is then left to the view of the whole picture.
    tile_overlap: ShareBelowOne = 0.2

    @property
    def looks_once(self) -> bool:
        """Whether a picture is one network input: not mirrored, not cut into tiles."""
        return not self.flip and not any(self.tile)

    def __post_init__(self):
        require(
            self.tile == (0, 0) or min(self.tile) >= _SMALLEST_TILE,
            f"detect.tile is {list(self.tile)}; {_TILE_ADVICE}.",
        )


@section("export")
class ExportConfig:
    """What `--mode=export` writes."""

    # web: a folder whose page detects in a browser with a LiteRT file.
    format: Annotated[
        Literal["saved_model", "litert", "onnx", "web"],
        Field(description="give saved_model, litert (TensorFlow Lite, .tflite), onnx or web"),
    ] = "saved_model"
    # Of the network, in LiteRT files. float16: weights only. dynamic: weights int8, activations
    # int8 by the range that each has at that moment. int8: both, with calibrated ranges, and
    # uint8 pixels as input (see `io`). What turns the network's outputs into detections is float32
    # always.
    precision: Literal["float32", "float16", "dynamic", "int8"] = "float32"
    # network: class logits and box deltas. boxes: scores and decoded boxes of all anchors.
    # detections: after suppression, as `detect` says. A SavedModel has this and the network.
    # mediapipe: detections as MediaPipe's ObjectDetector takes them, LiteRT only.
    outputs: Literal["network", "boxes", "detections", "mediapipe"] = "detections"
    # Numbers that go into an int8 file and come out. auto: uint8 pixels in, float32 out. uint8 and
    # int8: both, by a scale and a zero point that the metadata name, for outputs=network: an NPU
    # then runs all of it.
    io: Literal["auto", "float32", "uint8", "int8"] = "auto"
    # Of a SavedModel. raw, the network alone, or images, decoded pictures -> what is found in them,
    # as the one signature: what converters of others read is a file of one.
    signatures: Literal["all", "raw", "images"] = "all"
    # Of web: a folder of node_modules with LiteRT.js, to be copied beside the page; "": the page
    # asks a content network for it.
    litert_js: str = ""
    calibration_images: Count = 300  # int8: pictures of data.train_records that set the ranges

    def __post_init__(self):
        require(
            self.precision == "float32" or self.format in ("litert", "web"),
            f"export.precision {self.precision} exists for export.format=litert only (web holds "
            f"such a file), not for {self.format}; set the format, or leave the precision at "
            "float32.",
        )
        require(
            self.outputs == "detections" or self.format != "saved_model",
            f"export.outputs is {self.outputs}, but a SavedModel has signatures for detections and "
            "for the network both; set export.format to litert or onnx, or leave the outputs.",
        )
        require(
            self.outputs == "detections" or self.format != "web",
            f"export.outputs is {self.outputs}, but a page draws detections; leave the outputs.",
        )
        require(
            not self.litert_js or self.format == "web",
            f"export.litert_js is of export.format=web, not {self.format}; leave it out.",
        )
        require(
            self.io == "auto" or self.precision == "int8",
            f"export.io is {self.io}, which files of export.precision=int8 have, not "
            f"{self.precision}; set the precision, or leave export.io at auto.",
        )
        require(
            self.io in ("auto", "float32") or self.outputs == "network",
            f"export.io is {self.io}, but what turns outputs into {self.outputs} is float32 (boxes "
            "of 256 steps would cost AP); set export.outputs=network, or export.io=float32.",
        )
        require(
            self.signatures == "all" or self.format == "saved_model",
            f"export.signatures is {self.signatures}, which a SavedModel has, and export.format is "
            f"{self.format}; set export.format=saved_model, or leave the signatures.",
        )
        require(
            self.outputs != "mediapipe" or self.format == "litert",
            f"export.outputs is mediapipe, which takes LiteRT files, and export.format is "
            f"{self.format}; set export.format=litert.",
        )


@section()
class Config:
    """The whole of one experiment."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


def replace(config: Config, **changes: dict[str, Any]) -> Config:
    """Returns `config` with fields of its sections changed: replace(c, train={"steps": 10})."""
    sections = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in changes.items()
    }
    return dataclasses.replace(config, **sections)
