"""Videos, good and broken, as PyAV reads them here; and the drawn copy."""

import itertools
import os
import pathlib
import re
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.inference.video import Video, drawn_video

av = pytest.importorskip("av", reason="needs the extra: pip install 'edet[video]'")

HEIGHT, WIDTH, RATE = 48, 64, 10
RED, BLUE, BLACK = (250, 20, 20), (20, 20, 250), (0, 0, 0)


def scene(shade: int = 0) -> np.ndarray:
    """Red at the top left, a grey that tells the frame at the top right, blue below."""
    image = np.full((HEIGHT, WIDTH, 3), shade, "uint8")
    image[: HEIGHT // 2, : WIDTH // 2] = RED
    image[HEIGHT // 2 :] = BLUE
    return image


def write_video(
    path: pathlib.Path, num_frames: int, times: list[int] | None = None, codec: str = "h264"
) -> pathlib.Path:
    """Writes `scene`s that grow lighter by 8 with every frame; times are in tenths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        if not num_frames:
            container.start_encoding()
        for k in range(num_frames):
            frame = av.VideoFrame.from_ndarray(scene(8 * k % 256), format="rgb24")
            frame.pts, frame.time_base = times[k] if times else k, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: pathlib.Path, a: int, b: int, c: int, d: int) -> None:
    """Sets the matrix that a phone writes into an MP4: a stored (x, y) is shown at ax+cy, bx+dy."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    values = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(content)


def corners(image: np.ndarray) -> list[list[str]]:
    """Names the colours in the middles of the four quarters."""
    rows, columns = ((side // 4, side * 3 // 4) for side in image.shape[:2])
    names = {RED: "red", BLUE: "blue", BLACK: "black"}

    def name(pixel: np.ndarray) -> str:
        return min(names, key=lambda color: np.abs(np.array(color) - pixel).sum())

    return [[names[name(image[y, x].astype(int))] for x in columns] for y in rows]


def test_frames_come_in_order_with_their_times_in_rgb(tmp_path):
    video = Video(str(write_video(tmp_path / "a.mp4", 6)))
    assert (video.num_frames, video.rate) == (6, RATE)
    frames = list(video)
    assert [frame.time * video.time_base for frame in frames] == [Fraction(k, 10) for k in range(6)]
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(frame.image[12, 48], 8 * k, atol=4)
        np.testing.assert_allclose(frame.image[12, 16], RED, atol=6)
    assert video.complaint == ""


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        pytest.param((1, 0, 0, 1), [["red", "black"], ["blue", "blue"]], id="as stored"),
        pytest.param((0, 1, -1, 0), [["blue", "red"], ["blue", "black"]], id="clockwise"),
        pytest.param((-1, 0, 0, -1), [["blue", "blue"], ["black", "red"]], id="upside down"),
        pytest.param((0, -1, 1, 0), [["black", "blue"], ["red", "blue"]], id="anticlockwise"),
        pytest.param((-1, 0, 0, 1), [["black", "red"], ["blue", "blue"]], id="mirrored"),
        pytest.param((0, 1, 1, 0), [["red", "blue"], ["black", "blue"]], id="transposed"),
    ],
)
def test_a_video_is_seen_as_the_phone_was_held(tmp_path, matrix, expected):
    path = write_video(tmp_path / "a.mp4", 2)
    turn(path, *matrix)
    images = [frame.image for frame in Video(str(path))]
    assert len(images) == 2
    assert images[0].shape == ((HEIGHT, WIDTH, 3) if matrix[0] else (WIDTH, HEIGHT, 3))
    assert corners(images[0]) == expected


def test_a_varying_rate_is_kept_in_the_drawn_copy(tmp_path):
    """Also: a side of an odd number of pixels gets one more, for H.264 has none."""
    times = [0, 1, 2, 6, 7, 20]
    source = Video(str(write_video(tmp_path / "a.mp4", 6, times)))
    target = tmp_path / "drawn" / "a.mp4"
    with drawn_video(str(target), source) as add:
        for frame in source:
            add(frame.image[:-1, :-1], frame.time)
    drawn = Video(str(target))
    frames = list(drawn)
    assert [float(frame.time * drawn.time_base) for frame in frames] == [t / 10 for t in times]
    assert frames[0].image.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(frames[5].image[12, 48], 40, atol=6)
    assert [path.name for path in target.parent.iterdir()] == ["a.mp4"]


def test_times_that_run_backwards_or_are_missing_become_later_ones(tmp_path, monkeypatch):
    """The unit is 1 / 10,240 s, so a tenth of a second is 1,024."""

    class Timed:
        side_data: ClassVar[dict] = {}

        def __init__(self, pts: int | None):
            self.pts = pts

        def to_ndarray(self, format: str) -> np.ndarray:
            return scene()

    video = Video(str(write_video(tmp_path / "a.mp4", 3)))
    frames = [Timed(pts) for pts in (5, None, 5, 100_005)]
    monkeypatch.setattr(video, "_decoded", lambda: iter(frames))
    assert [frame.time for frame in video] == [0, 1024, 1025, 100_000]


def test_frames_before_a_damaged_place_and_after_it_are_kept(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60)
    content = bytearray(path.read_bytes())
    data = content.index(b"mdat")
    middle = data + int.from_bytes(content[data - 4 : data], "big") // 2
    content[middle : middle + 40] = bytes(range(200, 240))
    path.write_bytes(content)
    video = Video(str(path))
    shades = [int(frame.image[12, 48, 0]) for frame in video]
    assert 50 <= len(shades) < 60
    np.testing.assert_allclose(shades[:10], np.arange(10) * 8, atol=4)
    np.testing.assert_allclose(shades[-10:], np.arange(50, 60) * 8 % 256, atol=4)
    lost = f"ends after {len(shades)} of 60 frames; . part.s. cannot be decoded .Invalid data found"
    assert re.match(lost, video.complaint)


@pytest.mark.parametrize(
    ("ending", "codec", "complaint"),
    [
        ("mkv", "h264", r"^ends after \d\.\d of 6\.0 seconds$"),
        ("avi", "mpeg4", r"^ends after \d\d of 60 frames$"),
    ],
)
def test_a_video_that_ends_early_gives_what_it_has_and_says_so(tmp_path, ending, codec, complaint):
    path = write_video(tmp_path / f"a.{ending}", 60, codec=codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 8 // 10])
    video = Video(str(path))
    assert 10 < len(list(video)) < 60
    assert re.search(complaint, video.complaint), video.complaint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be opened as a video: Invalid data"),
        (b"no video at all " * 99, "cannot be opened as a video: Invalid data"),
        (None, "cannot be opened as a video: No such file"),
    ],
)
def test_what_is_no_video_is_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        Video(str(path))


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="cannot be opened as a video: it is a pipe"):
        Video(str(tmp_path / "a.mp4"))


