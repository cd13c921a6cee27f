"""Which configuration a command runs with."""

import pytest

from edet.config.loading import differences, load_config, save_config
from edet.errors import UserError
from edet.workflows.configuration import run_config

OLD_ASPECTS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))


def test_released_weights_bring_their_model_and_settings():
    model = run_config("", None, None, [], weights="efficientdet-d2-640").model
    assert (model.name, model.image_size) == ("efficientdet-d2", (640, 640))
    assert model.anchors.aspect_pairs == OLD_ASPECTS


def test_weights_to_start_from_bring_theirs_too():
    overrides = ["train.init=efficientdet-d0-advprop", "model.num_classes=3"]
    model = run_config("", "efficientdet-d0", None, overrides).model
    assert model.num_classes == 3
    assert model.anchors.aspect_pairs == OLD_ASPECTS
    assert model.pad_color == (0.0, 0.0, 0.0)  # black: AdvProp pads before it scales to [-1, 1]


def test_the_yaml_and_set_are_stronger_than_released_settings(tmp_path):
    yaml = tmp_path / "c.yaml"
    yaml.write_text("model: {name: efficientdet-d2, image_size: 256, padding: 0.5}\n")
    model = run_config(
        "", None, str(yaml), ["model.padding=0.25"], weights="efficientdet-d2-640"
    ).model
    assert (model.image_size, model.padding) == ((256, 256), 0.25)
    assert model.anchors.aspect_pairs == OLD_ASPECTS


@pytest.mark.parametrize("weights", ["", "/best/ckpt-7"])
def test_a_run_as_weights_brings_its_configuration(tmp_path, weights):
    config = load_config("efficientdet-d1", overrides=["model.num_classes=3"])
    save_config(config, str(tmp_path / "config.yaml"))
    found = run_config("", None, None, ["model.padding=0.5"], weights=f"{tmp_path}{weights}").model
    assert (found.name, found.num_classes, found.padding) == ("efficientdet-d1", 3, 0.5)


def test_a_backbone_brings_nothing():
    plain = run_config("", "efficientdet-d1", None, [])
    started = run_config("", "efficientdet-d1", None, ["train.init=efficientnet-b1"])
    assert differences(plain, started) == [("train.init", "", "efficientnet-b1")]
    with pytest.raises(UserError, match="name a model"):
        run_config("", None, None, [], weights="efficientnet-b1")


def test_weights_that_are_not_there_are_named_and_no_model_is_asked_for(tmp_path):
    for path in (tmp_path / "mime", tmp_path / "mime" / "best" / "ckpt-7"):
        with pytest.raises(UserError, match=f"there are no weights at {path};"):
            run_config("", None, None, [], weights=str(path))
        with pytest.raises(UserError, match=f"there are no weights at {path};"):
            run_config(str(tmp_path), None, None, [], weights=str(path))


def test_weights_that_are_there_without_a_configuration_need_a_model(tmp_path):
    (tmp_path / "weights.h5").write_text("")
    with pytest.raises(UserError, match="weights.h5 brings no configuration along; name a model"):
        run_config("", None, None, [], weights=str(tmp_path / "weights.h5"))


@pytest.mark.parametrize("folder", ["saved_model", "saved_model/1"])
def test_a_saved_model_of_another_origin_as_weights_is_called_one(tmp_path, folder):
    for inside in ("assets", "variables"):
        (tmp_path / "saved_model" / "1" / inside).mkdir(parents=True)
    (tmp_path / "saved_model" / "1" / "saved_model.pb").write_text("")
    message = r"saved_model/1 has no assets.extra/edet.json: it was not written by --mode=export"
    with pytest.raises(UserError, match=message):
        run_config("", None, None, [], weights=str(tmp_path / folder))
