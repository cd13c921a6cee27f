"""What a prediction has found so far, on disk: kept whatever stops it, and gone on with.

    detections.jsonl    grows in place
    unfinished.jsonl    what results depend on; then a line for each file that is done: how many of
                        those lines are its own, and what the lists say of it
    predictions.json, segmentation.json, report.json
                        written when the run ends or is stopped; unfinished.jsonl goes at its end

A file is done when its drawn copies are written. Its lines are flushed before the one that counts
them, so after a kill the two agree up to a place, and what follows is looked at again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.files import (
    append_text,
    aside_of,
    failure,
    read_json_or,
    write_json,
    write_text,
    written_aside,
)
from edet.globs import list_folder

_TITLES = ("predictions", "segmentation")  # of all lists; those of other heads would be stale
_VERSION = 1  # of what unfinished.jsonl holds
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError)  # no line of ours
_PATIENCE = 20  # times as long as flushing took it is left alone: a bucket copies the whole file


@dataclasses.dataclass
class Entry:
    """One picture or video that has been looked at.

    Attributes:
      file: its path.
      name: of its drawn copies.
      version: bytes and time of change, which tell another file in its place.
      records: what the lists say of it, by their titles; detections are in their own lines.
      complaints: what is missing, and why.
      num_lines: of detections.jsonl that are its own.
      is_whole: False of a video that was stopped within.
    """

    file: str
    name: str
    version: list[int]
    records: dict[str, dict] = dataclasses.field(default_factory=dict)
    complaints: list[str] = dataclasses.field(default_factory=list)
    num_lines: int = 0
    is_whole: bool = True

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Notes that one output cannot be written; what hits all, as a full disk, is raised."""
        try:
            yield
        except StorageError:
            raise
        except UserError as error:
            self.complaints.append(str(error))


class Lists(Protocol):
    """What gives a list in JSON."""

    title: str
    folders: Sequence[str]  # of what is drawn

    def listed(self, entry: Entry, lines: Iterable[str]) -> dict:
        """Returns what the list says of a file; `lines` are its own of detections.jsonl."""


def version_of(path: str) -> list[int]:
    """Returns the bytes and the time of change of a file; none if it is gone."""
    try:
        stat = tf.io.gfile.stat(path)
    except (OSError, tf.errors.OpError):
        return []
    return [stat.length, stat.mtime_nsec]


