"""The folder of a data set: its files, listed once, and the picture that an annotation means."""

from __future__ import annotations

import contextlib
import copy
import difflib
import fnmatch
import functools
import itertools
import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

import tensorflow as tf

from edet.files import PICTURE_ENDINGS, check_file, decoded, failure
from edet.records.sources.listing import files_below

_PICTURES = (*PICTURE_ENDINGS, ".tif", ".tiff", ".avif", ".jfif", ".ppm", ".pgm")
_SPLITS = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "validate", "eval", "evaluation", "dev"),
}
_OF_WHAT = re.compile(r"(?<=.)(sets?|data|images?|imgs?|labels?|annotations?|split)$")  # trainset
_TRIED = 20  # files of a folder with one for each picture, by which it is recognised
PACKED = ("*.zip", "*.tar", "*.tgz", "*.tar.*", "*.7z", "*.rar")
_ROOMS = ("images", "image_2", "data")  # of pictures, beside that of their annotations
# What tools put before a picture's own name: Label Studio's "1a2b3c4d-street.jpg".
PREFIX = re.compile(r"^[0-9a-f]{6,}-(?=.)")


class Folder:
    """A folder, local or gs://, with everything below it.

    Attributes:
      root: its path.
      only: the one annotation file that counts; "": all.
    """

    def __init__(self, root: str):
        self.root = os.path.expanduser(root)
        self.only = ""
        self._misses = 0
        # {picture: the base and the name that mean it}
        self._meant: dict[str, tuple[str, str]] = {}

    @functools.cached_property
    def files(self) -> list[str]:
        """All files, sorted, as paths from the root with "/"; hidden ones are left out."""
        return sorted(files_below(self.root))

    @functools.cached_property
    def pictures(self) -> list[str]:
        """The files that end as pictures do."""
        return [name for name in self.files if is_picture(name)]

    def matching(self, *patterns: str, beside: bool = False) -> list[str]:
        """The annotation files whose path matches one of the globs, in any case of the letters.

        Args:
          patterns: the globs.
          beside: of all files, where `only` names one: for what describes it, such as classes.
        """
        files = [self.only] if self.only and not beside else self.files
        names = ((name, name.lower()) for name in files)
        return [name for name, low in names if any(fnmatch.fnmatchcase(low, p) for p in patterns)]

    def path(self, name: str) -> str:
        """The path of a file that is named from the root; an absolute one stays as it is."""
        return os.path.join(self.root, name)

    def head(self, name: str, size: int = 65536) -> str:
        """The first `size` bytes of a text file, by which formats are told apart.

        Raises:
          UserError: it cannot be read, such as a link to what is gone.
        """
        try:
            check_file(self.path(name))
            with tf.io.gfile.GFile(self.path(name), "rb") as file:
                return decoded(file.read(size), errors="replace")
        except (OSError, tf.errors.OpError) as error:
            raise failure(f"cannot read {self.path(name)}", error) from error

    def texts_of_many(self) -> list[str]:
        """The text files that are not called as a picture is: a few, of many pictures each."""
        stems = {stem_of(name) for name in self.pictures}
        names = ((name, posixpath.splitext(name)[0]) for name in self.matching("*.txt"))
        return [name for name, stem in names if stem_of(stem) not in stems][:_TRIED]

    def alike(self, names: Iterable[str], is_one: Callable[[str], bool]) -> list[str]:
        """The files of those folders in which the head of one of the first files is right.

        Empty ones do not count: they are those of pictures without objects, or of a full disk.
        """
        by_folder: dict[str, list[str]] = defaultdict(list)
        for name in names:
            by_folder[posixpath.dirname(name)].append(name)
        found: list[str] = []
        for files in by_folder.values():
            heads = filter(str.strip, map(self.head, files))
            if any(map(is_one, itertools.islice(heads, _TRIED))):
                found += files
        return found

    @functools.cached_property
    def _known(self) -> set[str]:
        return set(self.files)

    @functools.cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """{key of the last part of a picture's path, with and without ending: pictures}."""
        index = defaultdict(list)
        for name in self.pictures:
            last = key_of(posixpath.basename(name))
            index[last].append(name)
            index[posixpath.splitext(last)[0]].append(name)
        return index

    def find(self, name: str, base: str = "", split: str = "") -> str:
        """Returns the path of the picture that an annotation names; see `locate`."""
        return self.path(self.locate(name, base, split))

    def locate(self, name: str, base: str = "", split: str = "") -> str:
        """Returns the picture that an annotation names, from the root.

        Tools write folders that are not there, backslashes, "%20", another case or ending, "_" for
        a space, and prefixes of their own. What is not found as written is found by likeness, if
        there is exactly one candidate, and no other name has meant that one.

        Args:
          name: as in the annotations, relative to `base` or to the root.
          base: the annotation file's own folder, from the root.
          split: of equal names in the folders of several splits, this one's is meant.

        Raises:
          LookupError: there is none, or several; its text says so and names the nearest.
        """
        if path := self.as_written(name, base):
            return path
        found = self._alike(name, base)
        # The bucket that a set was copied from need not be asked, and may refuse.
        is_bucket = name.startswith("gs://") and not found
        if os.path.isabs(name) or "../" in name or is_bucket:
            for path in (posixpath.join(base, name), name):
                if tf.io.gfile.exists(self.path(path)):
                    return path
        own = usual_split(base or posixpath.dirname(name))
        if own:  # test's pictures are not those of the annotations in train's folder
            found = [f for f in found if usual_split(posixpath.dirname(f)) in ("", own, split)]
        if len(found) > 1:
            found = [f for f in found if "thumb" not in posixpath.dirname(f).lower()] or found
            of_split = [file for file in found if usual_split(posixpath.dirname(file)) == split]
            beside = [f for f in of_split or found if posixpath.dirname(f) == base]
            within = [f for f in of_split if base and f.startswith(f"{base}/")]
            found = beside or within or of_split or found
        if len(found) != 1:
            raise LookupError(self._missing(name, found))
        own, other = self._meant.setdefault(found[0], (base, name))
        is_shared = other == name and not (own and found[0].startswith(f"{own}/"))
        if (own, other) != (base, name) and not is_shared:
            raise LookupError(f"{found[0]} is the only candidate, and that of {other} too")
        return found[0]

    def unclaimed(self) -> Folder:
        """Returns the same folder, of which no name has meant a picture yet."""
        other = copy.copy(self)
        other._meant = {}
        return other

    def quiet(self) -> Folder:
        """Returns the same folder, which names no nearest file where a picture is missing."""
        other = copy.copy(self)
        other._misses = _TRIED
        return other

    def claim(self, names: Iterable[tuple[str, str]]) -> None:
        """Keeps the pictures that some names mean as they are written from being found by likeness.

        Args:
          names: the base and the name of each, as of `locate`.
        """
        for base, name in names:
            if path := self.as_written(name, base):
                self._meant.setdefault(path, (base, name))

    def as_written(self, name: str, base: str) -> str:
        """Returns the file that a name means as it stands; "" if there is none."""
        paths = (path for r in readings(name) for path in (posixpath.join(base, r), r))
        return next((p for p in map(posixpath.normpath, paths) if p in self._known), "")

    def _alike(self, name: str, base: str) -> list[str]:
        """The files of the same last part that share the most folders before it, then the root's.

        So "day1/labels/0" means day1/pictures/0.jpg, not day2/pictures/0.jpg. Where these numbers
        are alike, the base's folders count as the name's own.
        """
        for reading in readings(name):
            *folders, last = key_of(reading).strip("/").split("/")
            for key in dict.fromkeys((last, PREFIX.sub("", last))):
                stem = posixpath.splitext(key)[0] if key.endswith(_PICTURES) else key
                found = self._by_name.get(key) or self._by_name.get(stem)
                if found:
                    whole = [part for part in key_of(base).split("/") if part] + folders
                    others = [key_of(file).split("/")[:-1] for file in found]
                    ranks = [
                        (
                            shared(folders[::-1], other[::-1]),
                            shared(whole, other),
                            shared(whole[::-1], other[::-1]),
                        )
                        for other in others
                    ]
                    return [f for f, n in zip(found, ranks, strict=True) if n == max(ranks)]
        return []

    def _missing(self, name: str, found: list[str]) -> str:
        if found:
            return (
                f"{name} may be {found[0]} or {found[1]} in {self.root}; move one of the two "
                "elsewhere, or write the folder into the name"
            )
        self._misses += 1  # looking for the nearest takes seconds where there are many
        last: dict[str, str] = {}
        if self._misses <= _TRIED:
            last = {posixpath.basename(file): file for file in self.pictures[:20_000]}
        near = difflib.get_close_matches(posixpath.basename(name), last, 1, 0.5) if last else []
        nearest = f"; the nearest name is {last[near[0]]}" if near else ""
        return f"{name} is not in {self.root}{nearest}"


