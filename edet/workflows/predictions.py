"""What a loaded model finds, picture by picture, for people who live in Python."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from edet.errors import UserError
from edet.evaluation.overlays import draw_overlay
from edet.evaluation.plots import draw_boxes
from edet.image.files import check_ending, encode_png, read_picture, save_drawing
from edet.image.letterbox import mask_to_picture
from edet.inference import video
from edet.inference.files import find_inputs
from edet.inference.predictor import Predictor, picture_of
from edet.inference.results import result_lines, to_coco
from edet.inference.run import Infer
from edet.records.sources.example_set import stamps_of

if TYPE_CHECKING:
    import pandas
    import supervision

Picture = str | os.PathLike | bytes | np.ndarray
_ONE = (str, bytes, bytearray, memoryview, os.PathLike)  # though a loop finds parts in some of them
_COLUMNS = ["file", "frame", "class_id", "name", "score", "ymin", "xmin", "ymax", "xmax"]
_SURE = 0.3  # score from which on a notebook shows a detection


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one picture, best first.

    Attributes:
      path: the file; "" of an array or of bytes.
      frame: number of the frame from 0, of a video.
      height, width: pixels of the picture as a person sees it, upright.
      boxes: float32 [N, 4], ymin, xmin, ymax, xmax in pixels of the picture.
      scores: float32 [N] in [0, 1].
      class_ids: int32 [N], the data set's own ids.
      names: of these ids.
      mask: uint8 [height, width], keys of `mask_labels`, of a network that segments.
      labels: {id: name} of all classes.
      mask_labels: {value: name}, of a network that segments.
    """

    path: str
    frame: int | None
    height: int
    width: int
    boxes: np.ndarray = dataclasses.field(repr=False)
    scores: np.ndarray = dataclasses.field(repr=False)
    class_ids: np.ndarray = dataclasses.field(repr=False)
    names: list[str]
    mask: np.ndarray | None = dataclasses.field(repr=False)
    labels: Mapping[int, str] = dataclasses.field(repr=False)
    mask_labels: Mapping[int, str] = dataclasses.field(repr=False)
    _read: Callable[[], np.ndarray] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def image(self) -> np.ndarray:
        """The picture, uint8 [height, width, 3]; a file is read again, a video up to the frame."""
        return self._read()

    def draw(self, path: str | os.PathLike = "", threshold: float = 0.0) -> np.ndarray:
        """Draws the boxes, and the mask if there is one, on the picture.

        Args:
          path: where to write it, in the format that the ending names: .png, .jpg, .jpeg or
            .webp; "" does not; gs:// works.
          threshold: boxes with this score and above are drawn.

        Returns:
          uint8 [h, w, 3]; a small picture comes back enlarged.

        Raises:
          UserError: the picture cannot be read again, or the file cannot be written or ends
            otherwise.
        """
        path = os.path.expanduser(path)
        if path:
            check_ending(path)  # before a video is read up to the frame
        drawn, shown = self.image, self.scores >= threshold
        if self.mask is not None:
            drawn = draw_overlay(drawn, self.mask, dict(self.mask_labels))
        if self.labels:
            names = [name for name, is_shown in zip(self.names, shown, strict=True) if is_shown]
            classes = list(self.labels.values())
            boxes = self.boxes[shown] * (drawn.shape[1] // self.width)  # of an enlarged overlay
            drawn = draw_boxes(drawn, boxes, names, self.scores[shown], classes)
        if path:
            save_drawing(drawn, path)
        return drawn

    def _repr_png_(self) -> bytes:
        """A notebook shows the picture with what is sure enough."""
        return encode_png(self.draw(threshold=_SURE), level=2)

    def to_coco(self) -> list[dict[str, Any]]:
        """Returns COCO results: category_id, bbox [x, y, width, height] in pixels, score, and
        file_name, frame of a video, and image_id where a picture's name is a number.
        """
        found = {"boxes": self.boxes, "scores": self.scores, "classes": self.class_ids}
        results = to_coco({**found, "num_detections": len(self)})
        return result_lines(self.path, results, self.frame) if self.path else results

    def to_rows(self) -> list[dict[str, Any]]:
        """Returns a row for each detection: file, frame, class_id, name, score and the box."""
        rows = (
            (self.path, self.frame, int(class_id), name, float(score), *map(float, box))
            for box, score, class_id, name in zip(
                self.boxes, self.scores, self.class_ids, self.names, strict=True
            )
        )
        return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]

    def to_supervision(self) -> supervision.Detections:
        """Returns `supervision.Detections`, corners xyxy in pixels; that library is the user's."""
        return _library("supervision").Detections(
            xyxy=self.boxes[:, [1, 0, 3, 2]], confidence=self.scores, class_id=self.class_ids,
            data={"class_name": np.array(self.names, dtype=str)},
        )  # fmt: skip


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"this needs {name}; install it with: pip install {name}.") from error


