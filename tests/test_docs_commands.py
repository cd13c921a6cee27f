"""Every command of README and docs/ runs here, on some drawn scenes, or says why it does not.

`<!-- not run: why -->` before a fence is for all of it; in a fence, `# not run: why` behind a
command is for this one, on a line of its own for the rest. The commands of a page run in the order
of the page, one page behind the other in one folder, with a network of seconds.
"""

import importlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import textwrap
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from edet.cli import main
from edet.cli.common import call, exit_code_of
from edet.config.labels import NAMED_LABELS
from edet.records.schema import Example
from edet.records.sources.example_set import ExampleSet
from edet.records.sources.synthetic import LABELS, MASK_LABELS, SyntheticSet
from edet.records.writing import write_records
from tests import small
from tests.conftest import REPOSITORY
from tests.inference.test_video import write_video
from tests.test_docs import home_of

assert small.BACKBONES  # importing it makes its backbone known
# In this order: the later ones use what the first has made.
PAGES = [
    REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "tpu" / "README.md",
]  # fmt: skip
SMALL = [
    "model.image_size=64", "model.backbone=efficientnet-lite-tiny", "model.pyramid_width=16",
    "model.pyramid_repeats=1", "model.head_repeats=1", "model.max_level=5", "train.init=",
    "data.batch_size=4", "data.eval_batch_size=3", "train.steps=2", "train.precision=float32",
    "export.calibration_images=4", "detect.draw_threshold=0",
]  # fmt: skip
OF_NEW_NETWORKS = ("--mode=train", "--mode=train_and_eval", "--mode=check_data")
_FENCE = re.compile(
    r"(?: *<!-- not run: (?P<why>[^>]+) -->\n+)?^ *```(?P<language>\w*)\n(?P<body>.*?)^ *```",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"#.*\bnot run: (.+)")
_ENDS_WITH = re.compile(r"\brun(_with_inputs)?\(define_flags, (\w+)\)")


class Command(NamedTuple):
    """One line of a shell."""

    page: str
    line: str
    why_not: str  # it is not run; "" if it is


def commands_of(text: str, page: str) -> list[Command]:
    """Returns what is to be typed into a shell, in the order of the page."""
    found = []
    for fence in _FENCE.finditer(text):
        if fence["language"] in ("sh", "bash"):
            why = fence["why"] or ""
            for line in fence["body"].replace("\\\n", " ").splitlines():
                mark = _NOT_RUN.search(line)
                if line.strip().startswith("#"):
                    why = mark[1] if mark else why
                elif line.strip():
                    found.append(Command(page, line.strip(), mark[1] if mark else why))
        elif not fence["language"]:
            assert "python " not in fence["body"], f"{page} has commands in a fence without sh"
    return found


COMMANDS = [
    command
    for path in PAGES
    for command in commands_of(path.read_text(), str(path.relative_to(REPOSITORY)))
]
RUN = [command for command in COMMANDS if not command.why_not]


def test_commands_and_why_they_are_not_run_are_found():
    text = """
```sh
python main.py --mode=a \\
    --b  # a remark
make all  # not run: hours
# of another kind
python c.py
# not run: needs a TPU
python d.py
```
<!-- not run: downloads -->
```bash
curl x
```
```yaml
a: b
```
"""
    assert [(line, why) for _, line, why in commands_of(text, "")] == [
        ("python main.py --mode=a      --b  # a remark", ""),
        ("make all  # not run: hours", "hours"), ("python c.py", ""),
        ("python d.py", "needs a TPU"), ("curl x", "downloads"),
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="without sh"):
        commands_of("```\npython main.py\n```\n", "p")


def test_whatever_is_not_run_says_why():
    """What runs here are Python's commands; another one needs a reason."""
    assert len(RUN) > 20
    others = [command for command in RUN if not command.line.startswith("python ")]
    assert others == []
    assert all(8 <= len(command.why_not) < 100 for command in COMMANDS if command not in RUN)


