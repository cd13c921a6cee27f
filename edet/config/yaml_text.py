"""YAML as people write it: what PyYAML would pass over in silence is refused."""

from __future__ import annotations

import re
from typing import Any

import yaml

from edet.config.schema import ConfigError

_OTHERWISE = re.compile(r"[-+]?0[0-9_]+|.*:.*")  # YAML 1.1: octal and to the base of 60
_MERGE = "tag:yaml.org,2002:merge"  # the key "<<", which may come again


class _Loader(yaml.SafeLoader):
    """A SafeLoader that takes a key once, where PyYAML keeps the last and says nothing.

    And none of the numbers that mean another one than they look like.
    """

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Returns the next map of the text; raises ConfigError if a key is twice in it."""
        # Here a map still holds what is written in it; later "<<" adds keys that it may replace.
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                raise ConfigError(
                    f"has the key {key_node.value!r} twice, in lines {lines[key]} and {line}; "
                    "leave one of them out, or put what is below them together."
                )
            lines[key] = line
        return node

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        """Returns a value; a letter that JSON writes as two escapes, such as 😀, is one letter."""
        value = super().construct_scalar(node)
        if isinstance(value, str) and not value.isascii():
            units = value.encode("utf-16-le", "surrogatepass")
            value = units.decode("utf-16-le", "surrogatepass")
        return value

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Returns a number, unless 010 or 1:30 stands there, which would be 8 and 90."""
        is_whole = node.tag.endswith(":int")
        number = (self.construct_yaml_int if is_whole else self.construct_yaml_float)(node)
        if _OTHERWISE.fullmatch(node.value):
            raise ConfigError(
                f"has {node.value} in line {node.start_mark.line + 1}, which YAML takes for "
                f"{number}; write {number} for the number, or put text in quotes."
            )
        return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


# What PyYAML raises for a date such as 2024-02-31, a tag such as !!bool before another value, and
# thousands of brackets.
_NO_VALUE = (ValueError, KeyError, IndexError, AttributeError, RecursionError)


def parse_yaml(text: str, what: str) -> Any:
    """Returns what a YAML text holds.

    Args:
      text: the YAML.
      what: where it comes from, the first words of every error.

    Raises:
      ConfigError: it is not YAML, or a map in it has a key twice, or a number in it is written so
        that it means another one.
    """
    try:
        return yaml.load(text, _Loader)
    except ConfigError as error:
        raise ConfigError(f"{what} {error}") from error
    except (yaml.YAMLError, *_NO_VALUE) as error:
        raise ConfigError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
