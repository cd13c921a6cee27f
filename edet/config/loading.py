"""One configuration from its sources: default < model < released weights < YAML < --set.

The sources are merged as they are; the schema then checks what came out.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import rich.markup
import rich.table
import yaml

from edet.config.checking import called
from edet.config.labels import read_labels, read_mask_labels
from edet.config.recipes import with_recipe
from edet.config.schema import Config, ConfigError
from edet.config.sizes import as_dict, sized_config
from edet.config.yaml_text import parse_yaml
from edet.files import read_text, write_text

_MAY_BE_LISTS = ("data.train_records", "data.eval_records")  # of text, or text


def load_config(
    model: str | None = None,
    path: str | os.PathLike | None = None,
    overrides: str | Sequence[str] = (),
    settings: Sequence[str] | None = None,
    text: str | None = None,
) -> Config:
    """Builds the configuration of an experiment.

    Args:
      model: a name of `list_models()`. Default: the YAML's `model.name`, otherwise efficientdet-d0.
      path: a YAML file that holds only what differs from the defaults; gs:// works, and so does
        the name of one that edet brings along (`find_config`).
      overrides: "section.key=value" strings, or one, the value in YAML
        ("model.image_size=[256,320]").
      settings: such strings too, but weaker than the YAML: what released weights expect of the
        model (`edet.weights.zoo`); None where there are none.
      text: the YAML itself where it lies in another file, as in an exported one; `path` is then
        not read but named in errors.

    Returns:
      A frozen Config. Later sources win: default < model < settings < YAML < overrides; the
      values of train.recipe stand just before the source that names it (`edet.config.recipes`).

    Raises:
      ConfigError: an unknown key (with the nearest known one), a wrong type, a name of the
        model that is not `model`, or a combination that cannot work; one sentence.
    """
    if path and text is None:
        text = read_text(find_config(path), "config")
    overrides = [overrides] if isinstance(overrides, str) else overrides
    if isinstance(overrides, Mapping):
        raise ConfigError("overrides is a dict; give texts, such as ['train.epochs=3'].")
    sources = [
        [_parse_override(setting) for setting in settings or ()],
        [] if text is None else [_parse_layer(text, path)],
        [_parse_override(override) for override in overrides],
    ]
    layers = list(itertools.chain(*sources))
    name = _last_name(layers) or model
    if model and name != model:
        where = f"config {path} or --set" if path else "--set"
        raise ConfigError(
            f"{model} is asked for, but {where} has model.name={name}; leave one of them out."
        )
    _read_label_maps(layers)
    sections = as_dict(sized_config(name or Config().model.name))
    for layer in with_recipe(sources, settings is not None):
        sections = _merge(sections, layer)
    return Config(**sections)


def _merge(under: dict[Any, Any], over: dict[Any, Any]) -> dict[str, Any]:
    """Returns the settings of two layers; sections without any key, null in YAML, change none."""
    merged = dict(under)
    for key, value in over.items():
        if isinstance(under.get(key), dict) and isinstance(value, dict | None) and key != "labels":
            value = _merge(under[key], value or {})
        merged[str(key)] = value
    return merged


def find_config(path: str | os.PathLike) -> str:
    """Returns where a YAML file lies: at `path`, or else in edet's own `configs/`.

    That folder is the repository's, and a wheel takes it along as edet/configs, so that
    "configs/coco/d0.yaml" means the same file from every folder.
    """
    path = os.fspath(path)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    brought = [os.path.join(home, path) for home in (package, os.path.dirname(package))]
    if path.startswith("configs/") and not os.path.exists(path):
        return next(filter(os.path.exists, brought), path)
    return path


def _last_name(layers: Sequence[dict[str, Any]]) -> str | None:
    """Returns the model's name in the last layer that has one."""
    models = [section for layer in layers if isinstance(section := layer.get("model"), dict)]
    names = [model["name"] for model in models if "name" in model]
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"model.name is {name!r}; it must be text, such as efficientdet-d0.")
    return names[-1] if names else None


