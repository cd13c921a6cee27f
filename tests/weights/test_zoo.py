"""The table of released weights: complete, usable as settings, and true to the networks."""

import pytest

from edet.config.loading import load_config
from edet.config.sizes import list_models
from edet.models.efficientnet import BACKBONES
from edet.weights.zoo import ZOO
from tests.models.test_efficientdet import RELEASED

DETECTORS = [name for name, release in ZOO.items() if not release.is_backbone]
# Of the ImageNet classifiers, head included: trainable parameters.
CLASSIFIERS = {
    "efficientnet-b0": 5_288_548, "efficientnet-b1": 7_794_184, "efficientnet-b2": 9_109_994,
    "efficientnet-b3": 12_233_232, "efficientnet-b4": 19_341_616, "efficientnet-b5": 30_389_784,
    "efficientnet-b6": 43_040_704, "efficientnet-b7": 66_347_960, "efficientnet-lite0": 4_652_008,
    "efficientnet-lite1": 5_416_680, "efficientnet-lite2": 6_092_072,
    "efficientnet-lite3": 8_197_096, "efficientnet-lite4": 13_006_568,
}  # fmt: skip


def test_nothing_released_is_missing():
    fixed = [f"efficientdet-d{phi}-640" for phi in (2, 3, 4, 5, 6)]
    advprop = [f"efficientdet-d{phi}-advprop" for phi in (0, 1, 2, 3, 4, 5)]
    assert list(ZOO) == [*list_models(), *fixed, *advprop, *CLASSIFIERS]
    assert all(name == release.name for name, release in ZOO.items())


def test_no_two_releases_share_a_file():
    assert len({release.url for release in ZOO.values()}) == len(ZOO)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("efficientdet-d0", "efficientdet/coco2/efficientdet-d0.tar.gz"),
        ("efficientdet-d7x", "efficientdet/coco2/efficientdet-d7x.tar.gz"),
        ("efficientdet-lite3x", "efficientdet/coco/efficientdet-lite3x.tgz"),
        ("efficientdet-d4-640", "efficientdet/coco640/efficientdet-d4-640.tar.gz"),
        ("efficientdet-d5-advprop", "efficientdet/advprop/efficientdet-d5.tar.gz"),
        ("efficientnet-b7", "efficientnet/ckptsaug/efficientnet-b7.tar.gz"),
        ("efficientnet-lite4", "efficientnet/lite/efficientnet-lite4.tar.gz"),
    ],
)
def test_urls_are_those_of_the_readmes(name, path):
    assert ZOO[name].url == f"https://storage.googleapis.com/cloud-tpu-checkpoints/{path}"


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detectors_settings_make_a_configuration(name):
    release = ZOO[name]
    model = load_config(release.model, overrides=release.settings).model
    default = load_config(release.model).model
    assert model.num_classes == 90
    lite = "lite" in name
    pairs = () if lite else ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
    assert model.anchors.aspect_pairs == pairs
    assert model.anchors.scale == default.anchors.scale  # only the aspects are replaced
    assert model.image_size == ((640, 640) if name.endswith("-640") else default.image_size)
    if name.endswith("-advprop"):  # black, white and the padding
        ends = [(v - model.mean_rgb[0]) / model.stddev_rgb[0] for v in (0, 255)]
        assert [*ends, model.padding] == [-1.0, 1.0, -1.0]
        assert model.pad_color == (0.0, 0.0, 0.0)
    else:
        assert model.mean_rgb[0] == (127.0 if lite else 123.675)
        assert model.padding == 0.0


@pytest.mark.parametrize("name", DETECTORS)
def test_published_parameters_and_multiply_adds_are_our_networks(name):
    release = ZOO[name]
    parameters, multiply_adds = RELEASED[release.model]
    # 0.05: rounded to 100,000. D7x has 77.15 million and is published as 77.0.
    allowed = 0.15 if name == "efficientdet-d7x" else 0.05
    assert release.parameters == pytest.approx(parameters / 1e6, abs=allowed)
    if release.multiply_adds is not None:  # D5 is published as 130, and has 135.7 billion
        allowed = 0.05 if release.model == "efficientdet-d5" else 0.01
        assert release.multiply_adds == pytest.approx(multiply_adds, rel=allowed)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_backbones_belong_to_detectors_and_have_the_published_size(name):
    release = ZOO[name]
    assert release.is_backbone
    assert release.model in BACKBONES
    assert release.settings == ()
    # From B3 on, the paper rounds to millions; B2 has 9.11 and is published as 9.2.
    whole = name in {f"efficientnet-b{phi}" for phi in (3, 4, 5, 6, 7)}
    allowed = 0.5 if whole else 0.1 if name == "efficientnet-b2" else 0.05
    assert release.parameters == pytest.approx(CLASSIFIERS[name] / 1e6, abs=allowed)


def test_ap_is_published_for_every_detector_and_no_backbone():
    for release in ZOO.values():
        aps = [ap for ap in (release.ap_test, release.ap_val) if ap is not None]
        assert bool(aps) != release.is_backbone
        assert all(26 < ap < 56 for ap in aps)
    assert (ZOO["efficientdet-d0"].ap_test, ZOO["efficientdet-d0"].ap_val) == (34.6, 34.3)
    assert (ZOO["efficientdet-d7x"].ap_test, ZOO["efficientdet-d7x"].epochs) == (
        55.1,
        600,
    )
    lite = ZOO["efficientdet-lite0"]
    assert (lite.ap_val, lite.ap_int8) == (26.41, 26.10)


def test_latencies_are_those_of_table_2_and_name_their_machine():
    """Both columns grow from D0 to D7x, and Titan V is the slower one throughout."""
    table = [ZOO[f"efficientdet-d{phi}"].latency for phi in (*range(8), "7x")]
    titan_v, v100 = zip(*(latency.values() for latency in table), strict=True)
    assert titan_v == (12, 16, 23, 37, 65, 128, 169, 232, 285)
    assert v100 == (10.2, 13.5, 17.7, 29.0, 42.8, 72.5, 92.8, 122, 153)
    assert [machine[:7] for machine in table[0]] == ["Titan V", "V100, f"]
    assert ZOO["efficientdet-lite0"].latency == {"a phone's CPU": 36.0}
    assert ZOO["efficientdet-d0-advprop"].latency == {}
