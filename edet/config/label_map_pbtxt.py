"""The label map of the TF Object Detection API, label_map.pbtxt, read by protobuf itself."""

from __future__ import annotations

import functools

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

from edet.config.schema import ConfigError

_ITEM = descriptor_pb2.FieldDescriptorProto


@functools.cache
def _label_map() -> type[Message]:
    """StringIntLabelMap of object_detection/protos, with the fields that name a class."""
    file = descriptor_pb2.FileDescriptorProto(name="label_map.proto", package="edet")
    item = file.message_type.add(name="Item")
    for number, name in ((1, "name"), (3, "display_name")):
        item.field.add(name=name, number=number, type=_ITEM.TYPE_STRING, label=_ITEM.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=_ITEM.TYPE_INT32, label=_ITEM.LABEL_OPTIONAL)
    whole = file.message_type.add(name="LabelMap")
    whole.field.add(
        name="item", number=1, type=_ITEM.TYPE_MESSAGE, type_name=".edet.Item",
        label=_ITEM.LABEL_REPEATED,
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("edet.LabelMap"))


def parse_pbtxt(text: str, what: str) -> dict[int, str]:
    """Returns {id: name} of a label map; its display names, where it has them.

    Args:
      text: protobuf text, `item { id: 1 name: 'cat' }` for each class.
      what: where it comes from, the first words of every error.

    Raises:
      ConfigError: it is another text, an item has no id or name, or an id is there twice.
    """
    try:
        # Unknown fields are those of keypoints, hierarchies and frequencies.
        parsed = text_format.Parse(text, _label_map()(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ConfigError(f"{what} is no label map of protobuf text: {error}.") from error
    labels: dict[int, str] = {}
    for item in parsed.item:
        name = item.display_name or item.name
        if not item.HasField("id") or not name:
            raise ConfigError(f"{what} has an item without id or name: {{{str(item).strip()}}}.")
        if item.id in labels:
            raise ConfigError(
                f"{what} has the id {item.id} twice, for {labels[item.id]!r} and {name!r}."
            )
        labels[item.id] = name
    if not labels:
        raise ConfigError(f"{what} has no item; a class is `item {{ id: 1 name: 'cat' }}`.")
    return labels
