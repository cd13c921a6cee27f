"""One configuration from its sources: default < model < released weights < YAML < --set.

OmegaConf merges and checks the types; a key that does not exist is refused with the nearest one.
Nothing else in edet imports OmegaConf: the rest sees frozen dataclasses.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Sequence
from typing import Any

import rich.markup
import rich.table
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from edet.config.labels import read_labels, read_mask_labels
from edet.config.schema import Config, ConfigError, parse_image_size, replace
from edet.config.sizes import as_dict, sized_config
from edet.config.yaml_text import parse_yaml
from edet.files import read_text, write_text


def load_config(
    model: str | None = None,
    path: str | os.PathLike | None = None,
    overrides: Sequence[str] = (),
    settings: Sequence[str] = (),
    text: str | None = None,
) -> Config:
    """Builds the configuration of an experiment.

    Args:
      model: a name of `list_models()`. Default: the YAML's `model.name`, otherwise efficientdet-d0.
      path: a YAML file that holds only what differs from the defaults; gs:// works, and so does
        the name of one that edet brings along (`find_config`).
      overrides: "section.key=value" strings, the value in YAML ("model.image_size=[256,320]").
      settings: such strings too, but weaker than the YAML: what released weights expect of the
        model (`edet.weights.zoo`).
      text: the YAML itself where it lies in another file, as in an exported one; `path` is then
        not read but named in errors.

    Returns:
      A frozen Config. Later sources win: default < model < settings < YAML < overrides.

    Raises:
      ConfigError: an unknown key (with the nearest known one), a wrong type, a name of the
        model that is not `model`, or a combination that cannot work; one sentence.
    """
    layers = [_parse_override(setting) for setting in settings]
    if path and text is None:
        text = read_text(find_config(path), "config")
    layers += [] if text is None else [_parse_layer(text, path)]
    layers += [_parse_override(override) for override in overrides]
    name = _last_name(layers) or model
    if model and name != model:
        where = f"config {path} or --set" if path else "--set"
        raise ConfigError(
            f"{model} is asked for, but {where} has model.name={name}; leave one of them out."
        )
    base = as_dict(sized_config(name or Config().model.name))
    labels, mask_labels = _take_labels(layers)
    _resolve_image_size(layers)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), base)
        for layer in layers:
            _check_keys(layer, base)
            merged = OmegaConf.merge(merged, layer)
        config = _freeze(OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", "") or ""
        text = str(error).splitlines()[0]
        raise ConfigError(f"{key}: {text}" if key and key not in text else text) from error
    segmentation = dataclasses.replace(config.model.segmentation, labels=mask_labels)
    return replace(config, model={"labels": labels, "segmentation": segmentation})


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


def _freeze(config: Config) -> Config:
    """Turns the lists that OmegaConf leaves inside tuples into tuples, so that equal is equal."""
    pairs = tuple(tuple(pair) for pair in config.model.anchors.aspect_pairs)
    object.__setattr__(config.model.anchors, "aspect_pairs", pairs)
    return config


def _parse_layer(text: str, path: str | os.PathLike | None) -> dict[str, Any]:
    """Returns the sections of a YAML text; `path` is where it comes from, for the errors."""
    layer = parse_yaml(text, f"config {path}")
    layer = _with_sections(layer, as_dict(Config()))
    if not isinstance(layer, dict):
        raise ConfigError(f"config {path} must hold sections such as 'model:' with keys below.")
    for key, value in layer.items():
        if not isinstance(value, dict):
            raise ConfigError(
                f"config {path} has {key}: {value!r}; it must hold sections such as 'model:' with "
                "keys below."
            )
    return layer


def _with_sections(value: Any, known: Any) -> Any:
    """Returns a layer in which sections without any key, which YAML reads as null, are empty."""
    if not isinstance(known, dict) or not isinstance(value, dict | None):
        return value
    return {key: _with_sections(each, known.get(key)) for key, each in (value or {}).items()}


def _parse_override(override: str) -> dict[str, Any]:
    """Turns "a.b=c" into {"a": {"b": c}}, with c read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or "." not in key:
        raise ConfigError(f"--set {override!r} is not of the form section.key=value.")
    value = _parse_value(key.strip(), text, f"--set {override!r}: the value")
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return value


def _parse_value(key: str, text: str, what: str) -> Any:
    """Reads the value of a setting; text needs no quotes, whatever YAML would take it for."""
    if isinstance(_flatten(as_dict(Config())).get(key), str):
        try:
            value = parse_yaml(text, what)
        except ConfigError:  # such as *.tfrecord
            return text.strip()
        return value if isinstance(value, str) else text.strip()
    value = parse_yaml(text, what)
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _take_labels(layers: Sequence[dict[str, Any]]) -> list[dict[int, str]]:
    """Takes the labels of boxes and of masks out of the layers; they set the number of classes.

    Names are any text, and OmegaConf would read "???" and "${...}" in them, so they pass it by.
    The last layer's labels replace the earlier ones whole: two maps are never mixed. A number of
    classes given after the labels, or beside them, must agree; the schema checks it.
    """
    taken = []
    models = [layer.get("model") or {} for layer in layers]
    heads = [model.get("segmentation") or {} for model in models]
    for sections, read in ((models, read_labels), (heads, read_mask_labels)):
        labelled = [s for s in sections if isinstance(s, dict) and "labels" in s]
        given = [section.pop("labels") for section in labelled]
        labels = read(given[-1]) if given else {}
        if labels:
            labelled[-1].setdefault("num_classes", len(labels))
        taken.append(labels)
    return taken


def _resolve_image_size(layers: Sequence[dict[str, Any]]) -> None:
    """Makes one number a [height, width] pair; a layer may hold either."""
    for layer in layers:
        model = layer.get("model") or {}
        if "image_size" in model:
            model["image_size"] = list(parse_image_size(model["image_size"]))


def _check_keys(layer: dict[str, Any], known: dict[str, Any], prefix: str = "") -> None:
    """Refuses unknown settings, values for sections, and numbers that no machine can hold."""
    for key, value in layer.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"there is no setting {prefix}{key}; did you mean {prefix}{near[0]}?")
        if isinstance(known[key], dict) and key != "labels":
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{prefix}{key} is {value!r}, but it is a section; set a key in it, such as "
                    f"{prefix}{key}.{next(iter(known[key]))}."
                )
            _check_keys(value, known[key], f"{prefix}{key}.")
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(each, int) and abs(each) >= 2**63 for each in numbers):
            raise ConfigError(f"{prefix}{key} is {value}; that is too large.")


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
    for key, value in _flatten(as_dict(config)).items():
        table.add_row(f"{key} *" if key in changed else key, rich.markup.escape(str(value)))
    return table


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and key != "labels":
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
