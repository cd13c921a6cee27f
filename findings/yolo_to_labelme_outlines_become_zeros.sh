#!/usr/bin/env bash
# YOLO's lines of outlines hold shares of the picture's sides. yolo-to-labelme cuts them down to whole numbers before
# anything else, so that each becomes 0, and puts them all into one point: LabelMe's polygon of a car is
# [[0, 0, 0, 0, 0, 0, 0, 0]], beside the right name and with no word about it. Boxes of the same file come out in
# their place. Who draws such a set again draws every outline.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet yolo-to-labelme==0.0.8
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, subprocess, sys

WIDTH, HEIGHT = 200, 100
outline = [[20, 10], [60, 10], [60, 40], [20, 40]]
shares = " ".join(str(side / size) for point in outline for side, size in zip(point, (WIDTH, HEIGHT)))
pathlib.Path("yolo").mkdir()
pathlib.Path("yolo/box.txt").write_text("0 0.2 0.25 0.2 0.3\n")  # the outline's bounds
pathlib.Path("yolo/outline.txt").write_text(f"0 {shares}\n")
pathlib.Path("classes.txt").write_text("car\n")
subprocess.run(["venv/bin/yolotolabelme", "--yolo", "yolo", "--labelme", "labelme", "--classes", "classes.txt",
                "--width", str(WIDTH), "--height", str(HEIGHT)], check=True, stdout=subprocess.DEVNULL)
print("yolo-to-labelme", importlib.metadata.version("yolo-to-labelme"))
expected = {"box": [outline[0], outline[2]], "outline": outline}
seen = {}
for name, points in expected.items():
    shape = json.loads(pathlib.Path(f"labelme/{name}.json").read_text())["shapes"][0]
    seen[name] = shape["points"]
    print(f"{name}: expected {points}, seen {shape['shape_type']} {shape['label']} {seen[name]}")
sys.exit(0 if seen == {"box": expected["box"], "outline": [[0] * 8]} else 1)
PY
