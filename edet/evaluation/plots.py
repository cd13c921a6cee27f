"""Pictures of an evaluation: boxes on images, confusion matrix, precision-recall, training history.

Shapes: n boxes of an image · K classes.
Boxes are [ymin, xmin, ymax, xmax] in pixels of the image that they are drawn on. Every picture is a
PNG; no display is needed.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageColor, ImageDraw

from edet.errors import UserError
from edet.evaluation.coco import EvaluationResult
from edet.evaluation.fonts import Letters, set_fonts
from edet.evaluation.pages import PANEL_SIDE, Row, save_page, scaled
from edet.files import write_bytes

# Okabe and Ito's palette without black: its colours differ for every kind of colour vision.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")

MIN_SIDE = 320  # a smaller image is enlarged by a whole factor, or a word would cover it


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float] | None = None,
    classes: Sequence[str] = (),
) -> np.ndarray:
    """Returns a copy of the image with boxes, their names and, if given, scores in percent.

    Boxes are clipped to the image; a box outside of it or with NaN is left out. Labels stay inside
    the image. An image whose longer side is below MIN_SIDE comes back enlarged.

    Args:
      image: [H, W, 3] uint8.
      boxes: [n, 4].
      names: n class names.
      scores: n scores 0-1; the best are drawn last, on top.
      classes: every class name of the data set, so that a class has one colour in all pictures.

    Raises:
      UserError: the image is of another kind, or the numbers of boxes, names and scores differ.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UserError(
            f"cannot draw on an image of shape {list(image.shape)} and type {image.dtype}; it must "
            "be uint8 [height, width, 3]."
        )
    if len(names) != len(boxes) or (scores is not None and len(scores) != len(boxes)):
        raise UserError(
            f"cannot draw {len(boxes)} boxes with {len(names)} names and "
            f"{'no' if scores is None else len(scores)} scores; each box needs its own."
        )
    given, image = image, enlarged(image)
    boxes = boxes * (len(image) // len(given))
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    order = range(len(boxes)) if scores is None else np.argsort(scores, kind="stable")
    visible = [(i, box) for i in order if (box := _clipped(boxes[i], image.shape))]
    colors = _colors(names, classes)
    line = max(2, round(drawing_side(image) / 400))
    for i, box in visible:
        draw.rectangle(box, outline=colors[names[i]], width=line)
    # Labels come after all boxes, so that no line crosses a word.
    letters = Letters([*classes, *names], max(12, round(drawing_side(image) / 50)))
    for i, box in visible:
        percent = "" if scores is None else f" {100 * scores[i]:.0f}%"
        _draw_label(draw, box, names[i], percent, colors[names[i]], letters)
    return np.asarray(picture)


def enlarged(image: np.ndarray) -> np.ndarray:
    """Returns a picture, [H, W] or [H, W, 3], by a whole factor as large as MIN_SIDE asks for."""
    factor = math.ceil(MIN_SIDE / max(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def drawing_side(image: np.ndarray) -> int:
    """Returns the pixels that lines and letters go by: the longer side, or less of an oblong one.

    By the longer side of a panorama, they would be larger than what is on it.
    """
    height, width = image.shape[:2]
    return min(max(height, width), 2 * min(height, width))


@dataclass(frozen=True, eq=False)
class Picture:
    """One image with what is there and what was found; boxes in pixels of the image."""

    title: str
    image: np.ndarray  # [H, W, 3] uint8
    gt_boxes: np.ndarray
    gt_names: Sequence[str]
    boxes: np.ndarray
    names: Sequence[str]
    scores: Sequence[float]
    caption: str = "detections"  # what the second list of boxes is


def save_gallery(
    pictures: Iterable[Picture], path: str | os.PathLike, classes: Sequence[str] = ()
) -> None:
    """Writes one page: a row for each picture, ground truth on the left, the rest on the right.

    Images are scaled before anything is drawn, so that labels are as easy to read on a thumbnail
    as on a panorama.

    Raises:
      UserError: there is no picture, or the file cannot be written.
    """
    save_page((_gallery_row(picture, classes) for picture in pictures), path)


def _gallery_row(picture: Picture, classes: Sequence[str]) -> Row:
    small, scale = scaled(picture.image), PANEL_SIDE / max(picture.image.shape[:2])
    truth = draw_boxes(
        small, np.asarray(picture.gt_boxes) * scale, picture.gt_names, classes=classes
    )
    found = draw_boxes(
        small, np.asarray(picture.boxes) * scale, picture.names, picture.scores, classes
    )
    return Row(picture.title, {"ground truth": truth, picture.caption: found})


def plot_confusion_matrix(
    matrix: np.ndarray, names: Sequence[str], path: str | os.PathLike
) -> None:
    """Draws edet.evaluation.matching.confusion_matrix; colour is the share of the row.

    Args:
      matrix: [K + 1, K + 1] counts; row: true class or background, column: found class or nothing.
      names: K class names.
      path: the PNG to write.
    """
    names = [plain(name) for name in names]
    rows, columns = [*names, "background"], [*names, "nothing"]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(24.0, 3.5 + 0.4 * len(rows))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(shown, label="share of the row", shrink=0.8)
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("detected")
    axes.set_ylabel("ground truth")
    if len(rows) <= 25:  # beyond that the numbers are too small to read
        for (row, column), count in np.ndenumerate(matrix):
            color = "black" if share[row, column] > 0.5 else "white"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    save_figure(figure, path)


def plot_precision_recall(
    result: EvaluationResult, path: str | os.PathLike, max_classes: int = 6
) -> None:
    """Draws precision over recall: the mean of all classes, and the most frequent classes alone.

    Args:
      result: an evaluation; its curves are COCO's, with 101 recall points.
      path: the PNG to write.
      max_classes: how many classes get a curve of their own.
    """
    curves = {name: p for name, p in result.precision.items() if (p > -1).any()}
    figure = Figure(figsize=(12, 5), layout="constrained")
    overall, single = figure.subplots(1, 2)
    if curves:
        mean = np.mean(list(curves.values()), axis=0)  # [T, R]
        shown = {"IoU 0.50": mean[0], "IoU 0.75": mean[5], "IoU 0.50:0.95": mean.mean(axis=0)}
        for (label, precision), color in zip(shown.items(), PALETTE, strict=False):
            _curve(overall, precision, f"{label}, AP {100 * precision.mean():.1f}", color)
    frequent = sorted(curves, key=lambda name: -result.ground_truths[name])[:max_classes]
    for name, color in zip(frequent, _repeated(PALETTE, len(frequent)), strict=True):
        precision = curves[name][0]
        _curve(single, precision, f"{plain(name)}, AP50 {100 * precision.mean():.1f}", color)
    overall.set_title("mean of all classes")
    single.set_title("IoU 0.50, the most frequent classes")
    for axes in (overall, single):
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        if curves:
            axes.legend(loc="lower left", fontsize=8)
        else:
            axes.text(0.5, 0.5, "no ground truth", ha="center", va="center")
    save_figure(figure, path)


def plain(name: str, longest: int = 30) -> str:
    """Returns a name as matplotlib is given it to show it as it is, cut at so many characters.

    It takes what stands between dollars for a formula, leaves names that begin with _ out of
    legends, and lets a long one push the picture off its page.
    """
    name = name if len(name) <= longest else f"{name[: longest - 1]}…"
    hidden = "\N{ZERO WIDTH SPACE}" if name.startswith("_") else ""
    return hidden + name.replace("$", r"\$")


def plot_history(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Draws the columns of a run's history over the training step.

    Losses share a panel and so do AP and AR; every other column has its own. A row may lack
    columns, as rows of an evaluation and rows of training do.

    Args:
      rows: {"step", column: value}, of `edet.step_log.read_steps`.
      path: the PNG to write.

    Raises:
      UserError: there is no row, or the file cannot be written.
    """
    columns = dict.fromkeys(name for row in rows for name in row)
    panels: dict[str, list[str]] = {}
    for name in (name for name in columns if name not in ("step", "images_crc32")):
        shared = "loss" if name.endswith("loss") else "AP" if name.startswith(("AP", "AR")) else ""
        panels.setdefault(shared or name, []).append(name)
    if not panels:
        raise UserError(f"there is nothing to draw for {path}; the history holds no row yet.")
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(5 * across, 3.5 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (title, names) in zip(grid, panels.items(), strict=False):
        for name, color in zip(names, _repeated(PALETTE, len(names)), strict=True):
            points = [(row["step"], row[name]) for row in rows if name in row]
            # Without a marker, a single evaluation would leave no trace.
            marker = "." if len(points) < 50 else ""
            axes.plot(*zip(*points, strict=True), label=name, color=color, marker=marker)
        axes.set(xlabel="step", title=title)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize=8)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    save_figure(figure, path)


def _clipped(box: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The box as Pillow takes it (left, top, right, bottom), or None if nothing of it shows."""
    if not np.isfinite(box).all():
        return None
    height, width = shape[:2]
    ymin, xmin, ymax, xmax = box
    if ymax < ymin or xmax < xmin or ymax < 0 or xmax < 0 or ymin >= height or xmin >= width:
        return None
    clipped = np.clip([xmin, ymin, xmax, ymax], 0, [width - 1, height - 1] * 2)
    left, top, right, bottom = np.rint(clipped).astype(int).tolist()
    return left, top, right, bottom


def _draw_label(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    name: str,
    percent: str,
    color: str,
    letters: Letters,
) -> None:
    """Writes above the box, or inside it at the upper edge of the image, never past an edge.

    What is wider than the image takes half of it, so that it hides no more than its letters are
    worth; the name is cut then, and not the score.
    """
    text, pad = f"{name}{percent}".strip(), 2
    if not text:
        return
    room = draw.im.size[0] - 2 * pad
    if letters.width(text) > room:
        text = letters.cut(name, room // 2 - letters.width(percent)) + percent
    height, width = letters.height + 2 * pad, letters.width(text) + 2 * pad
    left = max(0, min(box[0], draw.im.size[0] - width))
    top = max(0, min(box[1] - height, draw.im.size[1] - height))
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=color)
    luminance = np.dot(ImageColor.getrgb(color), (0.299, 0.587, 0.114))
    ink = "black" if luminance > 100 else "white"
    letters.write(draw, left + pad, top + pad, text, ink)


def _colors(names: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """{class name: colour}, in the order of `classes`, then of the alphabet."""
    order = list(dict.fromkeys([*classes, *sorted(set(names))]))
    return dict(zip(order, _repeated(PALETTE, len(order)), strict=True))


def _repeated(values: Sequence[str], n: int) -> list[str]:
    return [values[i % len(values)] for i in range(n)]


def _curve(axes: Axes, precision: np.ndarray, label: str, color: str) -> None:
    axes.plot(np.linspace(0, 1, len(precision)), precision, label=label, color=color)


def save_figure(figure: Figure, path: str | os.PathLike, dpi: int = 100) -> None:
    """Writes a figure as a PNG; gs:// works.

    Raises:
      UserError: the path cannot be written.
    """
    buffer = io.BytesIO()
    set_fonts(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # said by `fonts_of`, once
        figure.savefig(buffer, format="png", dpi=dpi)
    write_bytes(path, buffer.getvalue())
