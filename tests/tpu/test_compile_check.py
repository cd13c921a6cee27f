"""The compiler's texts are read rightly and put into words; and a whole step compiles."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata

import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.input.pipeline import make_train_dataset
from edet.input.windows import make_window_dataset
from edet.models.efficientdet import build_network
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.conftest import REPOSITORY
from tests.small import small_model
from tpu.compile_check import __main__ as command
from tpu.compile_check import results
from tpu.compile_check.__main__ import CompilerCrashed, check, configured
from tpu.compile_check.emit import evaluation, evaluation_batch, training_batch
from tpu.compile_check.program import Buffer, collectives, largest_buffers, refusal
from tpu.compile_check.report import describe, largest_table, make_row, table, words

LAYERS = ["backbone.stem_conv", "backbone.stem_conv_2", "class_head.conv0"]
MIB = 2**20

# As libtpu 0.0.30 prints a scheduled program for TPU v3, shortened. 128 x 128 float32 are 64 KiB.
PROGRAM = """HloModule step, is_scheduled=true

%inside.1 (p: f32[512,512]) -> f32[512,512] {
  %p = f32[512,512]{1,0:T(8,128)} parameter(0)
  ROOT %huge = f32[512,512]{1,0:T(8,128)} negate(%p)
}

ENTRY %main.9 (XLA_Args.1: f32[128,128]) -> f32[128,128] {
  %XLA_Args.1 = f32[128,128]{1,0:T(8,128)} parameter(0), metadata={op_name="XLA_Args"}
  %big.1 = f32[512,512]{1,0:T(8,128)} fusion(%XLA_Args.1), kind=kLoop, calls=%inside.1
  %scratch = f32[4096,4096]{1,0:T(8,128)S(1)} copy(%XLA_Args.1)
  %pair = (f32[128,128]{1,0:T(8,128)}, /*index=1*/bf16[4,64,64,3]{3,2,1,0:T(8,128)(2,1)}) \
fusion(%big.1), kind=kOutput, metadata={op_name="backbone.stem_conv_1/convolution" source_line=1}
  %kept = bf16[4,64,64,3]{3,2,1,0:T(8,128)(2,1)} get-tuple-element(%pair), index=1
  %view = bf16[16384,3]{1,0:T(8,128)(2,1)} bitcast(%kept)
  %sum = f32[65]{0:T(256)} all-reduce(%XLA_Args.1), replica_groups={{0,1}}, to_apply=%add
  %sums = (f32[65]{0:T(256)}, f32[9]{0:T(256)}) all-reduce(%sum, %sum), replica_groups={{0,1}}
  %again = f32[256,256]{1,0:T(8,128)} fusion(%sum), kind=kLoop, \
metadata={op_name="gradient_tape/class_head.conv0_7/depthwise"}
  ROOT %last = f32[128,128]{1,0:T(8,128)} fusion(%again, %view), kind=kLoop
}
"""

REFUSAL = """RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. \
Ran out of memory in memory space hbm. Used 45.52G of 15.48G hbm. Exceeded hbm capacity by 30.04G.

Total hbm usage >= 46.04G:
    reserved        530.01M

  Largest program allocations in hbm:

  1. Size: 16.00G
     Operator: op_name="backbone.stem_conv_1/convolution" source_file="ops.py" source_line=11
     Shape: f32[512,512,512,32]{0,3,2,1:T(8,128)}
     Unpadded size: 16.00G
     ==========================

  2. Size: 1.5M
     Operator: op_name="sort"
     Shape: (f32[4,2]{1,0:T(8,128)}, s32[4,2]{1,0:T(8,128)})
     ==========================
