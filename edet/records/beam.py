"""Records written by many machines: the shards of `records.writing` as work for Apache Beam.

The main program reads the annotations and writes an order for each shard beside the output; a
worker takes an order, reads the images and writes the shard with the code of the local path, so
that its bytes are the same. Only the orders' paths travel through Beam: what a runner takes with
the job itself is limited (Dataflow: about 10 MB), and the annotations of a million images are more.
"""

from __future__ import annotations

import concurrent.futures
import functools
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from edet.errors import UserError
from edet.files import content_of, read_json, write_bytes, write_json
from edet.records.schema import Example
from edet.records.sources.example_set import Source, Tally
from edet.records.writing import Shard, write_shard

_THREADS = 4  # of a worker's shard: they wait for the storage as much as they decode


def import_beam() -> Any:
    """Returns the module apache_beam.

    Raises:
      UserError: it is not installed.
    """
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(
            "Apache Beam is not installed; pip install 'edet[beam]' (docs/large_scale.md)."
        ) from error
    return apache_beam


def make_pipeline(options: Sequence[str]) -> Any:
    """Returns an empty pipeline; used as a context manager, it runs and waits.

    Args:
      options: of Beam or its runner, "name=value" or "name"; none: the machine itself.

    Raises:
      UserError: Beam is not installed, or refuses an option.
    """
    beam = import_beam()
    flags = [f"--{option.removeprefix('--')}" for option in options]
    try:
        return beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(flags))
    except ValueError as error:
        raise UserError(f"--beam={','.join(options)} is refused by Beam: {error}.") from error


class OnBeam:
    """Writes shards on Beam, for `records.writing.write_records`.

    A worker has to reach the images, and the output, under the same paths as this program, and
    have edet installed. A job that ends early has lost nothing: the shards that it finished count
    when the command is given again.

    Args:
      output: the prefix of all files, as for `write_records`.
      options: see `make_pipeline`.
    """

    def __init__(self, output: str, options: Sequence[str] = ()):
        import_beam()  # rather now than after the annotations were read
        self._orders = f"{output}.orders"
        self._options = options

    def __call__(self, source: Source, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Tally]]:
        """Yields the tally of each shard, those of an interrupted job first."""
        waiting = []
        for shard in shards:
            tally = self._finished(shard)
            if tally is None:
                waiting.append(shard)
            else:
                yield shard, tally
        if waiting:
            self._run(source, waiting)
        for shard in waiting:
            tally = self._finished(shard)
            if tally is None:
                raise UserError(f"the Beam job has not written {shard.path}; see its log.")
            yield shard, tally
        if tf.io.gfile.isdir(self._orders):
            tf.io.gfile.rmtree(self._orders)

    def _run(self, source: Source, shards: Sequence[Shard]) -> None:
        beam = import_beam()
        with concurrent.futures.ThreadPoolExecutor(32) as pool:  # buckets answer slowly
            orders = list(pool.map(functools.partial(self._give_order, source), shards))
        with make_pipeline(self._options) as pipeline:
            # Without the reshuffle a runner may leave all shards to the one who reads the list.
            _ = pipeline | beam.Create(orders) | beam.Reshuffle() | beam.Map(write_ordered_shard)

    def _path(self, shard: Shard) -> str:
        return f"{self._orders}/{shard.index:05d}"

    def _give_order(self, source: Source, shard: Shard) -> str:
        examples = source.shard(shard.index, shard.count)
        if not isinstance(examples, Sequence):  # made while they are read: the worker makes them
            examples = functools.partial(source.shard, shard.index, shard.count)
        path = self._path(shard)
        write_bytes(path, pickle.dumps((shard, examples, source.labels)))
        return path

    def _finished(self, shard: Shard) -> Tally | None:
        path = f"{self._path(shard)}.json"
        if not tf.io.gfile.exists(path) or not tf.io.gfile.exists(shard.path):
            return None
        answer = read_json(path, "the answer to an order")
        if answer["fingerprint"] != shard.fingerprint:
            return None
        return Tally.from_json(answer["tally"])


def write_ordered_shard(path: str) -> None:
    """Writes the shard of an order, and beside the order the answer; on a worker.

    Doing it twice, even at once, as runners do, leaves the same files.
    """
    shard, examples, labels = pickle.loads(content_of(path))  # this program's own, of this job
    images: Iterable[Example] = examples() if callable(examples) else examples
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        tally = write_shard(shard.path, images, labels, pool)
    write_json(f"{path}.json", {"fingerprint": shard.fingerprint, "tally": tally.as_json()})
