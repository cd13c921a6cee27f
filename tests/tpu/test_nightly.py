"""The long list is worked through once, whatever ends a night; the saved rows hold all of it."""

import contextlib
import functools
import types

import pytest

from edet.cli.common import call, parsed
from tpu.compile_check import nightly, results
from tpu.compile_check.__main__ import CompilerCrashed
from tpu.compile_check.report import USABLE

GIB = 2**30


@pytest.mark.parametrize(("fixed", "share", "largest"), [(100, 40, 22), (100, 400, 2), (0, 1e9, 0)])
@pytest.mark.parametrize("saved", [0.0, 0.3])
def test_the_largest_batch_is_found_in_few_compilations(fixed, share, largest, saved):
    """1000 may be used, of which `fixed` and for each image `share` are needed.

    Where more than half of it is, the compiler may save a share of what is above the half.
    """
    asked = []

    def measure(images):
        asked.append(images)
        needed = fixed + share * images
        needed -= saved * max(0, min(needed, 1000) - 500)
        row = {"images_per_core": images, "needed_bytes": needed, "hbm_bytes": 1000 / USABLE}
        return row | {"compiled": needed <= 1000, "temp_bytes": share * images}

    found, refused = nightly.largest_batch(measure, [measure(4)])
    if saved:
        largest = max((n for n in range(99) if measure(n)["compiled"]), default=0)
        del asked[-99:]
    found = found["images_per_core"] if found else 0
    assert largest - largest // 8 <= found <= largest
    assert found < refused["images_per_core"] <= found + max(1, found // 8)
    assert len(asked) <= 5
    assert len(set(asked)) == len(asked)


def test_a_search_that_is_over_is_not_made_again():
    """20 images fit and 22 do not, which is nearer than an eighth."""
    rows = [
        {"images_per_core": n, "needed_bytes": n, "hbm_bytes": 20, "compiled": n <= 20}
        for n in (4, 20, 22)
    ]
    assert nightly.largest_batch(lambda _: pytest.fail("compiled"), rows) == (rows[1], rows[2])


def test_the_nightly_list_holds_every_model_at_the_papers_batch():
    jobs = nightly.jobs()
    assert len(set(jobs)) == len(jobs)
    paper = [job for job in jobs if job.step == "train" and job.topology == "v3:2x2"]
    paper = [job for job in paper if not job.remat and not job.largest]
    assert [job.model.removeprefix("efficientdet-") for job in paper] == [
        "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d7x",
    ]  # fmt: skip
    assert [job.images for job in paper] == [4] * 7 + [1] * 2


def work(monkeypatch, path, dies_at=-1, refused_in_the_end=0):
    """Compiles D0 with four images, then with the most that fit, as far as the rows do not say it.

    An image takes 2 of 16 GiB, and 1 is for what does not grow.

    Args:
      path: where the rows are.
      dies_at: how many compilations are survived; negative is all.
      refused_in_the_end: a number of images that the memory allows and the compiler does not.

    Returns:
      What was compiled: images a core, and whether it was for the memory only.
    """
    asked = []

    def check(config, step, topology, replicas, memory_only):
        assert config.train.recipe == "paper"  # which the table tells of
        if len(asked) == dies_at:
            raise KeyboardInterrupt
        images = config.data.batch_size // replicas
        asked.append((images, memory_only))
        needed = 1 + 2 * images
        compiled = needed <= USABLE * 16 and (memory_only or images != refused_in_the_end)
        return {
            "model": config.model.name, "image_size": list(config.model.image_size), "step": step,
            "topology": topology, "replicas": replicas, "batch_size": config.data.batch_size,
            "precision": "bfloat16", "remat": config.train.remat, "micro_batches": 1,
            "images_per_core": images, "hbm_bytes": 16 * GIB, "needed_bytes": needed * GIB,
            "temp_bytes": 2 * images * GIB, "memory_only": memory_only, "versions": {"libtpu": "1"},
            "compiled": compiled,
        }  # fmt: skip

    d0 = nightly.Job("efficientdet-d0")
    replaced = {
        "jobs": lambda: [d0, d0._replace(largest=True)],
        "check": check,
        "describe": lambda row: "",
        "installed_versions": lambda: {"libtpu": "1"},
        "read_rows": functools.partial(results.read_rows, path),
        "save_row": functools.partial(results.save_row, path=path),
        "write_table": lambda: None,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(nightly, name, value)
    with contextlib.suppress(KeyboardInterrupt):
        nightly.tool(types.SimpleNamespace(again=False, table=False))
    return asked


def test_the_found_batch_is_compiled_to_the_end_and_a_killed_night_goes_on(tmp_path, monkeypatch):
    night = functools.partial(work, monkeypatch)
    whole = night(str(tmp_path / "whole"))
    assert whole == [(4, False), (7, True), (8, True), (7, False)]
    for dies_at in range(len(whole)):
        path = str(tmp_path / str(dies_at))
        assert night(path, dies_at) + night(path) == whole
        assert night(path) == []


def test_a_batch_that_is_refused_in_the_end_is_not_called_the_largest(tmp_path, monkeypatch):
    """The memory allowed seven images."""
    path = str(tmp_path / "rows")
    asked = work(monkeypatch, path, refused_in_the_end=7)
    assert asked[3] == (7, False)
    assert asked[-1] == (6, False)
    assert work(monkeypatch, path, refused_in_the_end=7) == []


def test_a_compiler_that_is_killed_costs_its_own_job_alone(monkeypatch, capsys):
    begun, written = [], []

    def work_on(job, known, console):
        begun.append(job.model)
        if job.model == "efficientdet-d1":
            raise CompilerCrashed("the compiler was killed by signal 9 [/of 64].")

    models = ["efficientdet-d0", "efficientdet-d1", "efficientdet-d2"]
    monkeypatch.setattr(nightly, "jobs", lambda: [nightly.Job(model) for model in models])
    monkeypatch.setattr(nightly, "_work", work_on)
    monkeypatch.setattr(nightly, "write_table", lambda: written.append(True))
    assert call(nightly.tool, parsed(nightly.define_flags, ["--again"]), []) == 75
    assert (begun, written) == (models, [True])
    said = capsys.readouterr()
    assert "efficientdet-d1 train (v3:2x2): the compiler was killed by signal 9" in said.out
    assert said.err.startswith("the compiler crashed in 1 of 3 jobs")


def test_the_saved_rows_hold_the_whole_list(monkeypatch):
    """A night with the versions of the table compiles nothing."""

    def check(config, step, topology, replicas, memory_only):
        pytest.fail(f"not compiled: {config.model.name}, {config.data.batch_size} on {topology}")

    versions = results.read_rows()[0]["versions"]
    monkeypatch.setattr(nightly, "installed_versions", lambda: versions)
    monkeypatch.setattr(nightly, "check", check)
    monkeypatch.setattr(nightly, "write_table", lambda: None)
    nightly.tool(types.SimpleNamespace(again=False, table=False))
