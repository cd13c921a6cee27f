"""default < model < YAML < --set, and what happens to mistakes."""

import io
import json

import pytest
from rich.console import Console

from edet.config.loading import config_table, differences, load_config, save_config
from edet.config.schema import Config, ConfigError
from edet.config.sizes import as_dict, list_models
from edet.errors import UserError


def write(path, text):
    path.write_text(text)
    return path


def test_a_setting_that_looks_like_markup_is_printed_as_it_is():
    config = load_config("efficientdet-d0", None, ["data.train_records=set [/b] [v2]/train-*"])
    console = Console(file=io.StringIO(), width=200)
    console.print(config_table(config))
    assert "set [/b] [v2]/train-*" in console.file.getvalue()


def test_later_sources_win(tmp_path):
    yaml = write(tmp_path / "c.yaml", "model: {pyramid_width: 32}\ntrain: {epochs: 5, steps: 9}\n")
    config = load_config("efficientdet-d3", yaml, ["train.steps=11"])
    assert config.data.batch_size == Config().data.batch_size  # default
    assert config.model.backbone == "efficientnet-b3"  # model
    assert config.model.pyramid_width == 32  # YAML over model
    assert (config.train.epochs, config.train.steps) == (5, 11)  # --set over YAML


def test_a_yaml_that_lies_in_another_file_is_given_as_text():
    config = load_config(path="m.tflite", text="train: {steps: 9}\n")
    assert config == load_config(overrides=["train.steps=9"])
    with pytest.raises(ConfigError, match=r"config m\.tflite has train: 3"):
        load_config(path="m.tflite", text="train: 3")


def test_the_yaml_may_name_the_model(tmp_path):
    yaml = write(tmp_path / "c.yaml", "model: {name: efficientdet-lite2}\n")
    assert load_config(path=yaml).model.pyramid_width == 112