"""

ANSWER = {
    "device": "TPU v3", "cores": 8, "hbm": 16 * 2**30, "seconds": 12.4, "argument": 100 * MIB,
    "output": 90 * MIB, "alias": 80 * MIB, "temp": 900 * MIB, "generated_code": 40 * MIB,
    "peak": 990 * MIB, "flops": 67e9, "bytes_moved": 3.0 * 2**30,
}  # fmt: skip


def row_of(answer=ANSWER, program=PROGRAM, step="train", **settings):
    config = configured(None, None, [f"{k}={v}" for k, v in settings.items()], 32, None)
    job = {"topology": "v3:2x2", "replicas": 8, "precision": "bfloat16"}
    return make_row(config, step, job, answer, program, LAYERS)


def test_the_buffers_at_the_peak_are_those_that_still_have_a_reader():
    """%big dies at %pair, where 64 + 1024 + 64 + 4096 KiB live: that is the peak."""
    found = largest_buffers(PROGRAM)
    assert [buffer.bytes // 1024 for buffer in found] == [4096, 1024, 64, 64]
    assert found[0] == Buffer(4096 * 1024, "bf16[4,64,64,3]", "backbone.stem_conv_1/convolution")
    assert found[1].shape == "f32[512,512]"


def test_channels_that_do_not_fill_a_tile_are_counted_as_if_they_did():
    """3 channels of bfloat16 take the place of 128: 4 x 64 x 64 x 128 x 2 bytes."""
    assert largest_buffers(PROGRAM, 1)[0].bytes == 4 * 64 * 64 * 128 * 2


def test_memory_on_the_chip_and_inside_fusions_is_not_hbm():
    assert all("4096" not in buffer.shape for buffer in largest_buffers(PROGRAM, 99))
    assert sum(buffer.shape == "f32[512,512]" for buffer in largest_buffers(PROGRAM, 99)) == 1


def test_a_view_keeps_the_buffer_under_it_alive():
    """Were %kept to die at %view, the peak would still be, but not hold, at the end."""
    end = PROGRAM[: PROGRAM.index("  %big.1")] + PROGRAM[PROGRAM.index("  %pair") :]
    shapes = [buffer.shape for buffer in largest_buffers(end)]
    assert shapes[:2] == ["bf16[4,64,64,3]", "f32[256,256]"]


def test_sums_over_cores_are_counted_once_each_however_many_tensors_they_hold():
    assert collectives(PROGRAM) == 2
    assert collectives(PROGRAM.replace("all-reduce(", "all-reduce-start(")) == 2
    assert collectives("%x = f32[] add(%all-reduce.1, %all-reduce.2)") == 0


def test_a_refusal_tells_what_it_needed_and_its_largest_buffers():
    needed, buffers = refusal(REFUSAL)
    assert needed == int(45.52 * 2**30)
    assert buffers[0] == Buffer(
        16 * 2**30, "f32[512,512,512,32]", "backbone.stem_conv_1/convolution"
    )
    assert buffers[1] == Buffer(int(1.5 * MIB), "f32[4,2]", "sort")


def test_a_refusal_for_another_reason_is_not_taken_for_one_of_memory():
    with pytest.raises(ValueError, match="Unsupported"):
        refusal("INTERNAL: Unsupported custom call\nmore")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("backbone.stem_conv_1/convolution", "backbone.stem_conv (convolution)"),
        ("backbone.stem_conv_2_1/x", "backbone.stem_conv_2 (x)"),  # the longest name wins
        ("gradient_tape/class_head.conv0_7/Mul", "gradient of class_head.conv0 (Mul)"),
        ("losses/Softplus", "losses/Softplus, outside the network"),
        ("XLA_Args", "argument: weights, their averages and velocities, or images"),
        ("", "put there by the compiler"),
    ],
)
def test_an_operation_is_named_by_its_layer(operation, said):
    assert words(operation, LAYERS) == said


def test_a_compiled_row_adds_what_lies_in_a_cores_memory():
    """100 of arguments, 90 - 80 of results that are not in their place, 900, and 40 of program."""
    row = row_of()
    assert row["needed_bytes"] == (100 + 10 + 900 + 40) * MIB
    assert (row["images_per_core"], row["collectives"]) == (4, 2)
    assert "advice" not in row
    said = describe(row)
    assert "D0 train: compiled for 8 cores of TPU v3 (v3:2x2), 4 images a core" in said
    assert "1.03 GiB of 16.00" in said
    assert "4.0 MiB  bf16[4,64,64,3]  backbone.stem_conv (convolution)" in said


def test_a_refused_row_says_what_to_set():
    """45.52 GiB for 4 images in 16 GiB: one image a core, or the four one by one."""
    answer = {**{k: ANSWER[k] for k in ("device", "cores", "hbm", "seconds")}, "refused": REFUSAL}
    row = row_of(answer, "")
    assert not row["compiled"]
    assert [line.partition(" ")[0] for line in row["advice"]] == [
        "train.remat=true", "data.batch_size=8", "train.micro_batches=4",
    ]  # fmt: skip
    assert "1 instead of 4 images a core; 32 need 4 times as many cores" in row["advice"][1]
    assert "REFUSED" in describe(row)
    halved = row_of(answer, "", **{"train.remat": "true", "train.micro_batches": 2})
    assert [line.partition(" ")[0] for line in halved["advice"]] == [
        "data.batch_size=16", "train.micro_batches=4",
    ]  # fmt: skip
    alone = row_of(answer, "", **{"train.remat": "true", "train.micro_batches": 4})
    assert alone["advice"] == ["a smaller model.image_size, or a TPU with more memory a core"]
    evaluation = row_of(answer, "", step="eval")
    assert [line.partition(" ")[0] for line in evaluation["advice"]] == ["data.eval_batch_size=8"]


def test_the_compiler_decides_whether_a_step_fits_whose_sum_is_too_large():
    """16 GiB of temporaries, of 16, in which it counts gaps twice; weights come on top."""
    row = row_of(ANSWER | {"temp": 16 * 2**30})
    assert row["compiled"]
    assert "advice" not in row
    assert "compiled for 8 cores" in describe(row)
    assert "at most 16.15 GiB of 16.00" in describe(row)
    assert "| 16.15 | 16.00 |" in table([dated(row)])


def stopped(gib):
    """The answer of a compiler that was stopped when it had given out that many GiB of 16."""
    found = {key: ANSWER[key] for key in ("device", "cores", "hbm", "seconds")}
    return found | {"given_out": int(gib * 2**30)}


def test_what_is_stopped_with_its_memory_given_out_says_whether_it_fits():
    """15.3 of 16 GiB are 96 %, which leaves room for the program; 15.4 are more."""
    row = row_of(stopped(15.3))
    assert row["compiled"]
    assert (row["memory_only"], row["collectives"]) == (True, 2)
    assert "D0 train: fits for 8 cores" in describe(row)
    assert "| D0 train | 8 x TPU v3 | 4 | 15.30 + program | 16.00 | – | – | 2 | 4 MiB:" in table(
        [dated(row)]
    )
    row = row_of(stopped(15.4))
    assert not row["compiled"]
    assert "DOES NOT FIT" in describe(row)
    assert row["advice"][0].startswith("train.remat=true")
    assert "| **15.40 + program: too much** | 16.00 |" in table([dated(row)])
    assert "data.batch_size=24 is 3 instead of 4 images a core" in row["advice"][1]


COMPILER = """
import json, os, pathlib, sys, time
place = pathlib.Path(sys.argv[1])
job = json.loads((place / "job.json").read_text())
(place / "answer.json").write_text(json.dumps({"device": "TPU v3"}))
if job["dump"]:
    (place / "dump").mkdir()
    (place / "dump" / "step.after_optimizations.txt").write_text("scheduled")
    (place / "dump" / "step-memory-usage-report.txt").write_text("Total bytes used: 123 (123B)")
    time.sleep(600)
