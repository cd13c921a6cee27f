"""HLO in, an account of the compiled program out: the TPU compiler inside libtpu, without a TPU.

  python -m tpu.compile_check.compile FOLDER

FOLDER holds `step.hlo` and `job.json` with "topology", "replicas", "donated" and "dump". The
compiler's answer goes to `answer.json` there, first what is known of the cores alone, and the
program, if it compiled, to `program.txt`. With "dump", the compiler writes what it is about into
`dump/` as it goes.

It imports nothing of edet: TensorFlow's libtpu and jax's cannot live in one process.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import sys
import time
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jax._src.interpreters import mlir
from jax._src.lib import _jax, xla_client
from jax.experimental import topologies
from jaxlib.mlir import ir

_MOST_ARGUMENTS = 3000  # more have to come as one tuple: the compiler takes some 3300 of them
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def find_cores(topology: str, replicas: int) -> tuple[dict[str, Any], list[Any]]:
    """Returns what answer.json tells of the cores, and those that run the step; none if too few.

    Args:
      topology: a name that libtpu knows, such as "v3:2x2" (chips; a v3 chip has two cores).
      replicas: cores that run the step; the first ones of the topology.
    """
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except (RuntimeError, ValueError) as error:
        return {"unknown_topology": str(error).splitlines()[0]}, []
    answer = {"device": devices[0].device_kind, "cores": len(devices), "hbm": hbm_bytes(devices[0])}
    return answer, devices[:replicas] if replicas <= len(devices) else []


def compile_step(
    hlo: bytes, devices: list[Any], donated: list[list[int]], dump: str = ""
) -> tuple[dict[str, Any], str]:
    """Compiles a replicated step.

    Args:
      hlo: serialised HloModuleProto of one replica.
      devices: a core for each replica.
      donated: pairs of an argument and the result that may have its memory.
      dump: a folder for the compiler's own accounts; empty: none.

    Returns:
      What answer.json says of the step, and the text of the compiled program, empty if it was
      refused.
    """
    options = xla_client.CompileOptions()
    replicas = len(devices)
    options.num_replicas = options.executable_build_options.num_replicas = replicas
    assignment = xla_client.DeviceAssignment.create(np.array([[d.id] for d in devices]))
    options.device_assignment = options.executable_build_options.device_assignment = assignment
    if dump:
        options.env_option_overrides = [("xla_dump_to", dump), ("xla_dump_hlo_as_text", True)]
    start = time.monotonic()
    try:
        with mlir.make_ir_context():
            module = _module(hlo, donated)
            options.parameter_is_tupled_arguments = len(_main(module).type.inputs) > _MOST_ARGUMENTS
            executable = devices[0].client.compile(
                module,
                executable_devices=xla_client.DeviceList(tuple(devices)),
                compile_options=options,
            )
    except jax.errors.JaxRuntimeError as error:
        return {"seconds": time.monotonic() - start, "refused": str(error)}, ""
    answer = {"seconds": time.monotonic() - start}
    memory, cost = executable.get_compiled_memory_stats(), executable.cost_analysis()
    for name in ("argument", "output", "alias", "temp", "generated_code"):
        answer[name] = getattr(memory, f"{name}_size_in_bytes")
    answer["peak"] = memory.peak_memory_in_bytes
    answer["flops"], answer["bytes_moved"] = cost["flops"], cost["bytes accessed"]
    return answer, executable.hlo_modules()[0].to_string()


def _module(hlo: bytes, donated: list[list[int]]) -> ir.Module:
    """Turns HLO into the module that the compiler takes, with the memory of arguments given away.

    TensorFlow updates variables in place; in the pure step they are arguments and results.
    """
    module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
    main = _main(module)
    results = dict(donated)
    index = ir.IntegerType.get_signless(32)
    attributes = []
    for argument, kind in enumerate(main.type.inputs):
        alias = {}
        if argument in results:
            if main.type.results[results[argument]] != kind:
                raise ValueError(f"argument {argument} is {kind}, its result is of another type.")
            alias["tf.aliasing_output"] = ir.IntegerAttr.get(index, results[argument])
        attributes.append(ir.DictAttr.get(alias))
    main.arg_attrs = ir.ArrayAttr.get(attributes)
    return module


def _main(module: ir.Module) -> ir.Operation:
    return next(op for op in module.body.operations if op.attributes["sym_name"].value == "main")


def hbm_bytes(device: Any) -> int:
    """Returns the memory that a program may use on a core, which the compiler alone knows.

    It says so when it refuses: here a program with arguments of 512 GiB.
    """
    mesh = jax.sharding.Mesh(np.array([device]), ("core",))
    here = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    large = jax.ShapeDtypeStruct((2**15, 2**16), np.float32, sharding=here)  # 8 GiB
    try:
        jax.jit(lambda arrays: [x[0, 0] for x in arrays]).lower([large] * 64).compile()
    except jax.errors.JaxRuntimeError as error:
        number, unit = re.search(r"Used \S+ of ([\d.]+)([KMGT]?) hbm", str(error)).groups()
        return int(float(number) * _UNITS[unit])
    raise RuntimeError(f"{device.device_kind} took 512 GiB; make the program larger.")


def main(folder: str) -> None:
    """Compiles the job in a folder."""
    place = pathlib.Path(folder)
    job = json.loads((place / "job.json").read_text())
    answer, devices = find_cores(job["topology"], job["replicas"])
    (place / "answer.json").write_text(json.dumps(answer))
    if devices:
        dump = str(place / "dump") if job["dump"] else ""
        more, program = compile_step(
            (place / "step.hlo").read_bytes(), devices, job["donated"], dump
        )
        (place / "program.txt").write_text(program)
        (place / "answer.json").write_text(json.dumps(answer | more))


if __name__ == "__main__":
    main(*sys.argv[1:])
