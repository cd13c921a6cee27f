"""Sections of settings that check themselves, and say in one sentence what cannot work.

A section is a pydantic dataclass: the type of each field declares its bounds, and every way to make
one (the constructor, `dataclasses.replace`, `load_config`) checks them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field

from edet.config.other_names import called_elsewhere
from edet.errors import UserError


class ConfigError(UserError):
    """A setting that cannot work."""


class FrozenConfigError(ConfigError, dataclasses.FrozenInstanceError):
    """A setting of a configuration that is made already; an AttributeError, as of any dataclass."""


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with a message unless a condition holds, as fields together need it."""
    if not condition:
        raise ConfigError(message)


def _read_number(value: Any) -> Any:
    """Returns the number that text holds, as YAML 1.1 reads 1e-3 as text; else the value itself."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


# Strict: neither true nor 1.0 is a whole number, and true is no number. 2^63: TensorFlow's int64;
# 2^31: more things than memory holds.
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
WholeNumber = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Number = Annotated[float, Field(strict=True), BeforeValidator(_read_number)]
Positive = Annotated[float, Field(strict=True, gt=0), BeforeValidator(_read_number)]
NotNegative = Annotated[float, Field(strict=True, ge=0), BeforeValidator(_read_number)]
# Epochs or minutes: of any number of steps, though in TensorFlow's int64.
Duration = Annotated[float, Field(strict=True, ge=0, lt=2**31), BeforeValidator(_read_number)]
Share = Annotated[float, Field(strict=True, ge=0, le=1), BeforeValidator(_read_number)]
ShareBelowOne = Annotated[float, Field(strict=True, ge=0, lt=1), BeforeValidator(_read_number)]


@typing.dataclass_transform(frozen_default=True)
def section(path: str = "") -> Callable[[type], type]:
    """Makes a class a frozen dataclass of settings whose constructor raises ConfigError.

    Args:
      path: where it is in the configuration, "model.anchors"; "" is the whole.
    """

    def decorate(cls: type) -> type:
        """Returns the class as a frozen dataclass that checks its fields."""
        config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
        cls = pydantic.dataclasses.dataclass(frozen=True, config=config)(cls)
        construct = cls.__init__

        @functools.wraps(construct)
        def __init__(self: Any, *values: Any, **settings: Any) -> None:
            try:
                construct(self, *values, **settings)
            except pydantic.ValidationError as error:
                given = dict(zip(cls.__pydantic_fields__, values, strict=False)) | settings
                raise ConfigError(_sentence(cls, path, error.errors()[0], given)) from error

        def __setattr__(self: Any, name: str, value: Any) -> None:
            setting = f"{path}.{name}" if path else f"{name}.KEY"
            raise FrozenConfigError(
                "a configuration is read, never edited; make another, as by edet.load_config(..., "
                f"overrides=['{setting}=VALUE'])."
            )

        cls.__init__, cls.__setattr__ = __init__, __setattr__
        return cls

    return decorate


def _sentence(cls: type, path: str, error: dict[str, Any], value: Any) -> str:
    """Says what is wrong with one setting below `path`: its key, its value and what to do.

    Args:
      cls: the class of the section at `path`.
      path: as of `section`.
      error: as pydantic describes it.
      value: the settings that were given, a tree of dicts.
    """
    kind, context, parts = error["type"], error.get("ctx", {}), error["loc"]
    keys = list(_keys(cls, f"{path}." if path else ""))
    if kind == "value_error":
        return str(context["error"])
    if isinstance(parts[0], int):  # a setting given by its place
        parts = (list(cls.__pydantic_fields__)[parts[0]], *parts[1:])
    for part in parts:
        # Of a list, which is shown whole, or one of the kinds that a value may have.
        if isinstance(part, int) or not hasattr(cls, "__pydantic_fields__"):
            break
        fields, prefix = cls.__pydantic_fields__, f"{path}." if path else ""
        path, value = f"{prefix}{part}", value[part]
        if part not in fields:
            near = difflib.get_close_matches(str(part), fields, n=1, cutoff=0.5)
            if meant := called(str(part), keys, prefix) or [prefix + key for key in near]:
                return f"there is no setting {path}; did you mean {' or '.join(meant)}?"
            section = prefix.rstrip(".") or "a configuration"
            return f"there is no setting {path}; {section} has {', '.join(fields)}."
        field = fields[part]
        cls = field.annotation
    if kind == "dataclass_type":
        key = next(iter(cls.__pydantic_fields__))
        return f"{path} is {value!r}, but it is a section; set a key in it, such as {path}.{key}."
    shown = list(value) if isinstance(value, tuple) else value
    subject = "each" if isinstance(parts[-1], int) and kind not in _LENGTHS else "it"
    advice = field.description or f"{subject} {_demand(kind, context, field)}"
    if advice == "it must be a list" and isinstance(value, str):
        advice += f": [{value}]"
    return f"{path} is {shown!r}; {advice}."


def called(name: str, keys: Iterable[str], prefix: str = "") -> list[str]:
    """Returns the settings that may be meant by a name: those of that name; else those that other
    detectors call so; else of these initials (lr); else the most similar one and those that it is a
    part of or ends in (threshold, num_epochs).

    Args:
      name: without a section.
      keys: "section.key" of all settings.
      prefix: the section in which the name was given, whose settings are likelier; "" or "train.".
    """
    last, theirs = {key: key.rpartition(".")[2] for key in keys}, called_elsewhere(name)
    here = [key for key in last if key.startswith(prefix)]
    for places in ([key for key in here if key == prefix + last[key]], here, [*last]):
        near = difflib.get_close_matches(name, {last[key] for key in places}, 1, 0.8)
        for is_meant in (
            lambda key, word: word == name,
            lambda key, word: key in theirs,
            lambda key, word: "_" in word and "".join(part[0] for part in word.split("_")) == name,
            lambda key, word, near=near: (
                word in near or f"_{name}_" in f"_{word}_" or name.endswith(f"_{word}")
            ),
        ):
            if meant := [key for key in places if is_meant(key, last[key])]:
                return sorted(meant, key=lambda key, near=near: last[key] not in near)
    return []


def _keys(cls: type, prefix: str = "") -> Iterator[str]:
    """Yields "section.key" of all settings of a section, and of those within."""
    for name, field in cls.__pydantic_fields__.items():
        yield prefix + name
        if hasattr(field.annotation, "__pydantic_fields__"):
            yield from _keys(field.annotation, f"{prefix}{name}.")


_LENGTHS = ("tuple_type", "missing", "too_long", "too_short")
_TYPES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text, in quotes where YAML takes it for something else",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
_BOUNDS = ("ge", "gt", "le", "lt")


def _demand(kind: str, context: dict[str, Any], field: Any) -> str:
    """Says what a value must be, by pydantic's kind of an error."""
    if kind in _TYPES:
        return _TYPES[kind]
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind in _LENGTHS:
        length = len(typing.get_args(field.annotation))
        several = Ellipsis in typing.get_args(field.annotation)
        return "must be a list" if several else f"must be a list of {length} values"
    if context.get("lt", 0) >= 2**31:
        return f"must be below 2^{int(context['lt']).bit_length() - 1}"
    limits = dict(context)
    for bound in field.metadata:
        limits |= {key: getattr(bound, key) for key in _BOUNDS if hasattr(bound, key)}
    low = limits.get("ge", limits.get("gt"))
    high = limits.get("le", limits.get("lt"))
    if low is not None and (high is None or high >= 2**31):
        if low == 0:
            return "must be positive" if "gt" in limits else "must not be negative"
        return f"must be at least {low}"
    left, right = "[" if "ge" in limits else "(", "]" if "le" in limits else ")"
    return f"must be in {left}{low}, {high}{right}"