(place / "program.txt").write_text("finished")
(place / "answer.json").write_text(json.dumps({"device": "TPU v3", "seconds": 5}))
print("said last", flush=True)
if job["code"] < 0:
    os.kill(os.getpid(), -job["code"])
sys.exit(job["code"])
"""


@pytest.mark.parametrize("dump", [True, False])
def test_the_compiler_is_stopped_when_its_account_of_the_memory_is_there(
    dump, tmp_path, monkeypatch
):
    monkeypatch.setattr(command, "_COMPILER", (sys.executable, "-c", COMPILER))
    (tmp_path / "job.json").write_text(json.dumps({"dump": dump, "code": 0}))
    answer, program = command._compile(tmp_path)
    if dump:
        assert (answer["given_out"], program) == (123, "scheduled")
        assert answer["seconds"] < 100
    else:
        assert (answer, program) == ({"device": "TPU v3", "seconds": 5}, "finished")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (-signal.SIGKILL, "was killed by signal 9, probably for lack of memory .*; add swap"),
        (-signal.SIGSEGV, "was killed by signal 11; it said last:\nsaid last\n"),
        (1, "ended with exit code 1; it said last:\nsaid last\n"),
    ],
)
def test_a_compiler_that_crashes_is_not_taken_for_a_refusal(code, sentence, tmp_path, monkeypatch):
    """1 is the exit code of a step that was refused."""
    monkeypatch.setattr(command, "_COMPILER", (sys.executable, "-c", COMPILER))
    (tmp_path / "job.json").write_text(json.dumps({"dump": False, "code": code}))
    with pytest.raises(CompilerCrashed, match=f"the compiler {sentence}") as caught:
        command._compile(tmp_path)
    assert caught.value.exit_code == 75
    assert str(caught.value).count("said last") == (0 if code == -signal.SIGKILL else 2)


def is_killed(config, step, replicas):
    os.kill(os.getpid(), signal.SIGKILL)


class Unsendable(Exception):
    """Like those of TensorFlow's AutoGraph, it cannot be made anew in another process."""

    def __init__(self, message, key):
        super().__init__(message)


