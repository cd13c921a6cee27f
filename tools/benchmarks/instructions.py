"""How many instructions a network takes in a runtime: what no clock and no neighbour changes.

    python tools/benchmarks/instructions.py ENGINE FILE [PYTHON] [lines]

ENGINE and FILE are those of speed_worker.py, which runs under valgrind (a Debian package, as is
binutils) on one thread, in the environment of PYTHON. Printed are millions of instructions of one
run, by kind and by the runtime's functions where it has names for them. valgrind knows no AVX-512,
so a runtime takes its kernels for AVX2; it is some 100 times slower than the processor.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

RUNS = 2  # which the worker does when it is asked to measure none
_ARITHMETIC = "add|sub|mul|max|min|and|or|xor|sll|srl|cmp|blend|div|rcp|round|cvt|sqrt|hadd"
KINDS = {  # of x86's mnemonics, the first that fits
    "multiply-add": r"vfn?m(add|sub)",
    "other vector arithmetic": rf"vp?({_ARITHMETIC})",
    "vector loads, stores, broadcasts": r"v",
    "addresses, loops and all else": r"",
}
_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "speed_worker.py")
_COST = re.compile(r"(0x[0-9a-f]+|[+-]\d+|\*) \S+ (\d+)$")
Costs = dict[tuple[str, str, int], int]  # instructions by object, function and address


def profile(engine: str, file: str, python: str, target: str) -> None:
    """Writes callgrind's profile of some runs, without those before them."""
    command = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-instr=yes",
        f"--callgrind-out-file={target}", python, _WORKER, engine, "1", "1", file,
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as worker:
        if not worker.stdout.readline():
            raise SystemExit(f"{' '.join(command)} has ended; run it to see why")
        for switch, asked in (("on", "0\n"), ("off", "")):
            subprocess.run(
                ["callgrind_control", "-i", switch, str(worker.pid)], check=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            worker.stdin.write(asked)
            worker.stdin.flush()
            if asked:
                worker.stdout.readline()
        worker.stdin.close()


def costs(path: str) -> Costs:
    """Reads callgrind's file: names are numbered where they come first, addresses may be steps."""
    names, found = collections.defaultdict(dict), collections.Counter()
    place = {"ob": "", "fn": ""}
    address, is_call = 0, False
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if match := re.match(r"c?(ob|fn)=\((\d+)\)(?: (.*))?", line):
                what, number, name = match.groups()
                names[what].setdefault(number, name)
                if not line.startswith("c"):
                    place[what] = names[what][number]
            elif line.startswith("calls="):
                is_call = True  # the next line is what the callee took, which has lines of its own
            elif match := _COST.match(line.rstrip()):
                at, cost = match.groups()
                if at != "*":
                    address = int(at, 16) if at.startswith("0x") else address + int(at)
                if not is_call:
                    found[place["ob"], place["fn"], address] += int(cost)
                is_call = False
    return found


def mnemonics(library: str) -> dict[tuple[str, int], str]:
    """Disassembles a library: the mnemonic at every address of it."""
    command = ["objdump", "-d", "--no-show-raw-insn", library]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ *([0-9a-f]+):\t(\S+)", listing, re.MULTILINE)
    return {(library, int(address, 16)): word for address, word in found}


def kind(mnemonic: str | None) -> str:
    """Says what an instruction does; None: it is not of the library that was disassembled."""
    if mnemonic is None:
        return "elsewhere"
    return next(name for name, pattern in KINDS.items() if re.match(pattern, mnemonic))


def main(engine: str, file: str, python: str = sys.executable, lines: str = "12") -> None:
    """Measures and prints."""
    for needed, package in (("valgrind", "valgrind"), ("objdump", "binutils")):
        if not shutil.which(needed):
            raise SystemExit(f"there is no {needed} here; install the package {package}.")
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "callgrind")
        profile(engine, file, python, target)
        spent = costs(target)
    functions, objects = collections.Counter(), collections.Counter()
    for (name, function, _), cost in spent.items():
        functions[f"{os.path.basename(name)} {function}"] += cost
        objects[name] += cost
    most = objects.most_common(1)[0][0]
    # What is compiled as it runs has no file.
    words = mnemonics(most) if os.path.exists(most) else {}
    kinds = collections.Counter()
    for (name, _, address), cost in spent.items():
        kinds[kind(words.get((name, address)))] += cost
    print(f"{sum(spent.values()) / RUNS / 1e6:8.1f} {engine} {os.path.basename(file)}")
    for table in (kinds.most_common(), functions.most_common(int(lines))):
        for name, cost in table:
            print(f"{cost / RUNS / 1e6:8.2f}   {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