def _parse_layer(text: str, path: str | os.PathLike | None) -> dict[str, Any]:
    """Returns the sections of a YAML text; `path` is where it comes from, for the errors."""
    where = f"config {path}" if path else "the configuration"
    layer = parse_yaml(text, where)
    sections = {} if layer is None else layer
    if not isinstance(sections, dict):
        raise ConfigError(f"{where} must hold sections such as 'model:' with keys below.")
    for key, value in sections.items():
        if not isinstance(value, dict | None):
            raise ConfigError(
                f"{where} has {key}: {value!r}; it must hold sections such as 'model:' with "
                "keys below."
            )
    return sections


def _parse_override(override: str) -> dict[str, Any]:
    """Turns "a.b=c" into {"a": {"b": c}}, with c read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or "." not in key:
        meant = settings_called(key) if equals else []
        advice = f"; did you mean {' or '.join(meant)}?" if meant else "."
        raise ConfigError(f"--set {override!r} is not of the form section.key=value{advice}")
    value = _parse_value(key.strip(), text, f"--set {override!r}: the value")
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return value


def _parse_value(key: str, text: str, what: str) -> Any:
    """Reads the value of a setting; text needs no quotes, whatever YAML would take it for."""
    if not isinstance(_flatten(as_dict(Config())).get(key), str):
        return parse_yaml(text, what)
    text = text.strip()
    try:
        value = parse_yaml(text, what)
    except ConfigError:  # such as *.tfrecord
        return text
    is_list = isinstance(value, list) and key in _MAY_BE_LISTS
    is_quoted = isinstance(value, str) and text[:1] in ('"', "'")
    return value if is_list or is_quoted else text


def _read_label_maps(layers: Sequence[dict[str, Any]]) -> None:
    """Reads the labels of boxes and of masks in the layers; they set the number of classes.

    The last layer's labels replace the earlier ones whole: two maps are never mixed. A number of
    classes given after the labels, or beside them, must agree; the schema checks it.
    """
    models = [layer.get("model") or {} for layer in layers]
    models = [model for model in models if isinstance(model, dict)]
    heads = [model.get("segmentation") or {} for model in models]
    for sections, read in ((models, read_labels), (heads, read_mask_labels)):
        labelled = [s for s in sections if isinstance(s, dict) and "labels" in s]
        given = [section.pop("labels") for section in labelled]
        if given and (labels := read(given[-1])):
            labelled[-1]["labels"] = labels
            labelled[-1].setdefault("num_classes", len(labels))


def save_config(config: Config, path: str | os.PathLike) -> None:
    """Writes the whole configuration as YAML; `load_config(path=...)` gives the same one back."""
    header = "# The resolved configuration of this run: default < model < YAML < --set.\n"
    write_text(path, header + yaml.safe_dump(as_dict(config), sort_keys=False))


def differences(old: Config, new: Config) -> list[tuple[str, Any, Any]]:
    """Returns (key, old value, new value) of every setting that differs."""
    before, after = _flatten(as_dict(old)), _flatten(as_dict(new))
    return [(key, before[key], after[key]) for key in after if before.get(key) != after[key]]


def config_table(config: Config) -> rich.table.Table:
    """Returns the settings as a table; those that differ from the defaults are marked."""
    changed = {key for key, _, _ in differences(Config(), config)}
    table = rich.table.Table(title="configuration (* differs from the default)")
    for heading in ("setting", "value"):
        table.add_column(heading, overflow="fold")
    for key, value in flat_settings(config).items():
        table.add_row(f"{key} *" if key in changed else key, rich.markup.escape(str(value)))
    return table


def flat_settings(config: Config) -> dict[str, Any]:
    """Returns {"section.key": value} of all settings."""
    return _flatten(as_dict(config))


def settings_called(name: str) -> list[str]:
    """Returns "section.key" of the settings that a name without a section may mean."""
    return called(name.strip().replace("-", "_"), flat_settings(Config()))


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and key != "labels":
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
