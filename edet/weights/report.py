"""Putting foreign values into a network, and saying what fitted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edet.config.schema import ModelConfig
from edet.errors import UserError
from edet.models.fusion_graph import FEATURE_NETWORKS, name_prefix
from edet.weights.reference_names import joined
from edet.weights.transfer import transfer_classes

# A checkpoint of another size has the same names and a few equal shapes (fusion weights, the bias
# of the class logits); a backbone alone is more than half of every model.
_HARDLY_ANYTHING = 0.05
# A node of the feature network, in our names and in both of the reference's styles.
_NODE = r"[./]{prefix}f?node(?:s/)?(\d+)"
# A batch norm of a head in the reference's second style: its level, counted from the finest.
_HEAD_LEVEL = r"_net/bns/\d+/(\d+)/"


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did, by name.

    `loaded` and `reinitialized` are paths of the network's variables and together all of them;
    `unused` are names in the source that no variable took. Where the classes differ,
    `kept_classes` have their logits from the source and `new_classes` start from the prior.
    `notes` are sentences about what the weights expect and the configuration does otherwise.
    """

    source: str
    loaded: tuple[str, ...]
    reinitialized: tuple[str, ...]
    unused: tuple[str, ...]
    kept_classes: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def untrained(self) -> list[str]:
        """What of the network the source says nothing of: variables, and rows of classes."""
        return [*self.reinitialized, *(f"the class {name}" for name in self.new_classes)]

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {len(self.loaded)} variables loaded, {len(self.reinitialized)} "
            f"left at their initial values, {len(self.unused)} arrays unused"
        ]
        for title, names in (("initial", self.reinitialized), ("unused", self.unused)):
            layers = sorted({name.rpartition("/")[0] or name for name in names})
            lines += [f"  {title}: {_some(layers, 'layers')}"] if layers else []
        for title, names in (
            ("classes that keep their logits", self.kept_classes),
            ("new classes", self.new_classes),
        ):
            lines += [f"  {title}: {_some(names, 'classes')}"] if names else []
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _some(names: Sequence[str], what: str) -> str:
    more = f", ... ({len(names)} {what})" if names[6:] else ""
    return ", ".join(names[:6]) + more


def assign_weights(
    network: keras.Model,
    values: Mapping[str, np.ndarray],
    names: Mapping[str, Sequence[str]],
    source: str,
    labels: Mapping[int, str] | None = None,
    notes: Sequence[str] = (),
) -> LoadReport:
    """Assigns each variable the value of its name, where there is one of its shape.

    Args:
      network: from `build_network`.
      values: {name in the source: array}, laid out as Keras wants it.
      names: {variable's path: names in the source}; several are stacked. Paths left out keep
        their values.
      source: what the values came from, for the report.
      labels: {id: name} of the source's classes, if known; see `transfer_classes`.
      notes: for the report.

    Raises:
      UserError: nothing, or hardly anything, found its place.
    """
    for pattern, note in _of_other_levels(network.model_config, values):
        names = {
            path: theirs for path, theirs in names.items() if not any(map(pattern.search, theirs))
        }
        notes = (*notes, note)
    found = joined(values, names)
    used = {name for path in found for name in names[path]}
    kept, new = (transfer_classes(network, found, labels) if labels else None) or ((), ())
    loaded, missing = [], []
    for variable in network.variables:
        value = found.get(variable.path)
        fits = value is not None and tuple(value.shape) == tuple(variable.shape)
        (loaded if fits else missing).append(variable)
    share = _count(loaded) / _count(network.variables)
    if share < _HARDLY_ANYTHING:
        raise UserError(
            f"{source} does not fit {network.name}: {100 * share:.2g}% of the weights found a value"
            f" there; its names are such as {', '.join(sorted(values)[:3])}. Is it made for "
            "another model?"
        )
    for variable in loaded:
        variable.assign(found[variable.path])
    paths, left = (tuple(v.path for v in group) for group in (loaded, missing))
    used -= {name for path in left for name in names.get(path, ())}
    unused = tuple(sorted(set(values) - used))
    return LoadReport(source, paths, left, unused, kept, new, tuple(notes))


def _of_other_levels(
    config: ModelConfig, source: Collection[str]
) -> Iterator[tuple[re.Pattern[str], str]]:
    """Yields which of a source's names number the nodes or levels of others, and a sentence on it.

    Nodes have numbers for names, which mean other levels where there are more or fewer of them. A
    quad FPN begins with the BiFPN's nodes, so either is right for the other.
    """
    prefix = name_prefix(config.feature_network)
    node, level = re.compile(_NODE.format(prefix=prefix)), re.compile(_HEAD_LEVEL)
    ids, levels = (
        {int(found[1]) for name in source if (found := pattern.search(name))}
        for pattern in (node, level)
    )
    # Ours have numbers behind those of the levels, without nodes that no head reads. The
    # reference's count from 0, and all are there.
    counts = {
        len(nodes(config.pyramid_levels))
        for kind, nodes in FEATURE_NETWORKS.items()
        if name_prefix(kind) == prefix
    }
    first = len(config.pyramid_levels)
    is_same = len(ids) in counts if 0 in ids else min(ids, default=first) == first
    if not is_same:
        yield (
            node,
            "the nodes of these weights' feature network are of other levels than this network's, "
            "so its cells start anew",
        )
    if len(levels) not in (0, len(config.levels)):
        yield (
            level,
            f"these weights have {len(levels)} levels without their numbers, and this network "
            f"{len(config.levels)}, so the batch norms of the heads start anew",
        )


def _count(variables: Sequence[keras.Variable]) -> int:
    return sum(int(np.prod(v.shape)) for v in variables)
