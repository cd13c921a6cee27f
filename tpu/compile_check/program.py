"""Reads the compiler's texts: the compiled program, and its reasons for refusing one.

A program is HLO as text, scheduled: the instructions of its entry run in the order of its lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64}
# %name = type opcode(operands), attributes
_INSTRUCTION = re.compile(r"^ *(?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
# dtype[dimensions]{order of dimensions, minor first : layout}
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_COMMENT = re.compile(r"/\*.*?\*/")
_OPERATIONS = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
# These results are their operands' memory by another name.
_VIEWS = ("bitcast", "while", "optimization-barrier", "all-reduce-done", "copy-done")


class Buffer(NamedTuple):
    """A stretch of a core's memory."""

    bytes: int  # with the padding of its tiles
    shape: str  # "bf16[4,256,256,32]"
    operation: str  # TensorFlow's name of what computes it; empty: unknown


def collectives(program: str) -> int:
    """Returns how many operations of a program exchange data between cores."""
    pattern = rf" (?:{'|'.join(_OPERATIONS)})(?:-start)?\("
    return len(re.findall(pattern, program))


def largest_buffers(program: str, count: int = 8) -> list[Buffer]:
    """Returns the largest buffers in HBM at the moment when all of them together are largest.

    A buffer lives from the instruction that makes it to the last one that reads it. What loops
    and branches keep inside of themselves is left out, and memory that the compiler gives to the
    next buffer early is counted for both; the compiler's own total is the one to trust.
    """
    buffers: list[Buffer] = []
    born: list[int] = []
    died: list[int] = []
    held: dict[str, list[int | None]] = {}  # name -> its buffers; None: not in HBM
    entry = program[program.index("\nENTRY ") :]
    for time, line in enumerate(entry.splitlines()):
        match = _INSTRUCTION.match(line)
        if not match:
            continue
        name, kind, opcode, rest = match.groups()
        operands = re.findall(r"%([^\s,()]+)", rest[: rest.find(")")])
        given = [held.get(operand, []) for operand in operands]
        for number in {number for group in given for number in group if number is not None}:
            died[number] = time
        found = re.search(r'op_name="([^"]*)"', rest)
        operation = found.group(1) if found else ""
        if opcode == "get-tuple-element":
            index = int(re.search(r"index=(\d+)", rest).group(1))
            held[name] = given[0][index : index + 1]
        elif opcode == "tuple":
            held[name] = [number for group in given for number in group]
        elif opcode in _VIEWS or _writes_into(name, kind, given, buffers):
            held[name] = given[0]
            for number in given[0]:
                if number is not None and not buffers[number].operation:
                    buffers[number] = buffers[number]._replace(operation=operation)
        else:
            held[name] = []
            for size, shape in _arrays(kind):
                held[name].append(len(buffers) if size else None)
                if size:
                    buffers.append(Buffer(size, shape, operation))
                    born.append(time)
                    died.append(time)
    return _at_peak(buffers, born, died)[:count]


def _writes_into(
    name: str, kind: str, given: list[list[int | None]], buffers: list[Buffer]
) -> bool:
    """Whether an instruction puts a slice into its first operand, which it does in place."""
    if "dynamic-update-slice" not in name or not given or len(given[0]) != 1:
        return False
    number = given[0][0]
    return number is not None and kind.startswith(buffers[number].shape)


def _at_peak(buffers: list[Buffer], born: list[int], died: list[int]) -> list[Buffer]:
    """Returns the buffers that live when most bytes do, largest first."""
    changes: dict[int, int] = {}
    for buffer, first, last in zip(buffers, born, died, strict=True):
        changes[first] = changes.get(first, 0) + buffer.bytes
        changes[last + 1] = changes.get(last + 1, 0) - buffer.bytes
    total, most, peak = 0, 0, 0
    for time in sorted(changes):
        total += changes[time]
        if total > most:
            most, peak = total, time
    living = (
        buffer
        for buffer, first, last in zip(buffers, born, died, strict=True)
        if first <= peak <= last
    )
    return sorted(living, key=lambda buffer: -buffer.bytes)


def _arrays(kind: str) -> Iterable[tuple[int, str]]:
    """Yields the bytes in HBM, 0 for another memory, and the shape of each array of a type."""
    for dtype, dimensions, order, layout in _ARRAY.findall(_COMMENT.sub("", kind)):
        sides = [int(side) for side in dimensions.split(",") if side]
        shape = f"{dtype}[{dimensions}]"
        space = re.search(r"S\((\d+)\)", layout)
        if space and space.group(1) != "0":
            yield 0, shape
            continue
        padded = [sides[int(axis)] for axis in order.split(",")] if order else sides[::-1]
        tile = re.search(r"T\(([\d,]+)\)", layout)
        if tile:
            # The tile lies over the minor dimensions; its own are written major first.
            for axis, side in enumerate(reversed(tile.group(1).split(","))):
                if axis < len(padded):
                    padded[axis] = math.ceil(padded[axis] / int(side)) * int(side)
        bits = _BITS.get(dtype) or int(re.sub(r"\D", "", dtype) or 8)
        yield max(1, math.prod(padded) * bits // 8), shape


def refusal(text: str) -> tuple[int, list[Buffer]]:
    """Returns the bytes that a refused program needs, and its largest buffers.

    Raises:
      ValueError: it was not refused for its size.
    """
    used = re.search(r"Ran out of memory in memory space hbm. Used ([\d.]+)([KMGT]?)", text)
    if not used:
        raise ValueError(text.splitlines()[0])
    parts = re.split(r"\n +\d+\. Size: ", text)[1:]
    return _bytes(*used.groups()), [_allocation(part) for part in parts]


def _allocation(text: str) -> Buffer:
    size = re.match(r"([\d.]+)([KMGT]?)", text)
    shape = re.search(r"Shape: \(?([a-z]\w*\[[\d,]*\])", text)
    operation = re.search(r'op_name="([^"]*)"', text)
    return Buffer(
        _bytes(*size.groups()),
        shape.group(1) if shape else "",
        operation.group(1) if operation else "",
    )


def _bytes(number: str, unit: str) -> int:
    return int(float(number) * _UNITS[unit])
