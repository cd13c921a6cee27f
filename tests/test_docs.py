"""Every command in the documents can be typed: its flags, settings, models and files exist."""

import importlib
import re
import shlex
from typing import Any

import pytest
from absl import flags
from absl.testing import flagsaver

from edet.cli import main
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.config.sizes import as_dict
from edet.errors import UserError
from edet.training.recipe import resolve_recipe
from edet.weights.zoo import ZOO
from tests.conftest import REPOSITORY, SLOW_FILES

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "WORKSPACE.md"]
DOCUMENTS += [REPOSITORY / "tpu" / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
READERS_OWN = ("my.yaml",)  # what the text asks its reader to write
TAKE_FOLDERS = ("tools/compare_runs.py",)  # after their flags
TRAIN2017 = 118_287  # images

_FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"main\.py|tools/(\w+)\.py|tools\.(\w+)")
_LEADS_TO = re.compile(r'\brun\("([\w.]+)"')
_SET_KEY = re.compile(r"--set[ =]'?(\w+(?:\.\w+)+)=")
_SETTING = re.compile(rf"`((?:{'|'.join(as_dict(Config()))})(?:\.\w+)+)[`=]")


def commands_in(text: str) -> list[list[str]]:
    """Returns the words after "python" of each command in fenced blocks and inline code."""
    blocks = [block.replace("\\\n", " ") for block in _FENCE.findall(text)]
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`]+)`", _FENCE.sub("", text))
    found = []
    for line in lines:
        if not re.search(r"python (-m tools\.|tools/|main\.py)", line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for word in lexer:
            if set(word) <= set("();<>|&"):  # what follows is another command, or a file
                found.append([])
            elif word.endswith("python"):
                found.append([word])
            elif found and found[-1]:
                found[-1].append(word)
    return [words[2:] if words[1] == "-m" else words[1:] for words in found if len(words) > 1]


def problem_with(words: list[str]) -> str:
    """Returns why a command cannot be typed; nothing if it can. "..." stands for more words."""
    arguments = [word for word in words[1:] if word != "..."]
    script = _SCRIPT.fullmatch(words[0])
    if not script:
        return f"there is no {words[0]}"
    try:
        if script[0] == "main.py":
            with flagsaver.flagsaver():
                flags.FLAGS.unparse_flags()
                rest = flags.FLAGS([main.__file__, *arguments])[1:]
                given = flags.FLAGS.flag_values_dict()
            if rest and given["mode"] != "predict":
                return f"{rest[0]} is not a flag"
            return _problem_with_settings(given)
        tool = importlib.import_module(home_of(script[1] or script[2]))
        options = flags.FlagValues()
        tool.define_flags(options)
        if "..." in words:
            names = [word[2:].partition("=")[0] for word in arguments if word.startswith("--")]
            return next((f"there is no --{name}" for name in names if name not in options), "")
        rest = options([words[0], *arguments])[1:]
        if rest and words[0] not in TAKE_FOLDERS:
            return f"{rest[0]} is not a flag"
        return _problem_with_settings(options.flag_values_dict())
    except (flags.Error, ImportError, UserError) as error:
        return str(error)


def home_of(tool: str) -> str:
    """The module that a door in tools/ leads to."""
    path = REPOSITORY / "tools" / f"{tool}.py"
    return _LEADS_TO.search(path.read_text())[1] if path.exists() else f"tools.{tool}"


def _problem_with_settings(given: dict[str, Any]) -> str:
    """Loads the configuration that a command would load, and looks its weights up in the zoo."""
    path = given.get("config")
    path = None if path in READERS_OWN else path
    config = load_config(given.get("model"), path, given.get("set", []))
    for name in (given.get("weights", ""), given.get("source", ""), config.train.init):
        if name.startswith(("efficientdet-", "efficientnet-")) and name not in ZOO:
            return f"there are no released weights {name}"
    return ""


def has_setting(key: str) -> bool:
    """Whether a key is a setting, a section of them, or stands for any of them."""
    if key == "section.key":
        return True
    tree = as_dict(Config())
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


COMMANDS = [
    pytest.param(words, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, words in enumerate(commands_in(path.read_text()))
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_documented_command_can_be_typed(words, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert problem_with(words) == "", shlex.join(words)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("python main.py --mode=train --confg=x.yaml", "Unknown command line flag 'confg'"),
        ("python main.py --mode=trian", "value should be one of"),
        ("python main.py --model=efficientdet-d0", "say what to do: one of train"),
        ("python main.py --mode=eval stray", "stray is not a flag"),
        ("python main.py --mode=train --config=configs/coco/d8.yaml", "cannot read config"),
        ("python main.py --mode=train --config=my.yaml --set trian.steps=3", "trian"),
        ("python main.py --mode=train --set train.step=3", "did you mean train.steps"),
        ("python main.py --mode=train --set train.steps=many", "train.steps"),
        ("python main.py --mode=eval --model=efficientdet-d9", "there is no model"),
        ("python main.py --mode=eval --weights=efficientdet-d9", "no released weights"),
        ("python main.py --mode=train --set train.init=efficientnet-b9", "no released weights"),
        ("python tools/nothing.py --output=x", "No module named"),
        ("python tools/create_tfrecords.py --data=x", "Flag --output must have a value"),
        ("python tools/create_tfrecords.py --image_dir=x ...", "there is no --image_dir"),
        ("python -m tools.demo --outptu=x", "Unknown command line flag 'outptu'"),
        ("python tools/create_tfrecords.py --format=voc --output=x more", "more is not a flag"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found_out(command, problem, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (words,) = commands_in(f"`{command}`")
    assert problem in problem_with(words)


def test_commands_are_found_in_blocks_and_in_the_text():
    text = """
Say `python main.py --mode=eval
--workdir=a` or `main.py`, python main.py is no command here.

   ```sh
   cd x && .venv/bin/python tools/demo.py --set 'a.b=[1, 2]' | tee log  # a remark
   KEY=1 python -m tools.demo \\
       --output=b > file
   ```
"""
    assert commands_in(text) == [
        ["tools/demo.py", "--set", "a.b=[1, 2]"],
        ["tools.demo", "--output=b"],
        ["main.py", "--mode=eval", "--workdir=a"],
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_a_document_names_exist(path):
    text = path.read_text()
    assert [k for k in _SET_KEY.findall(text) + _SETTING.findall(text) if not has_setting(k)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_to_files(path):
    targets = re.findall(r"\]\(([^):#]+)\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_a_setting_that_does_not_exist_is_found_out():
    assert has_setting("model.anchors.scale")
    assert not has_setting("model.anchors.sclae")
    assert not has_setting("model.name.first")
    assert _SET_KEY.findall("give `--set modle.size=3`") == ["modle.size"]
    assert _SETTING.findall("`train.init` or `train.init=x`, not `training.loop`") == [
        "train.init", "train.init",
    ]  # fmt: skip


def _rows(pattern: str) -> list[list[str]]:
    """Cells of the rows of docs/reproduce_coco.md that begin with a pattern."""
    text = (REPOSITORY / "docs/reproduce_coco.md").read_text()
    rows = [line.strip("|").split("|") for line in re.findall(rf"^\| {pattern}.*$", text, re.M)]
    return [[cell.strip() for cell in row] for row in rows]


def test_expected_ap_is_that_of_the_zoo():
    rows = _rows("efficientdet-")
    published = {name: row.ap_val for name, row in ZOO.items() if row.ap_val}
    assert {name: float(ap) for name, ap, *_ in rows} == published


def test_steps_backbones_and_epochs_of_the_training_table_are_those_of_the_configurations():
    rows = _rows(r"\[configs/coco/d")
    assert len(rows) == 9
    for link, init, cores, batch, epochs, steps, ap in rows:
        config = load_config(path=REPOSITORY / re.match(r"\[(.*?)\]", link)[1])
        recipe = resolve_recipe(config, TRAIN2017)
        assert init == config.model.backbone == config.train.init
        assert int(cores) * int(batch) == config.data.batch_size == 128
        assert int(epochs) == config.train.epochs == ZOO[config.model.name].epochs
        assert int(steps.replace(",", "")) == recipe.total_steps
        assert recipe.learning_rate == pytest.approx(0.16)
        assert float(ap) == ZOO[config.model.name].ap_val


def test_every_file_that_is_called_slow_is_there():
    assert [path for path in SLOW_FILES if not path.exists()] == []