def has_a_fault(config, step, replicas):
    raise Unsendable("no such key", "gt_masks")


def test_a_lowering_that_is_killed_is_not_taken_for_a_refusal(monkeypatch):
    monkeypatch.setattr(command, "emit", is_killed)
    with pytest.raises(CompilerCrashed, match="lowers the step died, probably for lack of"):
        command._lower(load_config(), "train", 8)


def test_a_fault_in_the_lowering_is_not_taken_for_a_kill(monkeypatch):
    monkeypatch.setattr(command, "emit", has_a_fault)
    with pytest.raises(BrokenProcessPool):
        command._lower(load_config(), "train", 8)


HEADS = ["[detection]", "[segmentation]", "[detection, segmentation]"]


@pytest.mark.parametrize("heads", HEADS)
def test_the_compiled_training_step_gets_the_batch_of_the_input_pipeline(heads, tmp_path):
    """All of it but what stays on the host."""
    shards = write_records(SyntheticSet(2, size=64), str(tmp_path / "r")).shards
    labels = "{0: background, 1: disc, 2: square, 3: triangle}"
    settings = [f"model.heads={heads}", f"model.segmentation.labels={labels}"]
    config = load_config(overrides=[*settings, "model.image_size=[64, 128]", "data.batch_size=2"])
    specs = dict(make_train_dataset(config, shards).element_spec)
    for name in ("image_ids", "num_dropped_boxes", "is_replaced"):
        del specs[name]
    assert training_batch(config, 2) == specs


def test_the_compiled_evaluation_step_gets_the_batch_of_the_input_pipeline():
    """All of it but what stays on the host and what only several looks at a picture need."""
    config = load_config(overrides=["model.image_size=[64, 128]"])
    photo = {"image": np.zeros([1, 9, 9, 3], np.uint8), "image_index": [0]}
    pictures = tf.data.Dataset.from_tensor_slices(photo)
    context = tf.distribute.InputContext()
    specs = dict(make_window_dataset(pictures, config.model, 2, context).element_spec)
    for name in ("image_index", "num_views", "placements", "limits"):
        del specs[name]
    assert evaluation_batch(config, 2) == specs


def test_the_compiled_evaluation_step_takes_all_heads_at_once():
    network = small_model(heads=("detection", "segmentation"))
    config = replace(Config(model=network), data={"eval_batch_size": 4})
    function, donated, given = evaluation(build_network(network), config, 2)
    found = tf.function(function, autograph=False).get_concrete_function(donated, *given)
    shapes = {name: value.shape for name, value in found.structured_outputs.items()}
    most = config.detect.max_detections
    assert shapes == {
        "boxes": [2, most, 4], "scores": [2, most], "classes": [2, most], "num_detections": [2],
        "class_maps": [2, *network.image_size],
    }  # fmt: skip


def test_the_limits_of_a_model_are_shown_where_one_was_met():
    def row(images, fits, **settings):
        settings |= {"train.remat": str(settings.pop("remat", False)).lower()}
        settings |= {"data.batch_size": 8 * images}
        config = configured(None, None, [f"{k}={v}" for k, v in settings.items()], 0, None)
        job = {"topology": "v3:2x2", "replicas": 8, "precision": "bfloat16"}
        return make_row(config, "train", job, stopped(15 if fits else 17), PROGRAM, LAYERS)

    larger = {"model.name": "efficientdet-d1"}
    rows = [
        row(4, True), row(20, True), row(23, False), row(40, False), row(90, True, remat=True),
        row(4, False, **{"train.micro_batches": 2}), row(4, True, **larger),
    ]  # fmt: skip
    assert largest_table(rows).splitlines()[2:] == ["| D0, TPU v3 | 20 | 23 | – | – |"]
    rows.append(row(99, False, remat=True))
    assert largest_table(rows).splitlines()[2:] == ["| D0, TPU v3 | 20 | 23 | 90 | 99 |"]


def dated(row):
    return row | {"date": "2025-11-22", "versions": {"libtpu": "0.0.30", "keras": "3.15.1"}}


