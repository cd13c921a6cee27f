"""Counts of instructions are read as callgrind writes them, named as a disassembler does."""

import pytest

from tools.benchmarks import instructions

# Two libraries and three functions. Names are numbered and later left out, addresses may be steps
# from the one before; what a call took stands below it and is counted in the callee.
PROFILE = """\
# callgrind format
positions: instr line
events: Ir

ob=(1) /lib/a.so
fl=(1) ???
fn=(1) multiply
0x10 0 100
+4 0 20
cob=(2) /lib/b.so
cfn=(2) copy
calls=3 0x50
* 0 900
-2 0 1

ob=(2)
fn=(2)
0x50 0 300
* 0 600

ob=(1)
fn=(3) load
0x20 0 7
fn=(1)
0x10 0 5

totals: 1033
"""


def test_instructions_are_those_of_their_own_function_and_address(tmp_path):
    (tmp_path / "profile").write_text(PROFILE)
    assert instructions.costs(str(tmp_path / "profile")) == {
        ("/lib/a.so", "multiply", 0x10): 105,
        ("/lib/a.so", "multiply", 0x14): 20,
        ("/lib/a.so", "multiply", 0x12): 1,
        ("/lib/b.so", "copy", 0x50): 900,
        ("/lib/a.so", "load", 0x20): 7,
    }


@pytest.mark.parametrize(
    ("mnemonic", "what"),
    [
        ("vfmadd231ps", "multiply-add"),
        ("vfnmadd213ps", "multiply-add"),
        ("vmulps", "other vector arithmetic"),
        ("vpaddd", "other vector arithmetic"),
        ("vbroadcastss", "vector loads, stores, broadcasts"),
        ("vmovups", "vector loads, stores, broadcasts"),
        ("add", "addresses, loops and all else"),
        (None, "elsewhere"),
    ],
)
def test_an_instruction_is_named_by_what_it_does(mnemonic, what):
    assert instructions.kind(mnemonic) == what


def test_a_missing_program_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="no valgrind here; install the package valgrind"):
        instructions.main("litert", "d0.tflite")