def test_a_file_with_sound_alone_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), "float32"), "fltp", "mono")
        sound.rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no pictures"):
        Video(str(path))


def test_a_video_without_frames_has_none(tmp_path):
    video = Video(str(write_video(tmp_path / "a.avi", 0, codec="mpeg4")))
    assert list(video) == []


def test_buckets_are_read_and_written_too(tmp_path):
    """ram:// is a file system of TensorFlow's, as gs:// is."""
    tf.io.gfile.copy(str(write_video(tmp_path / "a.mp4", 3)), "ram://in/a.mp4", overwrite=True)
    source = Video("ram://in/a.mp4")
    with drawn_video("ram://out/a.mp4", source) as add:
        for frame in source:
            add(frame.image, frame.time)
    assert tf.io.gfile.listdir("ram://out") == ["a.mp4"]
    assert len(list(Video("ram://out/a.mp4"))) == 3


@pytest.mark.parametrize("target", ["{}/drawn/a.mp4", "ram://stopped/a.mp4"])
def test_a_copy_that_is_stopped_is_whole_as_far_as_it_came(tmp_path, target):
    class OutOfLuck(Exception):
        pass

    source = Video(str(write_video(tmp_path / "a.mp4", 5)))
    target = target.format(tmp_path)
    with pytest.raises(OutOfLuck), drawn_video(target, source) as add:
        for frame in itertools.islice(source, 3):
            add(frame.image, frame.time)
        raise OutOfLuck
    assert tf.io.gfile.listdir(target.removesuffix("a.mp4")) == ["a.mp4"]
    copy = Video(target)
    assert (copy.num_frames, len(list(copy)), copy.complaint) == (3, 3, "")


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_copy_plays_while_it_grows(tmp_path, ending):
    """So it does after a process was killed; what is lost are seconds. 120 frames are twelve."""
    source = Video(str(write_video(tmp_path / "a.mp4", 1)))
    target = tmp_path / f"b.{ending}"
    with drawn_video(str(target), source) as add:
        for k in range(120):
            image = scene(2 * k)
            add(image[..., 0] if ending == "mkv" else image, 1024 * k)
        frames = list(Video(str(target)))
        assert 60 <= len(frames) <= 120
        np.testing.assert_allclose(frames[59].image[12, 48], 2 * 59, atol=4)
    assert len(list(Video(str(target)))) == 120


def test_a_grey_copy_keeps_every_value(tmp_path):
    source = Video(str(write_video(tmp_path / "a.mp4", 1)))
    values = np.random.default_rng(0).integers(0, 256, (3, 33, 65), np.uint8)
    with drawn_video(str(tmp_path / "b.mkv"), source) as add:
        for k, value in enumerate(values):
            add(value, 1024 * k)
    with av.open(str(tmp_path / "b.mkv")) as copy:
        found = [frame.to_ndarray() for frame in copy.decode(video=0)]
    np.testing.assert_array_equal(found, values)


def test_a_copy_whose_index_cannot_be_written_still_plays(tmp_path, monkeypatch):
    """The index of all is written last."""

    class FullDisk:
        def __init__(self, *arguments, **settings):
            self.container = opened(*arguments, **settings)

        def __getattr__(self, name):
            return getattr(self.container, name)

        def close(self):
            self.container.close()
            raise OSError(28, "No space left on device")

    source = Video(str(write_video(tmp_path / "a.mp4", 1)))
    opened = av.open
    monkeypatch.setattr(av, "open", FullDisk)
    target = tmp_path / "drawn" / "a.mp4"
    with (
        pytest.raises(UserError, match="cannot write .*a.mp4: No space left"),
        drawn_video(str(target), source) as add,
    ):
        add(scene(), 0)
    monkeypatch.undo()
    assert len(list(Video(str(target)))) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    source = Video(str(write_video(tmp_path / "a.mp4", 1)))
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(UserError, match="cannot write .*file/a.mp4"),
        drawn_video(str(tmp_path / "file" / "a.mp4"), source),
    ):
        pass
