"""Hours and prices: the published run comes out as it was, and everything else follows from it."""

import json
import re
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tpu import cost


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "_COMPILED", tmp_path / "compile_results.json")
    return tmp_path / "compile_results.json"


def test_the_published_run_takes_the_published_time():
    found = cost.estimate("efficientdet-d1", "v3-32")
    assert found.hours == pytest.approx((9.0, 9.0))
    # 6 x 6.1287e9 x 118,287 x 300 operations in 9 x 3600 s on 32 x 61.5e12 a second.
    assert found.utilisation == pytest.approx(1.3049e18 / 6.3763e19, rel=1e-3)
    assert found.core_hours == pytest.approx((288, 288))


def test_hours_follow_arithmetic_cores_and_epochs():
    d0, d7x = (json.loads(cost._COSTS.read_text())[f"efficientdet-{n}"] for n in ("d1", "d7x"))
    found = cost.estimate("efficientdet-d7x", "v3-128")
    ratio = d7x["multiply_adds"] / d0["multiply_adds"]
    assert found.hours[0] == pytest.approx(9 * ratio * 2 / 4)  # 600 epochs on four times the cores
    assert cost.estimate("efficientdet-d1", "v3-32", epochs=100).hours[0] == pytest.approx(3)
    assert cost.estimate("efficientdet-d1", "v3-32", images=cost.COCO * 2).hours[0] == (
        pytest.approx(18)
    )


def test_other_cores_are_faster_by_their_peak_or_by_their_memory():
    fast, slow = cost.estimate("efficientdet-d1", "v5litepod-32").hours
    assert fast == pytest.approx(9 * 61.5 / 197)
    assert slow == pytest.approx(9 * 450 / 819)


def row(model, flops, **changes):
    known = {"model": f"efficientdet-{model}", "step": "train", "topology": "v3:2x2"}
    known |= {"flops": flops, "images_per_core": 4, "remat": False, "micro_batches": 1}
    return known | changes


def test_the_compile_check_counts_where_it_has_both_models(nothing_compiled):
    rows = [row("d1", 4e11), row("d0", 2e11), row("d0", 9e11, remat=True)]
    rows += [row("d0", 9e11, step="eval"), row("d0", 9e11, topology="v5e:2x2")]
    refused = row("d2", 0, compiled=False)
    del refused["flops"]
    nothing_compiled.write_text(json.dumps([*rows, refused]))
    found = cost.estimate("efficientdet-d0", "v3-32")
    assert found.hours[0] == pytest.approx(4.5)
    assert found.flops == pytest.approx(5e10 * 300 * cost.COCO)
    assert found.counted == "in the compiled steps"
    other = cost.estimate("efficientdet-d2", "v3-32")
    assert other.counted == "as six times the multiply-adds"


@pytest.mark.parametrize("kind", ["v3", "v9-8", "v3-8-8", "3-8"])
def test_an_unknown_type_is_refused(kind):
    with pytest.raises(ValueError, match="is not a type such as v3-32"):
        cost.estimate("efficientdet-d0", kind)


@pytest.mark.parametrize("kind", ["v3-0", "v3-33", "v3-16", "v5litepod-2", "v6e-512"])
def test_a_slice_that_nobody_rents_is_refused_with_those_that_are(kind):
    with pytest.raises(ValueError, match=f"'{kind}': there is no such slice; .* has .*, 256"):
        cost.estimate("efficientdet-d0", kind)


def test_a_price_comes_with_its_source(capsys):
    known = ["--model=efficientdet-d1", "--type=v3-32"]
    cost.main([*known, "--price=0.5", "--source=a list of May"])
    assert "price: 144, at 0.5 a core hour (a list of May)" in capsys.readouterr().out
    cost.main(known)
    assert "price: give --price" in capsys.readouterr().out
    for half in (["--price=0.5"], ["--source=x"], ["--model=efficientdet-d9"]):
        with pytest.raises(SystemExit, match="2"):
            cost.main([*known, *half])


@pytest.mark.parametrize("flag", ["--price=-1", "--price=nan", "--epochs=inf", "--images=-5"])
def test_a_number_that_is_none_is_named(capsys, flag):
    with pytest.raises(SystemExit, match="2"):
        cost.main(["--model=efficientdet-d0", "--type=v3-32", "--source=x", flag])
    name, value = flag.split("=")
    assert f"{name} is {value}; give a number from 0 on" in capsys.readouterr().err


def test_the_readme_has_the_numbers_that_the_script_prints(monkeypatch):
    monkeypatch.setattr(cost, "_COMPILED", REPOSITORY / "tpu/compile_results.json")
    text = (REPOSITORY / "tpu/README.md").read_text()
    rows = re.findall(
        r"^\| (D\w+) \| (v3-\d+) \| (.*?) \| (.*?) \| (\S+) \| (.*?) \| (.*?) \|$", text, re.M
    )
    assert len(rows) == 9
    for name, *columns in rows:
        for kind, hours, core_hours in (columns[:3], columns[3:]):
            found = cost.estimate(f"efficientdet-{name.lower()}", kind)
            assert hours == cost._span(found.hours, ".1f"), (name, kind)
            assert core_hours == cost._span(found.core_hours, ",.0f"), (name, kind)


def test_it_needs_nothing_but_python():
    command = [sys.executable, "-I", "-S", str(REPOSITORY / "tpu/cost.py")]
    ran = subprocess.run(
        [*command, "--model=efficientdet-d0", "--type=v3-32"],
        capture_output=True, text=True, check=True, env={},
    )  # fmt: skip
    assert ran.stdout.startswith("efficientdet-d0 on v3-32: ")