class Journal:
    """Keeps what is found; a context, at whose end the lists and the report are written.

    All writing happens in a thread of its own: a KeyboardInterrupt comes in the main thread alone,
    so none leaves a file between two states.

    Args:
      output: folder to write to.
      lists: what gives predictions.json and segmentation.json.
      names: of the outputs of all files that are asked for, by path.
      conditions: of the predictor; none takes nothing up.
      summary: counts to go on with: "images", "videos", "frames", "failed", "incomplete".

    Attributes:
      kept: files that a run which was stopped has done, with the same conditions.
      notice: a sentence about that run, or "".
      parting: what to say where this run is stopped; "" if it has found nothing.

    Raises:
      UserError: the folder cannot be written.
    """

    def __init__(
        self, output: str, lists: Sequence[Lists], names: Mapping[str, str],
        conditions: Mapping[str, str], summary: dict[str, Any],
    ):  # fmt: skip
        self._lists = {os.path.join(output, f"{one.title}.json"): one for one in lists}
        self._lines_path = os.path.join(output, "detections.jsonl")
        self._done_path = os.path.join(output, "unfinished.jsonl")
        self._report_path = os.path.join(output, "report.json")
        self._output, self._names, self._summary = output, names, summary
        self._head = {"version": _VERSION, **conditions}
        self._lines: list[str] = []  # not flushed yet
        self._done: list[str] = []
        self._num_lines, self._flush_at, self._is_open = 0, 0.0, False
        self._thread = ThreadPoolExecutor(1)
        is_ours = self._is_ours()
        _check_writable(next(iter(self._lists)))
        self.kept: set[str] = set()
        self.parting = ""
        self.notice = self._read() if conditions else ""
        self._is_marked = not is_ours  # or a run that is killed at once would be of nobody
        if self._is_marked:
            write_text(self._done_path, _line(self._head))

    def _is_ours(self) -> bool:
        """Whether a prediction has written here; refuses what else has names of ours."""
        report = None
        with contextlib.suppress(UserError):  # no JSON is not ours either
            report = read_json_or(self._report_path, "result", {})
        is_ours = isinstance(report, dict) and {"images", "failed"} <= report.keys()
        if is_ours or tf.io.gfile.exists(self._done_path):
            return True
        files = (*self._lists, self._report_path, self._lines_path)
        there = [path for path in files if tf.io.gfile.exists(path)]
        for folder in (folder for one in self._lists.values() for folder in one.folders):
            path = os.path.join(self._output, folder)
            names = list_folder(path) if tf.io.gfile.isdir(path) else []
            there += [path] if any(not name.startswith(".") for name in names) else []
        if there:
            raise UserError(
                f"{there[0]} is there, and no prediction of edet has written it; give another "
                "--output."
            )
        return False

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with self._thread:
            try:
                self._thread.submit(self._finish, kind is None).result()
            except UserError:
                if kind is None:  # else the first error is the news
                    raise

    def add(self, entry: Entry, lines: Sequence[dict] = ()) -> None:
        """Notes a file that is done, with its lines that were not added before."""
        self._thread.submit(self._add, lines, entry).result()

    def add_lines(self, lines: Sequence[dict]) -> None:
        """Adds lines of a video before it is done."""
        self._thread.submit(self._add, lines).result()

    def _read(self) -> str:
        """Looks for what a run that was stopped has left; returns the notice."""
        if not tf.io.gfile.exists(self._done_path):
            return ""
        others: list[str] = []
        is_empty = False
        with contextlib.suppress(*_DAMAGE):  # damaged from there on
            first, *more = [*itertools.islice(_whole_lines(self._done_path), 2)] or ["{}", ""]
            is_empty = not more
            head = json.loads(first)
            others = [key for key in self._head if head.get(key) != self._head[key]]
            for entry, lines in self._stored() if not others else ():
                found = sum(json.loads(line)["file_name"] == entry.file for line in lines)
                if found < entry.num_lines:
                    break
                known = (self._names.get(entry.file), version_of(entry.file))
                if entry.is_whole and known == (entry.name, entry.version):
                    self.kept.add(entry.file)
                    self._count(entry)
        if is_empty:
            return ""  # it was killed before it found anything
        why = f"with other {' and '.join(others)} " if others else ""
        left = f"{self._output} holds what a prediction {why}had found when it was stopped"
        if not self.kept:
            return f"{left}; this one starts anew."
        return f"{left}: {len(self.kept)} of these {len(self._names)} files; going on from there."

    def _stored(self) -> Iterator[tuple[Entry, Iterator[str]]]:
        """Yields what is done, with its lines of detections.jsonl."""
        lines = _whole_lines(self._lines_path)
        for text in itertools.islice(_whole_lines(self._done_path), 1, None):
            entry = Entry(**json.loads(text))
            own = itertools.islice(lines, entry.num_lines)
            yield entry, own
            deque(own, maxlen=0)  # what nobody has read

    def _open(self) -> None:
        """Begins the files that grow with what is kept; lists of before are no longer true."""
        if self._is_open:
            return
        left = set(self.kept)
        with (
            written_aside(self._lines_path) as lines_aside,
            written_aside(self._done_path) as done_aside,
            tf.io.gfile.GFile(lines_aside, "w") as all_lines,
            tf.io.gfile.GFile(done_aside, "w") as done,
        ):
            all_lines.write("")
            done.write(_line(self._head))
            for entry, lines in self._stored() if left else ():
                if entry.file in left:
                    all_lines.write("".join(lines))
                    done.write(_line(vars(entry)))
                    left.discard(entry.file)
                if not left:
                    break
        has_boxes = any(one.title == "predictions" for one in self._lists.values())
        lists = [os.path.join(self._output, f"{title}.json") for title in _TITLES]
        for path in (*lists, self._report_path, *[self._lines_path] * (not has_boxes)):
            if tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)
        self._is_open = True

    def _add(self, lines: Sequence[dict], entry: Entry | None = None) -> None:
        self._lines += map(_line, lines)
        self._num_lines += len(lines)
        if entry:
            entry.num_lines, self._num_lines = self._num_lines, 0
            self._done.append(_line(vars(entry)))
            self._count(entry)
        if time.monotonic() >= self._flush_at:
            self._flush()

    def _flush(self) -> None:
        self._open()
        start = time.monotonic()
        for path, lines in ((self._lines_path, self._lines), (self._done_path, self._done)):
            if lines:
                append_text(path, "".join(lines))
                lines.clear()
        self._flush_at = time.monotonic() + _PATIENCE * (time.monotonic() - start)

    def _count(self, entry: Entry) -> None:
        frames = max(record.get("frames", 0) for record in entry.records.values())
        self._summary["images" if not frames else "videos"] += entry.is_whole
        self._summary["frames"] += frames
        if entry.complaints:
            self._summary["incomplete"][entry.file] = "; ".join(entry.complaints)

    def _finish(self, is_complete: bool) -> None:
        """Writes the lists and the report, unless a run has ended before it found anything."""
        if not (is_complete or self._is_open or self.kept):
            if self._is_marked:
                tf.io.gfile.remove(self._done_path)
            return
        num, summary = len(self._names), self._summary
        done = summary["images"] + summary["videos"] + len(summary["failed"])
        summary |= {"complete": is_complete, "left": num - done}
        self.parting = (
            f"{done} of {num} files are done; what was found in them is in {self._output}, and the "
            "same command goes on from there."
        )
        self._flush()
        with contextlib.ExitStack() as stack:
            files = {one: stack.enter_context(_list_file(p)) for p, one in self._lists.items()}
            for entry, lines in self._stored():
                for one, add in files.items():
                    if one.title in entry.records:
                        add(one.listed(entry, lines))
        write_json(self._report_path, summary)
        if is_complete:
            tf.io.gfile.remove(self._done_path)


def _line(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _whole_lines(path: str) -> Iterator[str]:
    """Yields the lines of a file, if it is there; not the last one of a process that was killed."""
    if not tf.io.gfile.exists(path):
        return
    try:
        with tf.io.gfile.GFile(path) as file:
            yield from itertools.takewhile(lambda line: line.endswith("\n"), file)
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot read {path}", error) from error


@contextlib.contextmanager
def _list_file(path: str) -> Iterator[Any]:
    """Yields what adds one object to a JSON list, a line each; nothing is kept in memory."""
    with written_aside(path) as aside, tf.io.gfile.GFile(aside, "w") as file:
        before = "["

        def add(value: dict) -> None:
            nonlocal before
            file.write(f"{before}\n{json.dumps(value, ensure_ascii=False)}")
            before = ","

        yield add
        file.write("[]\n" if before == "[" else "\n]\n")


def _check_writable(path: str) -> None:
    """Tells of a folder that cannot be written before the work, not after it."""
    aside = aside_of(path)
    try:
        tf.io.gfile.makedirs(os.path.dirname(path))
        with tf.io.gfile.GFile(aside, "w") as file:
            file.write("")
        tf.io.gfile.remove(aside)
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot write {path}", error) from error
