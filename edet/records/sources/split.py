"""Divides a data set that has no validation split, so that pictures of one kind stay together.

Frames of one video, and the copies of a photo that Roboflow has changed a little, show the same.
With some of them in training and others in validation, AP would measure memory. Names tell which
belong together: by their folder, or by all but the number at their end.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from edet.errors import UserError
from edet.records.sources.annotations import AnnotatedImage

_FEWEST = 5  # groups that are worth dividing by
# Roboflow's copies of street.jpg are street_jpg.rf.1f0e3dad99908345f7439f8ffabdffc4.jpg and alike.
_COPY = re.compile(r"(_(jpe?g|png|bmp|webp|tiff?))?\.rf\.[0-9A-Za-z]+$", re.I)
_UPLOAD = re.compile(r"^(?=\d*[a-f])[0-9a-f]{8}-(?=.)")  # Label Studio's 1a2b3c4d-street.jpg
_NUMBER = re.compile(r"[\W_]*\d+[\W_]*$")


def divide(
    images: Sequence[AnnotatedImage], share: float, seed: int
) -> tuple[list[AnnotatedImage], list[AnnotatedImage], str]:
    """Returns the pictures to train on, those to validate on, both in their order, and how.

    The largest groups that serve are taken: folders, else series (of one folder and one name but
    for the number at its end), else photos, with all of Roboflow's copies. Groups serve if they are
    five or more, none holds over half of the pictures, their sizes give the share to within a
    factor of two, and they do not stand for classes, as folders named after what they show do.

    A hash of the seed and of its name puts a group on its side, so that pictures that are added
    move no others. Where the share is missed by more than a factor of two, as it may be with few
    groups, they are taken in the order of these hashes until it is reached.

    Args:
      images: of a set without splits.
      share: of validation, above 0 and below 1.
      seed: another one gives other sides.

    Returns:
      (train, val, a sentence that says by what they were divided).

    Raises:
      UserError: the share is out of bounds, or there are fewer than two pictures.
    """
    if not 0 < share < 1:
        raise UserError(f"--val_share={share} must be above 0 and below 1, such as 0.2.")
    if len(set(map(_name, images))) < 2:
        raise UserError(
            f"--val_share={share} needs two pictures or more to divide, and there are "
            f"{len(set(map(_name, images)))}; leave it out or add pictures."
        )
    photos = len(_grouped(images, _photo))
    for what, key in _LEVELS.items():
        groups = _grouped(images, key)
        chosen = _choose({name: len(group) for name, group in groups.items()}, share, seed)
        held = sum(len(groups[name]) for name in chosen) / len(images)
        if what == "photo" and len(groups) > 1:
            break
        if len(groups) < photos and _serve(groups) and _is_near(held, share):
            break
    val = [image for image in images if key(image) in chosen]
    train = [image for image in images if key(image) not in chosen]
    how = (
        f"{len(train)} pictures for training and {len(val)} for validation ({held:.0%}) were "
        f"divided by {what}, of which there are {len(groups)}, none on both sides (seed {seed})"
    )
    series = _grouped(images, _series)
    if what == "photo" and 2 * max(map(len, series.values())) > len(images):
        how += (
            "; most names differ in a number alone: if they are frames of one video, neighbours "
            "are on both sides, so put each video into a folder of its own"
        )
    return train, val, f"{how}."


def _path(image: AnnotatedImage) -> tuple[str, str]:
    """The folder of a picture, and its name without ending and without marks of Roboflow."""
    folder, name = posixpath.split(image.name.replace("\\", "/"))
    return folder, _COPY.sub("", posixpath.splitext(name)[0])


def _folder(image: AnnotatedImage) -> str:
    return _path(image)[0]


def _series(image: AnnotatedImage) -> str:
    folder, stem = _path(image)
    return f"{folder}/{_NUMBER.sub('', _UPLOAD.sub('', stem))}"


def _photo(image: AnnotatedImage) -> str:
    return "/".join(_path(image))


def _name(image: AnnotatedImage) -> str:
    return f"{image.name}\n{image.source_id}"


_LEVELS: Mapping[str, Callable[[AnnotatedImage], str]] = {
    "folder": _folder, "series": _series, "photo": _photo, "picture": _name,
}  # fmt: skip


def _grouped(
    images: Sequence[AnnotatedImage], key: Callable[[AnnotatedImage], str]
) -> dict[str, list[AnnotatedImage]]:
    groups = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups


def _serve(groups: Mapping[str, list[AnnotatedImage]]) -> bool:
    """Whether groups are many, none is most of the set, and they do not stand for classes."""
    sizes = [len(group) for group in groups.values()]
    if len(sizes) < _FEWEST or 2 * max(sizes) > sum(sizes):
        return False
    pictures, places = Counter(), defaultdict(set)
    for name, group in groups.items():
        for image in group:
            for label in {thing.label for thing in image.objects}:
                pictures[label] += 1
                places[label].add(name)
    repeated = [label for label, count in pictures.items() if count > 1]
    return 2 * sum(len(places[label]) == 1 for label in repeated) <= len(repeated)


def _choose(sizes: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Returns the groups of validation: one at least, and not all if there are two or more."""
    at = {name: _draw(seed, name) for name in sizes}
    order, total = sorted(sizes, key=at.get), sum(sizes.values())
    chosen = [name for name in order if at[name] < share]
    if not _is_near(sum(sizes[name] for name in chosen) / total, share):
        chosen, left = [], share * total  # pictures
        for name in order:
            if abs(left - sizes[name]) <= abs(left):  # nearer to the share with it than without
                chosen.append(name)
                left -= sizes[name]
    chosen = chosen or order[:1]
    return set(chosen[: max(1, len(order) - 1)])


def _draw(seed: int, name: str) -> float:
    """A number of 0-1 that depends on the seed and the name alone."""
    digest = hashlib.blake2b(f"{seed}\n{name}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _is_near(held: float, share: float) -> bool:
    """Whether both sides have their share to within a factor of two."""
    return all(2 * own >= wish and own <= 2 * wish
               for own, wish in ((held, share), (1 - held, 1 - share)))  # fmt: skip
