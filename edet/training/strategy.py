"""Which devices train: one CPU or GPU, all of a machine's, or a TPU."""

from __future__ import annotations

import tensorflow as tf

from edet.config.schema import Config, ConfigError
from edet.errors import UserError

STRATEGIES = ("auto", "cpu", "gpu", "mirrored", "tpu")


def make_strategy(name: str, tpu: str = "", devices: int = 0) -> tf.distribute.Strategy:
    """Returns the distribution strategy; to be called once, before anything touches a device.

    Args:
      name: "auto" takes a TPU if `tpu` is set, otherwise all GPUs, otherwise the CPU; "mirrored" is
        all GPUs of the machine, or `devices` logical CPU devices where it has none.
      tpu: name or address of the TPU; "local" on a TPU VM.
      devices: how many devices "mirrored" uses; 0 for all.

    Raises:
      UserError: the device asked for is not there.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        name = "tpu" if tpu else "mirrored" if len(gpus) > 1 else "gpu" if gpus else "cpu"
    if name == "tpu":
        return _tpu(tpu or "local")
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
    raise UserError(f"--strategy={name} is not one of {', '.join(STRATEGIES)}.")


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


def _tpu(address: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise UserError(
            f"--strategy=tpu found no TPU at {address!r} ({str(error).splitlines()[0]}); on a TPU "
            "VM install the extra 'tpu' and use --tpu=local, elsewhere give --tpu its name."
        ) from error


def check_batch_size(config: Config, replicas: int) -> None:
    """Refuses batch sizes that the replicas cannot share evenly.

    Raises:
      ConfigError: names the nearest sizes that work.
    """
    for key in ("batch_size", "eval_batch_size"):
        size = getattr(config.data, key)
        if size % replicas:
            lower, upper = size // replicas * replicas, (size // replicas + 1) * replicas
            near = f"{lower} or {upper}" if lower else str(upper)
            raise ConfigError(
                f"data.{key} is {size}, which {replicas} replicas cannot share evenly; use {near}."
            )
