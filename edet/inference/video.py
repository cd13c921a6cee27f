"""Video files through PyAV (the extra `video`): frames as a person sees them, and a drawn copy."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import check_file, failure, reason, written_aside

ENDINGS = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts",
    ".wmv", ".flv", ".3gp", ".ogv",
)  # fmt: skip
# Codec, pixels as given and as stored, settings of the encoder and of the file.
_FRAGMENTS = {
    "movflags": "+frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": "2000000",  # microseconds
    "flush_packets": "1",
}
_KINDS: dict[str, tuple[str, str, str, dict, dict]] = {
    # yuv420p is what every player shows.
    ".mp4": ("h264", "rgb24", "yuv420p", {"preset": "veryfast"},
             {"format": "mp4", "options": _FRAGMENTS}),
    ".mkv": ("ffv1", "gray", "gray", {}, {"format": "matroska", "options": {"flush_packets": "1"}}),
}  # fmt: skip
# Seconds by which pictures may end before the file does; sound is often a little longer.
_SHORTFALL = 0.5
INSTALL = "reading videos needs PyAV; install it with: pip install 'edet[video]'"


class Frame(NamedTuple):
    """One picture of a video."""

    image: np.ndarray  # uint8 [H, W, 3], upright
    time: int  # when it is shown, in units of the video's `time_base`; the first is at 0


def is_available() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


class Video:
    """The frames of a video file, decoded one after another, turned as the camera was held.

    Damage never raises after the file is open: what can be decoded is returned, and `complaint`
    says what was wrong.

    Args:
      path: a file; gs:// works.

    Attributes:
      num_frames: what the file's header promises, 0 if it does not say.
      seconds: how long the header says it is, 0 if it does not say.
      rate: frames in a second, the mean if it varies.
      time_base: seconds, the unit of `Frame.time`.

    Raises:
      UserError: it cannot be opened or has no pictures; one clause without the path.
    """

    def __init__(self, path: str):
        import av

        # The file is closed when nothing refers to it any longer. Closing it earlier would pull it
        # from under the thread of tf.data that may still be decoding.
        self._file = tf.io.gfile.GFile(path, "rb") if "://" in path else path
        try:
            check_file(path)
            self._container = av.open(self._file)
        except (av.error.FFmpegError, OSError, tf.errors.OpError) as error:
            raise UserError(f"cannot be opened as a video: {reason(error)}") from error
        if not self._container.streams.video:
            raise UserError("holds no pictures, only other streams such as sound")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.num_frames = self._stream.frames
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.time_base = Fraction(self._stream.time_base or 1 / self.rate)
        self.seconds = (self._container.duration or 0) / 1e6
        self._num_found = 0
        self._end = 0.0  # seconds
        self._errors: list[str] = []

    @property
    def complaint(self) -> str:
        """What was wrong with the frames read so far, in one clause; empty if nothing was."""
        parts = []
        if self._num_found < self.num_frames:
            parts.append(f"ends after {self._num_found} of {self.num_frames} frames")
        elif self._end < self.seconds - _SHORTFALL and not self.num_frames:
            parts.append(f"ends after {self._end:.1f} of {self.seconds:.1f} seconds")
        if self._errors:
            parts.append(f"{len(self._errors)} part(s) cannot be decoded ({self._errors[0]})")
        return "; ".join(parts)

    def __iter__(self) -> Iterator[Frame]:
        step = max(1, round(1 / (self.rate * self.time_base)))
        first = time = None
        for frame in self._decoded():
            # Some files have no times, or times that run backwards, which no player would show.
            if time is None:
                first = time = frame.pts or 0
            else:
                time = time + step if frame.pts is None else max(frame.pts, time + 1)
            self._num_found += 1
            self._end = float((time - first + step) * self.time_base)
            stored = frame.to_ndarray(format="rgb24")
            yield Frame(_turn_upright(stored, frame.side_data.get("DISPLAYMATRIX")), time - first)

    def _decoded(self) -> Iterator:
        """Yields PyAV's frames; a damaged packet costs its own frames only."""
        packets = self._container.demux(self._stream)
        while True:
            packet = None  # flushes the frames that the decoder still holds
            with self._noting_errors():
                packet = next(packets, None)
            frames = []
            with self._noting_errors():
                frames = self._stream.codec_context.decode(packet)
            yield from frames
            if packet is None or packet.size == 0:
                return

    @contextlib.contextmanager
    def _noting_errors(self) -> Iterator[None]:
        import av

        try:
            yield
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, OSError, tf.errors.OpError) as error:
            self._errors.append(reason(error))


