"""What a run is expected to need, counted by hand where it can be."""

import mmap
import os
import pathlib
import sys

import keras
import pytest
import tensorflow as tf

from edet.models.complexity import count_kept
from edet.models.efficientdet import build_network
from edet.runtime.memory import (
    ExpectedMemory,
    expected_memory,
    free_memory,
    peak_memory,
    peaks_so_far,
    shortage,
)
from tests.small import small_model
from tests.training.small import seeded_network, small_config

MIB = 2**20


@pytest.fixture(scope="module")
def network():
    return seeded_network(small_config())


def expected(network, images=4, **changes):
    return expected_memory(network, images, **changes)


def test_weights_averages_and_velocities_are_four_bytes_a_number(network):
    found = expected(network)
    trainable = sum(w.value.shape.num_elements() for w in network.trainable_variables)
    assert found.weights == found.averages == 4 * network.count_params()
    assert found.velocities == 4 * trainable
    assert found.total == sum(vars(found).values())


def test_a_network_that_evaluates_while_training_has_weights_of_its_own(network):
    alone, both = expected(network), expected(network, evaluate_too=True)
    assert alone.evaluation == 0
    assert both.evaluation == both.total - alone.total == both.standing - alone.standing
    assert both.evaluation == 4 * network.count_params()


def test_the_stem_keeps_its_convolution_and_one_of_batch_norm_and_relu(network):
    """32 x 48 pixels: two maps of 16 x 24 and as many channels as the convolution has."""
    channels = network.get_layer("backbone.stem_conv").filters
    kept = count_kept(network)["backbone.stem"]
    assert kept.inside == 2 * 16 * 24 * channels
    assert (kept.outputs, kept.largest) == (16 * 24 * channels, 16 * 24 * channels)


def test_a_network_for_cpus_keeps_no_product_that_is_normalised_in_its_kernel():
    """Two expansions from 8 to 48 channels, of 32 x 48 and of 16 x 24 pixels."""
    model = small_model()
    with keras.StatelessScope(initialize_variables=False):
        ours, theirs = (count_kept(build_network(model, for_cpu=is_so)) for is_so in (True, False))
    saved = {block: theirs[block].inside - ours[block].inside for block in theirs}
    assert {block: values for block, values in saved.items() if values} == {
        "backbone.block2a": 32 * 48 * 48,
        "backbone.block3a": 16 * 24 * 48,
    }


def test_what_saves_memory_is_expected_to(network):
    whole = expected(network).activations
    assert expected(network, precision="bfloat16").activations == whole / 2
    assert expected(network, micro_batches=4).activations == whole / 4
    assert expected(network, images=2).activations == whole / 2
    assert expected(network, remat=True).activations < 0.3 * whole
    assert expected(network, remat=True).total < expected(network).total


def test_the_table_shows_every_part_and_the_total(network):
    table = expected(network).table()
    parts = list(table.columns[0].cells)
    assert parts == [
        "weights", "velocities", "averages", "evaluation", "gradients", "activations", "temporary",
        "total",
    ]  # fmt: skip


def foreseen(micro_batches, remat):
    """1 GiB of weights, and 8 of activations, of which a part holds its share and remat half."""
    activations = 2**33 // micro_batches // (2 if remat else 1)
    return ExpectedMemory(2**30, 0, 0, 0, 0, activations, 0)


@pytest.mark.parametrize(
    ("gib", "advice"),
    [
        (5, "set train.remat=true or train.micro_batches=2 ("),  # 1 + 4 either way
        (3, "set train.micro_batches=4 ("),  # 1 + 2
        (1.7, "set train.remat=true with train.micro_batches=8 ("),  # 1 + 0.5
        (1.2, "set data.batch_size or model.image_size smaller ("),
    ],
)
def test_a_run_that_will_not_fit_is_told_what_would(gib, advice):
    why = shortage(foreseen, int(gib * 2**30), devices=1, images=8)
    assert f"to need 9.0 GiB, and {gib:.1f} GiB are free" in why
    assert advice in why
    assert shortage(foreseen, 9 * 2**30, devices=1, images=8) == ""


def test_replicas_on_one_machine_share_its_memory():
    assert shortage(foreseen, 17 * 2**30, devices=2, images=8).startswith(
        "this run is expected to need 18.0 GiB"
    )


def test_a_part_is_at_least_one_image_and_what_is_set_is_not_advised():
    why = shortage(foreseen, 2**30, devices=1, images=2, micro_batches=2, remat=True)
    assert "to need 3.0 GiB" in why
    assert "set data.batch_size or model.image_size smaller" in why


def test_free_memory_is_some_of_what_the_machine_has(monkeypatch, tmp_path):
    assert 2**26 < free_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("1000\n")
    none.write_text("max\n")
    monkeypatch.setattr("edet.runtime.memory._CONTAINER_LIMITS", (str(none), str(limit)))
    assert free_memory() == 1000


def test_what_was_taken_at_most_until_now_is_told(monkeypatch):
    """64 MiB more, where counting begins anew: they are given back, and only the peak tells."""
    seen = []

    def take():
        if sys.platform == "linux":
            pathlib.Path("/proc/self/clear_refs").write_text("5")  # earlier tests took more
        seen.append(peaks_so_far())
        with tf.device("CPU:0"):
            tf.ones([2**24]) + 1.0
        with mmap.mmap(-1, 2**26) as pages:  # TensorFlow may have taken its 64 MiB before
            pages.write(b"x" * 2**26)
        seen.append(peaks_so_far())

    peak_memory(take, "CPU:0")
    before, after = seen
    assert after["process_mib"] > before["process_mib"] + 50 or sys.platform != "linux"
    if "device_mib" in after:
        assert after["device_mib"] > before["device_mib"] + 63

    def none(device):
        raise ValueError(f"Allocator stats not available for device '{device}'")

    monkeypatch.setattr(tf.config.experimental, "get_memory_info", none)
    assert list(peaks_so_far()) == ["process_mib"]
