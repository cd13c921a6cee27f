"""Which devices train: one CPU or GPU, all of a machine's, those of several machines, or a TPU."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import tensorflow as tf

from edet.config.schema import Config, ConfigError
from edet.errors import UserError
from edet.files import reason

STRATEGIES = ("auto", "cpu", "gpu", "mirrored", "multi_worker", "tpu")


def make_strategy(
    name: str, tpu: str = "", devices: int = 0, zone: str = "", project: str = ""
) -> tf.distribute.Strategy:
    """Returns the distribution strategy; to be called once, before anything touches a device.

    Args:
      name: "auto" takes a TPU if `tpu` is set, otherwise all GPUs, otherwise the CPU; "mirrored" is
        all GPUs of the machine, or `devices` logical CPU devices where it has none; "multi_worker"
        is every machine that the environment variable TF_CONFIG names, the same command on each.
      tpu: name or address of the TPU; "local" on a TPU VM whose chips are all of the TPU. A slice
        of several hosts is given by its name, to one process on its first host: every host reads
        and decodes its share of the images.
      devices: how many devices "mirrored" uses; 0 for all.
      zone: of a TPU given by name, where it is not this machine's.
      project: the same of the cloud project.

    Raises:
      UserError: the device asked for is not there, or a setting is not for this strategy.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        name = "tpu" if tpu else "mirrored" if len(gpus) > 1 else "gpu" if gpus else "cpu"
    if name != "mirrored" and devices > 1:
        raise UserError(f"--devices={devices} is for --strategy=mirrored, but this is {name}.")
    if name != "tpu" and (tpu or zone or project):
        raise UserError(f"--tpu, --zone and --project are for --strategy=tpu, but this is {name}.")
    if name == "tpu":
        return _tpu(tpu or "local", zone, project)
    if name == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return tf.distribute.get_strategy()
    if name == "gpu":
        if not gpus:
            raise UserError("--strategy=gpu, but TensorFlow sees no GPU; use --strategy=cpu.")
        tf.config.set_visible_devices(gpus[:1], "GPU")
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return _mirrored(gpus, devices)
    if name == "multi_worker":
        return _multi_worker()
    raise UserError(f"--strategy={name} is not one of {', '.join(STRATEGIES)}.")


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas are cores of a TPU."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def _mirrored(gpus: list, devices: int) -> tf.distribute.Strategy:
    kind = "GPU" if gpus else "CPU"
    count = devices or len(gpus) or 1
    if gpus and count > len(gpus):
        raise UserError(f"--devices={count}, but TensorFlow sees {len(gpus)} GPUs.")
    if not gpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpu, logical)
        except RuntimeError as error:
            raise UserError(
                "--strategy=mirrored must come before anything uses TensorFlow."
            ) from error
    return tf.distribute.MirroredStrategy([f"{kind}:{k}" for k in range(count)])


_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def _multi_worker() -> tf.distribute.Strategy:
    _check_tf_config(os.environ.get("TF_CONFIG", ""))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"--strategy=multi_worker could not start ({reason(error)}); does every host of "
            "TF_CONFIG run this command, and is its port free?"
        ) from error


def _check_tf_config(text: str) -> None:
    """Refuses a TF_CONFIG with which TensorFlow would wait for ever or train alone."""

    def refuse(why: str) -> UserError:
        return UserError(
            f"--strategy=multi_worker, but the environment variable TF_CONFIG {why}; set it on "
            f"every host, with its own index, to something like {_TF_CONFIG_EXAMPLE}"
        )

    if not text:
        raise refuse("is not set")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        kind, index = task["type"], task["index"]
    except json.JSONDecodeError as error:
        raise refuse(f"is not JSON ({error})") from error
    except (KeyError, TypeError) as error:
        raise refuse(f"lacks cluster.worker, task.type or task.index ({error})") from error
    if not (isinstance(workers, list) and workers and all(":" in str(host) for host in workers)):
        raise refuse(f"names the workers {workers!r}, which are not a list of host:port")
    if set(config["cluster"]) != {"worker"} or kind != "worker":
        others = sorted({*config["cluster"], kind} - {"worker"})
        raise refuse(f"names tasks of another type than worker ({', '.join(map(str, others))})")
    if index not in range(len(workers)):
        raise refuse(f"has the index {index!r}, but there are {len(workers)} workers")


# What TensorFlow says of an operation of TPUs that it was built without.
_NO_KERNEL = "No OpKernel was registered"


def _tpu(address: str, zone: str, project: str) -> tf.distribute.Strategy:
    try:
        # Empty ones it asks the machine's metadata for.
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=address, zone=zone or None, project=project or None
        )
        if address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, ImportError, tf.errors.OpError) as error:
        why = "the installed TensorFlow knows none" if _NO_KERNEL in str(error) else reason(error)
        where = "".join(
            f", {what} {value}" for what, value in (("zone", zone), ("project", project)) if value
        )
        raise UserError(
            f"--strategy=tpu found no TPU at {address!r}{where} ({why}); on a TPU VM "
            "install the extra 'tpu' and use --tpu=local, elsewhere give --tpu its name or "
            "grpc://host:8470, and --zone and --project if they are not this machine's."
        ) from error


def check_batch_size(
    config: Config, replicas: int, keys: Sequence[str] = ("batch_size", "eval_batch_size")
) -> None:
    """Refuses batch sizes that the replicas, and their micro-batches, cannot share evenly.

    Args:
      keys: those of `data` that are of use.

    Raises:
      ConfigError: names the nearest sizes that work.
    """
    for key in keys:
        parts = config.train.micro_batches if key == "batch_size" else 1
        size, shares = getattr(config.data, key), replicas * parts
        if size % shares:
            lower, upper = size // shares * shares, (size // shares + 1) * shares
            near = f"{lower} or {upper}" if lower else str(upper)
            micro = f" with {parts} micro-batches each" if parts > 1 else ""
            raise ConfigError(
                f"data.{key} is {size}, which {replicas} replicas{micro} cannot share evenly; use "
                f"{near}."
            )