def _turn_upright(image: np.ndarray, display_matrix: Any) -> np.ndarray:
    """Shows a picture [H, W, 3] as the file asks: turned by quarters and mirrored.

    The matrix is row by row (a, b, u, c, d, v, x, y, w) of int32, and a stored pixel (x, y) is
    shown at (a x + c y, b x + d y): in a phone held upright a = d = 0.
    """
    if display_matrix is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(display_matrix, np.int32).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


@contextlib.contextmanager
def drawn_video(path: str, video: Video) -> Iterator[Callable[[np.ndarray, int], None]]:
    """Yields what adds a frame and its time to a video without sound.

    The first frame decides the size. Times are those of the source, so a varying rate stays. The
    file plays while it grows, up to its last few seconds, and after whatever stops that: an MP4 is
    written in fragments, and gets the one index that every player seeks by when it ends. (In a
    bucket it appears only then.)

    Args:
      path: the file to write: .mp4 (H.264) for frames uint8 [H, W, 3], or .mkv (FFV1, lossless) for
        grey ones, [H, W].
      video: where the frames come from.

    Raises:
      UserError: it cannot be written.
    """
    with _local(path) as local:
        file = _VideoFile(path, local, video)
        try:
            yield file.add
        except BaseException:
            with contextlib.suppress(UserError):  # the first error is the news
                file.finish()
            raise
        file.finish()


class _VideoFile:
    """A video that grows at `local`; errors name `path`."""

    def __init__(self, path: str, local: str, video: Video):
        import av

        self._path, self._local, self._video, self._stream = path, local, video, None
        self._errors = (av.error.FFmpegError, OSError)
        self._codec, self._given, self._stored, self._settings, form = _KINDS[path[-4:]]
        with self._refused():
            self._container = av.open(local, "w", **form)

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise failure(f"cannot write {self._path}", error) from error

    def add(self, image: np.ndarray, time: int) -> None:
        """Writes a frame at its time in the source's own ticks."""
        import av

        base = self._video.time_base
        if self._codec == "h264":  # it has no odd sides
            image = np.pad(image, [(0, n % 2) for n in image.shape[:2]] + [(0, 0)], mode="edge")
        if self._stream is None:
            self._stream = self._container.add_stream(self._codec, rate=self._video.rate)
            self._stream.options = self._settings
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = self._stored
            self._stream.codec_context.time_base = base
        frame = av.VideoFrame.from_ndarray(image, format=self._given)
        frame.pts, frame.time_base = time, base
        self._encode(frame.reformat(self._stream.width, self._stream.height, self._stored))

    def _encode(self, frame: Any) -> None:
        with self._refused():
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder holds, and the index."""
        if self._stream:
            self._encode(None)
        with self._refused():
            self._container.close()
            if self._stream and self._codec == "h264":
                _join_fragments(self._local)


def _join_fragments(path: str) -> None:
    """Puts one index at the head of an MP4, in the place of those of its fragments."""
    import av

    with written_aside(path) as aside, av.open(path) as old:
        source = old.streams.video[0]
        with av.open(aside, "w", format="mp4", options={"movflags": "+faststart"}) as new:
            stream = new.add_stream_from_template(source)
            for packet in old.demux(source):
                if packet.dts is not None:  # the last one is empty
                    packet.stream = stream
                    new.mux(packet)


@contextlib.contextmanager
def _local(path: str) -> Iterator[str]:
    """Yields a file of this machine that becomes `path`, as far as it comes."""
    if "://" not in path:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise failure(f"cannot write {path}", error) from error
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, os.path.basename(path))
        try:
            yield local
        finally:
            if os.path.exists(local):
                with written_aside(path) as aside:
                    tf.io.gfile.copy(local, aside)