@pytest.mark.parametrize("name", list_models())
def test_what_is_saved_loads_as_the_same(name, tmp_path):
    config = load_config(name, overrides=["model.anchors.aspect_pairs=[[1, 1], [1.4, 0.7]]"])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(path=tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.num_clases=3", "did you mean model.num_classes"),
        ("modle.num_classes=3", "did you mean model"),
        ("model.anchors.scales=3", "did you mean model.anchors.scale"),
        ("model.num_classes=many", "model.num_classes"),
        ("train.steps=1.5", "train.steps is 1.5; it must be a whole number"),
        ("train.steps='3'", "train.steps is '3'; it must be a whole number"),
        ("train.steps=true", "train.steps is True; it must be a whole number"),
        ("train.learning_rate=true", "train.learning_rate is True; it must be a number"),
        ("detect.flip=maybe", "detect.flip is 'maybe'; it must be true or false"),
        ("model.mean_rgb=[1, 2]", r"mean_rgb is \[1, 2\]; it must be a list of 3 values"),
        ("loss.alpha=1.5", r"loss.alpha is 1.5; it must be in \[0, 1\]"),
        ("model.anchors=0", "model.anchors is 0, but it is a section"),
        ("train.steps=010", "--set 'train.steps=010': the value has 010 in line 1, .* for 8;"),
        ("model.image_size=1:30", "1:30 in line 1, which YAML takes for 90"),
        ("train.epochs=1:30.5", "1:30.5 in line 1, which YAML takes for 90.5"),
        ("train.steps=9223372036854775808", r"is 9223372036854775808; it must be below 2\^63"),
        ("train.learning_rate=1" + "0" * 400, "train.learning_rate is 1000"),
        ("train.drop_epochs=[1, 1" + "0" * 400 + "]", r"train.drop_epochs is \[1, 1000"),
        ("train.seed=2147483648", r"train.seed is 2147483648; it must be below 2\^31"),
        ("train.learning_rate=1e400", "rate is .1e400.; it must be a finite number"),
        ("loss.gamma=.inf", "loss.gamma is inf; it must be a finite"),
        ("train.drop_epochs=[1, .nan]", r"train.drop_epochs is \[1, nan\]; each must be a finite"),
        ("model.anchors.aspect_pairs=[[1, .inf]]", r"model.anchors.aspect_pairs is \[\[1, inf\]\]"),
        ("model.anchors.aspect_ratios=[1, -1]", "aspect_ratios is .*each must be positive"),
        ("model.anchors.aspect_ratios=[0]", "aspect_ratios is .*each must be positive"),
        ("model.activation=gelu", "model.activation"),
        ("model.anchors=3", "model.anchors"),
        ("train.freeze=backbone", r"freeze is 'backbone'; it must be a list: \[backbone\]"),
        ("train.freeze=[neck]", r"train.freeze is \['neck'\]; each must be 'backbone'"),
        ("model.image_size=0", "model.image_size is 0"),
        ("train.epochs=1e300", r"train.epochs is '1e300'; it must be below 2\^31"),
        ("train.warmup_epochs=2147483648", r"warmup_epochs is 2147483648; it must be below 2\^31"),
        ("train.drop_epochs=[1, 1e30]", r"drop_epochs is .*; each must be below 2\^31"),
        ("train.minutes=-1", "train.minutes is -1; it must not be negative"),
        ("train.batch_size=8", "no setting train.batch_size; did you mean data.batch_size"),
        ("model.scale=3", "no setting model.scale; did you mean model.anchors.scale"),
        ("model.name=my.yaml", r"'my.yaml' is no model; .* load_config\(path='my.yaml'\)"),
        ("augment.flip=true", "mean augment.horizontal_flip or augment.vertical_flip"),
        ("train.lr=1", r"no setting train.lr; did you mean train.learning_rate\?"),
        ("detect.threshold=1", r"iou_threshold or detect.score_threshold or detect.draw_threshold"),
        ("train.decay=1", r"did you mean train.adamw_decay or train.ema_decay\?"),
        ("train.grad_checkpoint=true", r"did you mean train.remat\?"),
        ("train.amp=true", r"did you mean train.precision\?"),
        ("export.half=true", r"did you mean export.precision\?"),
        ("train.conf=0.5", r"did you mean detect.score_threshold\?"),
        ("imgsz=640", r"did you mean model.image_size\?"),
        ("export.opset=11", r"no setting export.opset; export has format, precision, outputs, io,"),
        ("num_classes", "section.key=value"),
        ("batch_size=8", "section.key=value; did you mean data.batch_size"),
        ("model.labels=[a, b]", "map of ids to names"),
        ("model.labels={a: b}", "the id 'a'"),
        ("model.name=efficientdet-d9", "did you mean 'efficientdet-d"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(override, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(overrides=[override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["model: [", "- a", "model: 3"])
def test_a_yaml_that_is_none_is_named(text, tmp_path):
    with pytest.raises(ConfigError, match="c.yaml"):
        load_config(path=write(tmp_path / "c.yaml", text))


def test_sections_without_keys_change_nothing(tmp_path):
    text = "train:\n  # steps: 3\nmodel:\n  anchors:\n  labels:\n  segmentation:\n    labels:\n"
    assert load_config(path=write(tmp_path / "c.yaml", text)) == load_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: 3", r"config .*c\.yaml has train: 3; it must hold sections"),
        ("trian:", r"trian"),
        ("train:\n  steps:\n", r"train\.steps"),
    ],
)
def test_what_is_not_a_section_is_named(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        load_config(path=write(tmp_path / "c.yaml", text))


@pytest.mark.parametrize("name", ["5", "[a]", "{a: b}", "", "''"])
def test_a_name_of_a_model_that_is_no_text_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="model.name is .*; it must be text"):
        load_config(path=write(tmp_path / "c.yaml", f"model:\n  name: {name}\n"))


def test_a_section_that_is_there_twice_is_refused_with_its_lines(tmp_path):
    yaml = write(tmp_path / "c.yaml", "train: {steps: 3}\nmodel: {}\ntrain: {epochs: 2}\n")
    message = r"config .*c\.yaml has the key 'train' twice, in lines 1 and 3;"
    with pytest.raises(ConfigError, match=message):
        load_config(path=yaml)


def test_a_setting_may_replace_what_a_merge_key_brings(tmp_path):
    text = "data: {<<: {max_boxes: 5, batch_size: 3}, max_boxes: 6}\n"
    config = load_config(path=write(tmp_path / "c.yaml", text))
    assert (config.data.batch_size, config.data.max_boxes) == (3, 6)


def test_a_model_that_another_source_names_otherwise_is_refused_and_not_ignored(tmp_path):
    yaml = write(tmp_path / "c.yaml", "model: {name: efficientdet-lite0, num_classes: 3}\n")
    message = r"d1 is asked for, but config .*c\.yaml or --set has model\.name=efficientdet-lite0;"
    with pytest.raises(ConfigError, match=message):
        load_config("efficientdet-d1", yaml)
    with pytest.raises(
        ConfigError, match=r"d1 is asked for, but --set has model\.name=efficientdet-d0"
    ):
        load_config("efficientdet-d1", overrides=["model.name=efficientdet-d0"])
    assert load_config("efficientdet-lite0", yaml).model.name == "efficientdet-lite0"
    assert load_config("efficientdet-d1", write(tmp_path / "d.yaml", "")).model.pyramid_width == 88


def test_a_setting_exchanges_the_model_of_a_yaml(tmp_path):
    yaml = write(tmp_path / "c.yaml", "model: {name: efficientdet-lite0, num_classes: 3}\n")
    for model in (None, "efficientdet-d1"):
        config = load_config(model, yaml, ["model.name=efficientdet-d1"]).model
        assert (config.backbone, config.num_classes) == ("efficientnet-b1", 3)


def test_a_missing_yaml_is_named():
    with pytest.raises(UserError, match="nowhere.yaml"):
        load_config(path="nowhere.yaml")


def test_one_override_needs_no_list():
    assert load_config(overrides="train.steps=5").train.steps == 5


def test_numbers_with_exponents_are_numbers():
    assert load_config(overrides=["loss.weight_decay=1e-4"]).loss.weight_decay == 1e-4


@pytest.mark.parametrize(
    "text", ["*.tfrecord", "[ab]*", "no", "007", "1e5", "2024-02-31", "", "a: b", "run #2", "# 2"]
)
def test_text_after_set_needs_no_quotes_and_may_have_them(text):
    for written in (text, f'"{text}"', f"'{text}'", f" {text} "):
        config = load_config(overrides=[f"data.train_records={written}"])
        assert config.data.train_records == text


def test_labels_set_the_number_of_classes(tmp_path):
    labels = write(tmp_path / "labels.yaml", "7: ship\n3: buoy\n")
    config = load_config(overrides=[f"model.labels={labels}"])
    assert config.model.labels == {3: "buoy", 7: "ship"}
    assert config.model.num_classes == 2
    assert load_config(overrides=["model.labels=voc"]).model.num_classes == 20


def test_labels_that_disagree_with_the_number_of_classes_are_refused():
    with pytest.raises(ConfigError, match="names 2 classes"):
        load_config(overrides=["model.labels={1: a, 2: b}", "model.num_classes=3"])


@pytest.mark.parametrize("section", ["model", "model.segmentation"])
@pytest.mark.parametrize("name", ["???", "${oc.env:HOME}", "${", "a\\${b}", "no"])
def test_a_class_may_have_any_text_as_its_name(name, section, tmp_path):
    inline = json.dumps({"1": name, "2": "b"}).replace('"1"', "1").replace('"2"', "2")
    for labels in (inline, write(tmp_path / "labels.yaml", inline)):
        config = load_config(overrides=[f"{section}.labels={labels}"])
        save_config(config, tmp_path / "config.yaml")
        assert load_config(path=tmp_path / "config.yaml") == config
        labelled = config.model.segmentation if "segmentation" in section else config.model
        assert (labelled.labels, labelled.num_classes) == ({1: name, 2: "b"}, 2)


def test_labels_of_two_sources_are_not_mixed(tmp_path):
    yaml = write(tmp_path / "c.yaml", "model: {labels: {1: a, 2: b}}\n")
    config = load_config(path=yaml, overrides=["model.labels={5: e}"])
    assert config.model.labels == {5: "e"}


def test_a_configuration_saved_before_a_section_existed_still_loads(tmp_path):
    config = load_config("efficientdet-lite0", overrides=["data.batch_size=3"])
    sections = {key: value for key, value in as_dict(config).items() if key != "export"}
    # JSON is YAML
    assert load_config(path=write(tmp_path / "old.yaml", json.dumps(sections))) == config


def test_differences_name_key_and_both_values():
    old, new = (
        Config(),
        load_config(overrides=["train.recipe=paper", "train.steps=3", "model.anchors.scale=2"]),
    )
    assert differences(old, new) == [
        ("model.drop_connect_rate", 0.2, 0.0),  # D0 turns it off
        ("model.anchors.scale", 4.0, 2.0),
        ("train.steps", 0, 3),
    ]


def test_records_are_a_glob_or_a_list_of_globs_in_yaml_and_set(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data:\n  train_records: [cats, dogs/train-*, 'a, b']\n")
    config = load_config(path=path, overrides=["data.eval_records=[a, b/val-*]"])
    assert config.data.train_records == ("cats", "dogs/train-*", "a, b")
    assert config.data.eval_records == ("a", "b/val-*")
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(path=tmp_path / "saved.yaml") == config
    with pytest.raises(ConfigError, match=r"data.train_records is \[1\]; give a glob"):
        load_config(overrides=["data.train_records=[1]"])


def test_the_white_level_is_bounded():
    assert load_config(overrides=["model.white_level=4095"]).model.white_level == 4095
    with pytest.raises(ConfigError, match="model.white_level is 12; it must be 255 to 65535"):
        load_config(overrides=["model.white_level=12"])


def test_overrides_of_a_dict_are_said_to_be_texts():
    with pytest.raises(ConfigError, match=r"is a dict; give texts, such as \['train.epochs=3'\]"):
        load_config(overrides={"train.epochs": 3})