def usual_split(path: str) -> str:
    """Returns "train", "val" or "test" where a path has a usual word for it, otherwise "".

    The last part that is such a word counts, as in "training_data/val2017/test_01.jpg"; without one
    the last that has one.
    """
    parts = [
        [_OF_WHAT.sub("", word) for word in re.findall(r"[a-z]+", part)]
        for part in reversed(path.lower().split("/"))
    ]
    for words in [*(part for part in parts if len(part) == 1), *parts]:
        for split, names in _SPLITS.items():
            if set(words).intersection(names):
                return split
    return ""


def source_ids(names: Sequence[str]) -> list[str]:
    """Returns what a set without ids of its own calls its pictures: paths without ending.

    Folders that only say the split, or that pictures are in them, are left out. Where two pictures
    would be called the same, all keep their endings, and where these are alike too whole paths.
    """
    short = []
    for name in names:
        *folders, last = name.split("/")
        kept = [part for part in folders if part.lower() not in _ROOMS and not usual_split(part)]
        short.append("/".join([*kept, last]))
    for ids in ([posixpath.splitext(name)[0] for name in short], short):
        if len(set(ids)) == len(ids):
            return ids
    return list(names)


def by_split(
    names: Iterable[str], place: Callable[[str], str] = lambda name: name
) -> dict[str, tuple[str, ...]]:
    """Returns {usual split: its files}, in their order.

    Args:
      names: of files.
      place: the part of a name in which the split's word is looked for; by default all of it.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(usual_split(place(name)), []).append(name)
    return {split: tuple(files) for split, files in groups.items()}


def key_of(name: str) -> str:
    """What stays of a name whatever tools make of it; macOS writes an ö as two signs."""
    return unicodedata.normalize("NFC", name).lower().replace(" ", "_")


def stem_of(name: str) -> str:
    """What a picture is called with and without its folder and ending: ids may have dots."""
    last = posixpath.basename(key_of(name))
    return posixpath.splitext(last)[0] if is_picture(last) else last


def is_picture(name: str) -> bool:
    """Whether a file's name ends as that of a picture."""
    return name.lower().endswith(_PICTURES)


def readings(name: str) -> Iterator[str]:
    """Yields the ways to read a name, as it stands first."""
    yield name
    slashes = name.replace("\\", "/")
    yield slashes
    yield unquote(slashes)
    if "?" in slashes or "://" in slashes:
        with contextlib.suppress(ValueError):  # "://[" is no host
            parts = urlsplit(slashes)
            yield unquote(parse_qs(parts.query).get("d", [parts.path])[0])


def split_of_list(name: str) -> str:
    """Returns the split that a list of names is of; "" for others, such as "cat_train.txt"."""
    stem = posixpath.splitext(posixpath.basename(name))[0]
    return usual_split(stem) if stem.isalpha() else ""


def shared(first: list[str], second: list[str]) -> int:
    """The number of parts that two lists begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