class Predictions(Sequence):
    """The predictions of pictures in their order: made when they are asked for, then kept.

    A loop over them begins at once and looks at the pictures as it goes; `len`, a slice and an
    index from the end look at all of them.

    Attributes:
      failed: {file: reason} of those that could not be read so far.
    """

    def __init__(self, found: Iterator[Prediction], failed: dict[str, str]):
        self._found, self._known, self.failed = found, [], failed
        self._stopped: BaseException | None = None
        self._in_use = threading.Lock()  # one thread looks on at a time

    def _has(self, place: float) -> bool:
        with self._in_use:
            return self._look_on(place)

    def _look_on(self, place: float) -> bool:
        while len(self._known) <= place:
            if self._stopped:  # its rest cannot be had, and it must not pass for the whole
                raise UserError(
                    f"this prediction was stopped after {len(self._known)} pictures "
                    f"({type(self._stopped).__name__}); call predict again."
                ) from self._stopped
            try:
                found = next(self._found, None)
            except BaseException as error:
                self._stopped = error
                raise
            if found is None:
                return False
            self._known.append(found)
        return True

    def __iter__(self) -> Iterator[Prediction]:
        place = 0
        while self._has(place):
            yield self._known[place]
            place += 1

    def __getitem__(self, place: int | slice) -> Prediction | list[Prediction]:
        if isinstance(place, int) and place >= 0 and self._has(place):
            return self._known[place]
        self._has(math.inf)
        return self._known[place]

    def __len__(self) -> int:
        self._has(math.inf)
        return len(self._known)

    def to_coco(self) -> list[dict[str, Any]]:
        """Returns the COCO results of all pictures; see `Prediction.to_coco`."""
        return [result for prediction in self for result in prediction.to_coco()]

    def to_rows(self) -> list[dict[str, Any]]:
        """Returns the rows of all pictures; see `Prediction.to_rows`."""
        return [row for prediction in self for row in prediction.to_rows()]

    def to_pandas(self) -> pandas.DataFrame:
        """Returns the rows as a table of pandas, which is the user's."""
        return _library("pandas").DataFrame(self.to_rows(), columns=_COLUMNS)


def predict_pictures(
    predictor: Predictor, infer: Infer, pictures: Picture | Sequence[Picture]
) -> Predictions:
    """Looks at pictures and videos in the order given.

    Args:
      predictor: looks at the pictures.
      infer: of `make_picture_predictor` and this predictor.
      pictures: one or several of: a path of a picture or video, a folder, a glob; an encoded
        picture as bytes; uint8 [H, W, 3], or several of one size as uint8 [B, H, W, 3].

    Raises:
      UserError: a path matches nothing (files that cannot be read are in `Predictions.failed`), or
        an array or bytes are no picture.
    """
    failed: dict[str, str] = {}
    pictures = [pictures] if _is_one(pictures) else pictures
    sources = list(_sources(predictor.model.white_level, pictures, failed))
    batches = infer(itertools.chain.from_iterable(source() for source in sources))
    found = itertools.chain.from_iterable(batches)
    return Predictions(itertools.starmap(functools.partial(_prediction, predictor), found), failed)