def test_rows_are_kept_in_order_and_a_repeated_one_replaces_the_old(tmp_path):
    path = str(tmp_path / "results.json")
    small = dated(row_of())
    large = dated(row_of(**{"model.name": "efficientdet-d1"}))
    v5e = small | {"topology": "v5e:2x2"}
    for row in (v5e, large, small, small | {"needed_bytes": 7}):
        results.save_row(row, path)
    rows = results.read_rows(path)
    assert [(row["topology"][:3], row["model"][-2:]) for row in rows] == [
        ("v3:", "d0"), ("v3:", "d1"), ("v5e", "d0"),
    ]  # fmt: skip
    assert rows[0]["needed_bytes"] == 7


def test_the_table_names_refusals_dates_and_versions(tmp_path):
    answer = {**{k: ANSWER[k] for k in ("device", "cores", "hbm", "seconds")}, "refused": REFUSAL}
    text = table([dated(row_of()), dated(row_of(answer, "", **{"train.remat": "true"}))])
    assert "| D0 train | 8 x TPU v3 | 4 | 1.03 | 16.00 | 67 | 3.0 | 2 |" in text
    assert "| D0 train remat | 8 x TPU v3 | 4 | **45.52: refused** |" in text
    assert "Measured 2025-11-22 with libtpu 0.0.30, keras 3.15.1." in text


def test_the_readme_shows_the_saved_rows():
    text = pathlib.Path(results.README).read_text()
    new = results.tables(results.read_rows())
    assert results.with_table(text, new, "README") == text, "run nightly --table"


def test_a_readme_without_marks_is_refused():
    with pytest.raises(UserError, match="has no lines '<!-- compile table -->'"):
        results.with_table("# Title\n", "table", "README.md")


def test_bad_input_is_refused_with_a_sentence(monkeypatch):
    with pytest.raises(UserError, match="data.batch_size is 33.*use 32 or 40"):
        check(configured(None, None, [], 33, None), "train", "v3:2x2", 8)
    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(UserError, match="tensorflow-tpu, which is not here; run `make tpu-env`"):
        check(load_config(), "train", "v3:2x2", 8)


@pytest.mark.parametrize("step", ["train", "eval"])
def test_only_the_batch_of_the_step_must_be_shared_evenly_by_the_cores(step, monkeypatch):
    monkeypatch.setattr(metadata, "version", absent)
    used, other = "data.batch_size", "data.eval_batch_size"
    if step != "train":
        used, other = other, used
    config = load_config(overrides=[f"{used}=128", f"{other}=8"])
    with pytest.raises(UserError, match="run `make tpu-env`"):  # which is asked for after it
        check(config, step, "v3:4x4", 32)
    with pytest.raises(UserError, match=f"{other} is 8.*use 32"):
        check(config, "eval" if step == "train" else "train", "v3:4x4", 32)


def absent(name):
    raise metadata.PackageNotFoundError(name)


def tpu_python() -> pathlib.Path:
    """The Python of `make tpu-env`; another one may be named in the environment."""
    return pathlib.Path(
        os.environ.get("EDET_TPU_PYTHON", REPOSITORY / ".venv-tpu" / "bin" / "python")
    )


def compiled_for_a_tpu(step, tmp_path):
    """Returns the row of a step of a small network that finds boxes and classes of pixels."""
    if not tpu_python().exists():
        pytest.skip("`make tpu-env` has not been run")
    script = REPOSITORY / "tests" / "tpu" / "run_compile_check.py"
    output = tmp_path / "row.json"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([tpu_python(), script, step, output], env=environment, check=True)
    row = json.loads(output.read_text())
    assert row["compiled"]
    return row


def test_the_training_step_of_both_heads_compiles_for_two_cores_of_a_tpu(tmp_path):
    """The step that training runs, in the compiler that a TPU has: with sums over both cores."""
    row = compiled_for_a_tpu("train", tmp_path)
    assert row["precision"] == "bfloat16"
    # Weights of the network alone are more than 1 MiB, three times: weight, velocity, average.
    assert 3 * MIB < row["needed_bytes"] < 200 * MIB
    # Each batch norm asks the other core forwards and backwards.
    assert row["collectives"] > 10
    assert any("backbone." in buffer["what"] for buffer in row["largest_buffers"]), row


def test_the_evaluation_step_of_both_heads_compiles_for_two_cores_of_a_tpu(tmp_path):
    row = compiled_for_a_tpu("eval", tmp_path)
    assert row["collectives"] == 0
