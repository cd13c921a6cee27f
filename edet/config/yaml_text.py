"""YAML as people write it: what PyYAML would pass over in silence is refused."""

from __future__ import annotations

from typing import Any

import yaml

from edet.config.schema import ConfigError

_MERGE = "tag:yaml.org,2002:merge"  # the key "<<", which may come again


class _Loader(yaml.SafeLoader):
    """A SafeLoader that takes a key once; of two, PyYAML keeps the last and says nothing."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
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


def parse_yaml(text: str, what: str) -> Any:
    """Returns what a YAML text holds.

    Args:
      text: the YAML.
      what: where it comes from, the first words of every error.

    Raises:
      ConfigError: it is not YAML, or a map in it has a key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except ConfigError as error:
        raise ConfigError(f"{what} {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise ConfigError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