def _is_one(pictures: Any) -> bool:
    """Whether something is meant as one picture, not as several of them."""
    if isinstance(pictures, _ONE) or hasattr(pictures, "read"):
        return True
    if hasattr(pictures, "ndim"):
        return pictures.ndim in (0, 2, 3)
    return not hasattr(pictures, "__iter__")


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A picture that is to be looked at, and how to read it again."""

    path: str
    frame: int | None
    image: np.ndarray
    read: Callable[[], np.ndarray]


def _sources(
    white_level: int, pictures: Sequence[Picture], failed: dict[str, str]
) -> Iterator[Callable[[], Iterator[_Frame]]]:
    """Yields what reads each source, after all of them have been looked for."""
    for place, picture in enumerate(pictures):
        picture = os.fspath(picture) if isinstance(picture, os.PathLike) else picture
        if not isinstance(picture, str):
            image = picture_of(picture, place, white_level).numpy()
            read = functools.partial(np.asarray, image)
            yield lambda image=image, read=read: iter([_Frame("", None, image, read)])
            continue
        found = find_inputs([str(picture)])  # NumPy's text is another type
        for path in found.pictures:
            yield lambda path=path: _picture_of(path, white_level, failed)
        for path in found.videos:
            yield lambda path=path: _frames_of(path, failed)


def _picture_of(path: str, white_level: int, failed: dict[str, str]) -> Iterator[_Frame]:
    try:
        image = read_picture(path, white_level).numpy()
    except UserError as error:
        failed[path] = str(error)
        return
    yield _Frame(path, None, image, functools.partial(_read_again, path, white_level))


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Puts a file's name before a sentence that lacks it."""
    try:
        yield
    except UserError as error:
        raise error if path in str(error) else UserError(f"{path} {error}") from error


def _read_again(path: str, white_level: int) -> np.ndarray:
    with _naming(path):
        return read_picture(path, white_level).numpy()


class _FramesAgain:
    """Reads frames of videos again; one after another, as they are drawn, without beginning anew.

    One video is kept open: the last one. Any thread may ask.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._file: tuple[Any, ...] = ()  # which is open, as it was then
        self._number, self._image = -1, np.zeros(0)  # the last one given
        self._left: Iterator[video.Frame] = iter(())  # those behind it

    def __call__(self, path: str, number: int) -> np.ndarray:
        with self._lock, _naming(path):
            file = (path, *stamps_of([path]))
            if file != self._file or number < self._number:
                self._file, self._number, self._left = file, -1, iter(video.Video(path))
            for frame in itertools.islice(self._left, number - self._number):
                self._number, self._image = self._number + 1, frame.image
            if self._number == number:
                return self._image.copy()
            self._file = ()
            raise UserError(f"has no frame {number} any more.")


_FRAMES = _FramesAgain()


def _frame_again(path: str, number: int) -> np.ndarray:
    return _FRAMES(path, number)  # by this name, for a Prediction can be pickled


def _frames_of(path: str, failed: dict[str, str]) -> Iterator[_Frame]:
    if not video.is_available():
        failed[path] = video.INSTALL
        return
    try:
        source = video.Video(path)
        for number, frame in enumerate(source):
            read = functools.partial(_frame_again, path, number)
            yield _Frame(path, number, frame.image, read)
    except UserError as error:
        failed[path] = str(error)
        return
    if source.complaint:
        failed[path] = source.complaint


def _prediction(predictor: Predictor, frame: _Frame, found: Mapping[str, np.ndarray]) -> Prediction:
    labels = {name: head.labels for name, head in predictor.heads.items()}
    count, mask = int(found.get("num_detections", 0)), None
    boxes = found.get("boxes", np.zeros([0, 4], np.float32))[:count]
    class_ids = found.get("classes", np.zeros([0], np.int32))[:count]
    names = [labels["detection"][int(class_id)] for class_id in class_ids]
    if "class_maps" in found:
        mask = mask_to_picture(found["class_maps"], frame.image.shape[:2], predictor.model.fit)
    return Prediction(
        frame.path, frame.frame, *frame.image.shape[:2], boxes,
        found.get("scores", np.zeros([0], np.float32))[:count], class_ids, names, mask,
        labels.get("detection", {}), labels.get("segmentation", {}), frame.read,
    )  # fmt: skip
