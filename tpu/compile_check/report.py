"""What the compiler said, in words: one row of results, what to set, and the table of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edet.config.schema import Config
from tpu.compile_check.program import Buffer, collectives, largest_buffers, refusal

GIB, MIB = 2**30, 2**20
# The share of a core's HBM that may have been given out for a step to be called fitting before it
# is compiled to the end. The program itself comes on top, 1 to 2 % where a core is nearly full.
USABLE = 0.96
Row = dict[str, Any]


def batch_key(step: str) -> str:
    """Returns which setting of `data` is the batch size of a step."""
    return "batch_size" if step == "train" else "eval_batch_size"


def make_row(
    config: Config, step: str, job: Mapping[str, Any], answer: Mapping[str, Any], program: str,
    layers: Sequence[str],
) -> Row:  # fmt: skip
    """Returns what is known of one compilation, as JSON holds it.

    Args:
      config: batch sizes are those of all replicas.
      step: "train" or "eval".
      job: "topology", "replicas" and "precision".
      answer: what `compile.find_cores` and `compile_step` returned; or, of one that was stopped
        there, how many bytes it had "given_out".
      program: text of the compiled program; empty if it was refused.
      layers: names of the network's layers, to find them in the compiler's texts.
    """
    batch = getattr(config.data, batch_key(step))
    training = {"remat": config.train.remat, "micro_batches": config.train.micro_batches}
    row = {
        "model": config.model.name,
        "step": step,
        "topology": job["topology"],
        "device": answer["device"],
        "replicas": job["replicas"],
        "batch_size": batch,
        "images_per_core": batch // job["replicas"],
        "image_size": list(config.model.image_size),
        "precision": job["precision"],
        **(training if step == "train" else {}),
        "compiled": "refused" not in answer,
        "hbm_bytes": answer["hbm"],
    }
    if "refused" in answer:
        row["needed_bytes"], buffers = refusal(answer["refused"])
    else:
        row |= _given_out(answer) if "given_out" in answer else _compiled(answer)
        row["collectives"] = collectives(program)
        buffers = largest_buffers(program)
    if not row["compiled"]:
        row["advice"] = advice(row)
    row["largest_buffers"] = [_described(buffer, layers) for buffer in buffers]
    return row | {"compile_seconds": round(answer["seconds"])}


def _given_out(answer: Mapping[str, Any]) -> Row:
    """Returns what is known of a step whose compiler was stopped."""
    given_out = answer["given_out"]
    is_enough = given_out <= USABLE * answer["hbm"]
    return {"memory_only": True, "needed_bytes": given_out, "compiled": is_enough}


def _compiled(answer: Mapping[str, Any]) -> Row:
    """Returns what is known of a step that was compiled to the end."""
    parts = ("argument", "output", "alias", "temp", "generated_code")
    return {
        "needed_bytes": needed_bytes(answer),
        **{f"{name}_bytes": answer[name] for name in parts},
        "flops": answer["flops"],
        "bytes_moved": answer["bytes_moved"],
    }


def needed_bytes(answer: Mapping[str, int]) -> int:
    """Returns the most HBM that a compiled step can take of a core.

    Arguments and results that share their memory count once. The program itself lies there too. It
    is too much by the gaps between temporaries, which the compiler's statistics count twice, so
    that a step may be accepted whose sum is more than the core has.
    """
    results = answer["output"] - answer["alias"]
    return answer["argument"] + results + answer["temp"] + answer["generated_code"]


def advice(row: Row) -> list[str]:
    """Returns what to set so that a step fits, gentlest first."""
    found, replicas, images = [], row["replicas"], row["images_per_core"]
    parts = row.get("micro_batches", 1)
    if row["precision"] != "bfloat16":
        found.append("train.precision=bfloat16 halves the activations")
    if row["step"] == "train" and not row["remat"]:
        found.append("train.remat=true keeps the blocks' outputs only and computes the rest again")
    at_once = images // parts
    if at_once > 1:
        # Weights and the program do not shrink with the images, so this may be a few too many.
        usable = row["hbm_bytes"] * (USABLE if row.get("memory_only") else 1)
        fewer = max(1, min(at_once - 1, int(at_once * usable / row["needed_bytes"])))
        key = batch_key(row["step"])
        found.append(
            f"data.{key}={fewer * parts * replicas} is {fewer * parts} instead of {images} images "
            f"a core; {images * replicas} need {-(-at_once // fewer)} times as many cores"
        )
        if row["step"] == "train":
            more = next(n for n in range(1, images + 1) if not images % n and images // n <= fewer)
            found.append(
                f"train.micro_batches={more} keeps the batch and works through a core's images "
                f"{images // more} at a time"
            )
    return found or ["a smaller model.image_size, or a TPU with more memory a core"]


def words(operation: str, layers: Sequence[str]) -> str:
    """Says which layer an operation of TensorFlow's name belongs to.

    >>> words("gradient_tape/backbone.stem_conv_1/convolution", ["backbone.stem_conv"])
    'gradient of backbone.stem_conv (convolution)'
    """
    if not operation:
        return "put there by the compiler"
    if operation == "XLA_Args":
        return "argument: weights, their averages and velocities, or images"
    parts = operation.split("/")
    is_gradient = "gradient_tape" in parts
    parts = [part for part in parts if part != "gradient_tape"]
    prefix = "gradient of " if is_gradient else ""
    for place, part in enumerate(parts):
        # A layer that is called again gets a number behind its name.
        owners = [name for name in layers if part == name or part.startswith(f"{name}_")]
        if owners:
            rest = "/".join(parts[place + 1 :])
            return f"{prefix}{max(owners, key=len)}" + (f" ({rest})" if rest else "")
    return f"{prefix}{'/'.join(parts)}, outside the network"


def _described(buffer: Buffer, layers: Sequence[str]) -> Row:
    return {
        "bytes": buffer.bytes, "shape": buffer.shape, "what": words(buffer.operation, layers),
    }  # fmt: skip


def describe(row: Row) -> str:
    """Returns a row as a paragraph for the terminal."""
    verdict = "compiled" if row["compiled"] else "REFUSED"
    if row.get("memory_only"):
        verdict = "fits" if row["compiled"] else "DOES NOT FIT"
    lines = [
        f"{_name(row)}: {verdict} for {row['replicas']} cores of {row['device']} "
        f"({row['topology']}), {row['images_per_core']} images a core",
        f"  HBM a core    {_needed(row)} GiB of {row['hbm_bytes'] / GIB:.2f}",
    ]
    if row.get("memory_only"):
        lines.append("                without the program, which compiling to the end adds")
    elif row["compiled"]:
        lines += [
            f"                arguments {row['argument_bytes'] / MIB:,.0f} MiB, temporary "
            f"{row['temp_bytes'] / MIB:,.0f}, program {row['generated_code_bytes'] / MIB:,.0f}",
            f"  work a core   {row['flops'] / 1e9:,.1f} GFLOP, "
            f"{row['bytes_moved'] / GIB:,.2f} GiB moved, {row['collectives']} collectives",
        ]
    lines.append("  largest buffers at the peak")
    lines += [
        f"    {buffer['bytes'] / MIB:8,.1f} MiB  {buffer['shape']}  {buffer['what']}"
        for buffer in row["largest_buffers"]
    ]
    lines += [f"  what to set   {line}" for line in row.get("advice", [])]
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    """Returns all rows as a Markdown table, in their order."""
    lines = [
        "| step | cores | images a core | HBM a core, GiB | of | GFLOP a core | GiB moved "
        "| collectives | largest buffer |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        needed = f"{row['needed_bytes'] / GIB:.2f}"
        if row.get("memory_only"):
            needed = f"{needed} + program"
        if not row["compiled"]:
            why = "too much" if row.get("memory_only") else "refused"
            needed = f"**{needed}: {why}**"
        work = ("–", "–")
        if "flops" in row:
            work = (f"{row['flops'] / 1e9:,.0f}", f"{row['bytes_moved'] / GIB:,.1f}")
        largest = row["largest_buffers"][:1]
        cells = (
            _name(row), f"{row['replicas']} x {row['device']}", str(row["images_per_core"]), needed,
            f"{row['hbm_bytes'] / GIB:.2f}", *work, str(row.get("collectives", "–")),
            f"{largest[0]['bytes'] / MIB:,.0f} MiB: {largest[0]['what']}" if largest else "–",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    for versions in sorted({_versions(row) for row in rows}):
        dates = sorted({row["date"] for row in rows if _versions(row) == versions})
        lines += [
            "",
            f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} with {versions}.",
        ]
    return "\n".join(lines)


def largest_table(rows: Sequence[Row]) -> str:
    """Returns how many images fit a core, as a Markdown table of the models that have a limit.

    The limit of a model lies between the most images that fit and the fewest that do not, with
    train.remat and without.
    """
    rows = [
        row for row in rows
        if row["step"] == "train" and row["precision"] == "bfloat16" and row["micro_batches"] == 1
    ]  # fmt: skip
    lines = ["| images a core | fit | do not | remat: fit | do not |", "|---|--:|--:|--:|--:|"]
    for name in dict.fromkeys(f"{_model(row)}, {row['device']}" for row in rows):
        cells = [name]
        for remat in (False, True):
            same = [row for row in rows if f"{_model(row)}, {row['device']}" == name]
            same = [row for row in same if row["remat"] == remat]
            fitting = [row["images_per_core"] for row in same if row["compiled"]]
            refused = [row["images_per_core"] for row in same if not row["compiled"]]
            cells += [str(max(fitting, default=0)), str(min(refused))] if refused else ["–", "–"]
        if cells[1:] != ["–"] * 4:
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _needed(row: Row) -> str:
    """Returns the GiB of a core; of what is compiled to the end it is a bound."""
    is_bound = row["compiled"] and not row.get("memory_only")
    return f"{'at most ' if is_bound else ''}{row['needed_bytes'] / GIB:.2f}"


def _model(row: Row) -> str:
    model = row["model"].removeprefix("efficientdet-")
    return model[0].upper() + model[1:]


def _name(row: Row) -> str:
    parts = [_model(row), row["step"]]
    if row.get("remat"):
        parts.append("remat")
    if row.get("micro_batches", 1) > 1:
        parts.append(f"{row['micro_batches']} micro-batches")
    if row["precision"] != "bfloat16":
        parts.append(row["precision"])
    return " ".join(parts)


def _versions(row: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in row["versions"].items())