def run(line: str) -> int:
    """Does in this process what a line does in a shell; returns its exit code."""
    words = shlex.split(line, comments=True)[1:]
    words = [word for word in words if not word.startswith("--num_shards=")]  # of six pictures
    script, arguments = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if script == "main.py":
        extra = [f"--set={one}" for one in SMALL] if set(arguments) & set(OF_NEW_NETWORKS) else []
        for word in arguments:
            run_folder = pathlib.Path(word.removeprefix("--workdir="))
            if extra and (run_folder / "recipe.json").exists():
                shutil.rmtree(run_folder)  # a page shows several ways to begin the same run
        with flagsaver.flagsaver():
            flags.FLAGS.unparse_flags()
            return main.main(flags.FLAGS([script, *arguments, *extra]))
    module = importlib.import_module(home_of(pathlib.Path(script).stem))
    takes_inputs, name = _ENDS_WITH.search(pathlib.Path(module.__file__).read_text()).groups()
    tool, options = getattr(module, name), flags.FlagValues()
    module.define_flags(options)
    rest = options([script, *arguments])[1:]
    if takes_inputs:
        return exit_code_of(lambda: tool(options, rest))
    return call(tool, options, rest)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The folder of a reader who has data sets and pictures where the pages say."""
    folder = tmp_path_factory.mktemp("reader")
    before = pathlib.Path.cwd()
    os.chdir(folder)
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    for seed, split in enumerate(("train", "val")):
        drawn = SyntheticSet(6, size=64, seed=seed).shard(0, 1)
        named = [replace(scene, filename=f"{split}{k}.jpg") for k, scene in enumerate(drawn)]
        scenes = ExampleSet(named, LABELS, mask_labels=MASK_LABELS)
        write_records(scenes, f"records/{split}")
        for to, output in (("yolo", "FOLDER"), ("voc", "VOC"), ("coco", "made")):
            labels = f"--labels=records/{split}.labels.yaml"
            source = f"--records='records/{split}-*' {labels} --split={split}"
            assert run(f"python tools/convert_labels.py {source} --to={to} --output={output}") == 0
        _write_masks(named, split)
    pictures = sorted(pathlib.Path("made/images/val").iterdir())
    for path in ("pictures", "more", "holiday", "clips"):
        pathlib.Path(path).mkdir()
    shutil.copytree("made/images/train", "images")
    shutil.copy("made/annotations/instances_train.json", "train.json")
    shutil.copy(pictures[0], "street.jpg")
    for path in (f"pictures/{pictures[1].name}", f"holiday/{pictures[2].name}"):
        shutil.copy(pictures[1], path)
    Image.open(pictures[3]).save("more/a.png")
    write_video(pathlib.Path("clips/a.mp4"), 4)
    (yaml,) = re.findall(
        r"^ *```yaml\n(.*?)^ *```", (REPOSITORY / "README.md").read_text(), re.M | re.S
    )
    pathlib.Path("runs").mkdir()
    for name in ("runs/a", "runs/b"):
        pathlib.Path(name).symlink_to("mine")
    pathlib.Path("my.yaml").write_text(textwrap.dedent(yaml))
    yield folder
    os.chdir(before)


def _write_masks(scenes: list[Example], split: str) -> None:
    """Gives VOC's pictures masks; and COCO's, with its names, panoptic ones in COCO's places."""
    coco = json.loads(pathlib.Path(f"made/annotations/instances_{split}.json").read_text())
    coco["categories"] = [{"id": k, "name": NAMED_LABELS["coco"][k]} for k in LABELS]
    annotations = []
    for path in ("VOC/SegmentationClass", "VOC/ImageSets/Segmentation", f"panoptic_{split}2017"):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    names = pathlib.Path(f"VOC/ImageSets/Main/{split}.txt").read_text()
    pathlib.Path(f"VOC/ImageSets/Segmentation/{split}.txt").write_text(names)
    by_name = {image["file_name"]: image["id"] for image in coco["images"]}
    for scene, name in zip(scenes, names.split(), strict=True):
        pathlib.Path(f"VOC/SegmentationClass/{name}.png").write_bytes(scene.mask.file)
        values = np.asarray(Image.open(io.BytesIO(scene.mask.file)))
        ids = np.stack([values, 0 * values, 0 * values], axis=-1)  # a segment a class
        Image.fromarray(ids).save(f"panoptic_{split}2017/{name}.png")
        segments = [{"id": k, "category_id": k} for k in np.unique(values).tolist() if k]
        image = {"image_id": by_name[scene.filename], "file_name": f"{name}.png"}
        annotations.append(image | {"segments_info": segments})
    panoptic = {"categories": coco["categories"], "annotations": annotations}
    for folder in (".", "coco"):
        shutil.copytree(f"made/images/{split}", f"{folder}/{split}2017")
    pathlib.Path("coco/annotations").mkdir(exist_ok=True)
    for path in (f"instances_{split}2017.json", f"coco/annotations/instances_{split}2017.json"):
        pathlib.Path(path).write_text(json.dumps(coco))
    pathlib.Path(f"panoptic_{split}2017.json").write_text(json.dumps(panoptic))


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("page", dict.fromkeys(command.page for command in RUN))
def test_commands_of_a_page_do_what_they_are_there_for(reader, page, capfd):
    for command in (command for command in RUN if command.page == page):
        assert run(command.line) == 0, f"{command.line}\n{capfd.readouterr().err}"
        capfd.readouterr()
