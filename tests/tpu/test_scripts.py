"""The scripts of tpu/: the exact commands that they give, to a gcloud that records them."""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.test_docs import problem_with

SCRIPTS = sorted((REPOSITORY / "tpu").glob("*.sh"))
FAKE = """#!{python}
import json, os, pathlib, sys
folder = pathlib.Path(os.environ["FAKE"])
name, *words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([name, *words]) + "\\n")
text = " ".join(words)
for reply in sorted(folder.glob("reply-*")):
    key, *rest = reply.read_text().splitlines()
    if key in text:
        if len(rest) > 1:  # the last one stays
            reply.write_text("\\n".join([key, *rest[1:]]))
        if rest[0].startswith("exit "):
            sys.exit(int(rest[0][5:]))
        print(*rest[0].split(), sep="\\n")  # a line for each word
        break
"""


class Cloud:
    """A folder with the fake programs; answers by what a command contains, and remembers."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("gcloud", "git"):
            program = folder / "bin" / name
            program.write_text(FAKE.format(python=sys.executable))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def answers(self, key: str, *replies: str) -> None:
        (self.folder / f"reply-{key[:10].strip()}").write_text("\n".join([key, *replies]))

    def states(self, *states: str) -> None:
        """The TPU's states, one after another; "" where there is no request, "exit 1" no answer."""
        told = {"": "another,ACTIVE", "exit 1": "exit 1"}
        self.answers("csv[no-heading]", *(told.get(state, f"edet,{state}") for state in states))

    def run(
        self, script: str, *words: str, cwd: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess:
        """Runs a script of tpu/ from elsewhere, or one that is named from a folder in it."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        known = {"PROJECT": "my-project", "ZONE": "europe-west4-b", "BUCKET": "my-bucket"}
        known |= {"POLL": "0", "FAKE": str(self.folder)}
        return subprocess.run(
            ["bash", script if cwd else REPOSITORY / "tpu" / script, *words],
            env={**os.environ, **known, **settings, "PATH": path},
            capture_output=True, text=True, check=False, timeout=300, cwd=cwd or self.folder,
        )  # fmt: skip

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def verbs(self) -> list[str]:
        """Every call in a word or two: what is done, and in ssh which of the worker's commands."""
        return [_verb(call) for call in self.calls()]


def _verb(call: list[str]) -> str:
    text = " ".join(call)
    for verb in ("install", "start", "stop", "state", "tail"):
        if f"worker.sh {verb}" in text or f"--command={verb}" in text:
            return verb
    if any("csv" in word for word in call):
        return "look"
    return next(
        v for v in ("describe", "create", "scp", "delete", "list", "ls", "archive") if v in call
    )


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path)


END = ["--zone=europe-west4-b", "--project=my-project", "--quiet"]


def test_every_script_is_short_and_can_be_executed():
    assert len(SCRIPTS) == 12
    sourced = ("arguments.sh", "common.sh")
    for script in SCRIPTS:
        assert len(script.read_text().splitlines()) < 60, script.name
        assert os.access(script, os.X_OK) == (script.name not in sourced), script.name


@pytest.mark.parametrize("script", ["create.sh", "delete.sh", "stop.sh", "project.sh", "setup.sh"])
@pytest.mark.parametrize("word", ["--dryrun", "-n", "now"])
def test_a_mistyped_option_asks_for_nothing_and_gives_nothing_back(cloud, script, word):
    ran = cloud.run(script, word)
    assert ran.returncode == 2 and cloud.calls() == []
    assert f"{word} is nothing that {script} takes; see tpu/{script} --help" in ran.stderr


def test_help_is_the_scripts_own_and_dry_run_may_stand_anywhere(cloud):
    for folder, path in ((REPOSITORY, "tpu/delete.sh"), (REPOSITORY / "tpu", "./delete.sh")):
        ran = cloud.run(path, "--help", cwd=folder)
        assert ran.returncode == 0 and ran.stdout.startswith("Gives the TPU back")
    assert not cloud.calls()
    ran = cloud.run("train.sh", "--set", "train.epochs=30", "--dry-run")
    assert ran.returncode == 0 and not cloud.calls()
    assert "train.epochs=30" in ran.stdout and "--dry-run" not in ran.stdout


def test_settings_that_would_cost_or_lead_nowhere_are_refused_or_mended(cloud):
    """SPOT=true asked for a TPU at full price, and gs:// before the bucket for gs://gs://."""
    ran = cloud.run("create.sh", SPOT="true")
    assert ran.returncode == 2 and "SPOT is true; give 1 or 0" in ran.stderr and not cloud.calls()
    ran = cloud.run("train.sh", "--dry-run", BUCKET="gs://my-bucket/")
    assert "gs://my-bucket/coco/d0" in ran.stdout and "gs://gs://" not in ran.stdout


def test_a_spot_slice_is_asked_for_and_waited_for(cloud):
    cloud.states("", "WAITING_FOR_RESOURCES", "exit 1", "PROVISIONING", "ACTIVE")
    ran = cloud.run("create.sh")
    assert ran.returncode == 0, ran.stderr
    asked, created, *looked = cloud.calls()
    assert asked[1:] == [
        "compute", "tpus", "tpu-vm", "versions", "describe", "tpu-vm-tf-2.20.0-pod-pjrt", *END,
    ]  # fmt: skip
    assert created[1:] == [
        "compute", "tpus", "queued-resources", "create", "edet", "--node-id=edet",
        "--accelerator-type=v5litepod-32", "--runtime-version=tpu-vm-tf-2.20.0-pod-pjrt",
        "--spot", *END,
    ]  # fmt: skip
    assert len(looked) == 5


@pytest.mark.parametrize(
    ("settings", "present"),
    [
        ({"SPOT": "0"}, None),
        ({"TYPE": "v3-8"}, "--runtime-version=tpu-ubuntu2204-base"),
        ({"TYPE": "v3-32"}, "--runtime-version=tpu-vm-tf-2.20.0-pod-pjrt"),
        ({"TYPE": "v5litepod-8"}, "--runtime-version=v2-alpha-tpuv5-lite"),
        ({"TYPE": "v5litepod-128"}, "--accelerator-type=v5litepod-128"),
        ({"TYPE": "v6e-8", "RUNTIME": "mine"}, "--runtime-version=mine"),
    ],
)
def test_settings_choose_the_slice_and_its_software(cloud, settings, present):
    shown = cloud.run("create.sh", "--dry-run", **settings).stdout
    assert ("--spot" in shown) == (present is not None)
    assert present is None or present in shlex.split(shown)


def test_a_request_that_fails_and_software_that_is_not_there_are_said(cloud):
    cloud.states("PROVISIONING", "FAILED")
    ran = cloud.run("create.sh")
    assert (ran.returncode, "the request is FAILED" in ran.stderr) == (2, True)
    cloud.answers("versions describe", "exit 1")
    ran = cloud.run("create.sh")
    assert (ran.returncode, "no RUNTIME tpu-vm-tf-2.20.0-pod-pjrt" in ran.stderr) == (2, True)
    assert cloud.verbs().count("create") == 1


def test_a_request_that_vanishes_is_not_waited_for_as_one_that_is_not_listed_yet(cloud):
    cloud.states(*[""] * 5, "WAITING_FOR_RESOURCES", *[""] * 5, "ACTIVE")
    assert cloud.run("create.sh").returncode == 0
    cloud.states("WAITING_FOR_RESOURCES", *[""] * 3, "exit 1", "")
    ran = cloud.run("create.sh")
    assert (ran.returncode, "request for edet is no longer there" in ran.stderr) == (2, True)
    assert cloud.verbs().count("look") == 12 + 8


@pytest.mark.parametrize("missing", ["PROJECT", "ZONE", "BUCKET"])
def test_a_setting_that_is_missing_is_named_before_anything_happens(cloud, missing):
    ran = cloud.run("create.sh", **{missing: ""})
    assert ran.returncode == 2
    assert ran.stderr == f"tpu: {missing} is not set; tpu/README.md begins with the settings.\n"
    assert cloud.calls() == []


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ("project.sh", 6),
        ("stage.sh", 1),
        ("create.sh", 2),
        ("setup.sh", 2),
        ("train.sh", 1),
        ("follow.sh", 1),
        ("stop.sh", 1),
        ("delete.sh", 3),
        ("resume.sh", 8),
    ],
)
def test_dry_run_shows_the_calls_of_a_real_run_and_makes_none(cloud, script, calls, tmp_path):
    for name in ("coco/train2017-0.tfrecord", "coco/val2017-0.tfrecord"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cloud.answers("projects describe", "PROJECT_NUMBER")
    cloud.answers("buckets describe", "exit 1")  # not there yet
    cloud.states(*(["SUSPENDED"] * (script == "resume.sh")), "ACTIVE")
    cloud.answers("worker.sh state", "0")
    shown = cloud.run(script, "--dry-run", RECORDS=str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    assert cloud.calls() == []
    assert cloud.run(script, RECORDS=str(tmp_path), KEEP="1").returncode == 0
    lines = [shlex.split(line) for line in shown.stdout.splitlines()]
    shown, made = _what_changes(lines), _what_changes(cloud.calls())
    assert shown == made
    assert len(made) == calls


def _what_changes(calls: list[list[str]]) -> list[list[str]]:
    """Calls of gcloud apart from the looks in between; a temporary folder goes by no name."""
    calls = [call for call in calls if call[0] == "gcloud"]
    kept = [call for call in calls if call[1] != "compute" or _verb(call) not in ("look", "state")]
    return [[Path(w).name if w.endswith("edet.tar.gz") else w for w in call] for call in kept]


@pytest.mark.parametrize(
    ("kind", "start", "address"),
    [
        ("v5litepod-8", "--command=edet/tpu/worker.sh start ", "local"),
        ("v3-32", "--command=TPU_LOAD_LIBRARY=0 edet/tpu/worker.sh start ", "edet"),
    ],
)
def test_training_starts_on_the_first_host_with_flags_that_main_takes(
    cloud, kind, start, address, monkeypatch
):
    assert cloud.run("train.sh", "--set", "train.epochs=30", TYPE=kind).returncode == 0
    ((_, *call),) = cloud.calls()
    assert call[:5] == ["compute", "tpus", "tpu-vm", "ssh", "edet"]
    assert call[5] == "--worker=0"
    assert call[6].startswith(start)
    flags = shlex.split(call[6].removeprefix(start))
    assert flags == [
        "--mode=train_and_eval", "--strategy=tpu", f"--tpu={address}",
        "--config=configs/coco/d0.yaml", "--workdir=gs://my-bucket/coco/d0",
        "--set", "data.train_records=gs://my-bucket/records/coco/train2017-*",
        "--set", "data.eval_records=gs://my-bucket/records/coco/val2017-*",
        "--set", "train.epochs=30",
    ]  # fmt: skip
    monkeypatch.chdir(REPOSITORY)
    assert problem_with(["main.py", *flags]) == ""


@pytest.mark.parametrize(
    ("described", "created", "code", "bindings"),
    [("exit 1", "made", 0, 2), ("there", "exit 1", 0, 2), ("exit 1", "exit 1", 1, 0)],
    ids=["new", "made by an earlier call", "somebody else's"],
)
def test_a_project_can_be_set_up_again_with_the_bucket_that_is_there(
    cloud, described, created, code, bindings
):
    cloud.answers("buckets describe", described)
    cloud.answers("buckets create", created)
    assert cloud.run("project.sh").returncode == code
    assert sum("add-iam-policy-binding" in call for call in cloud.calls()) == bindings
    assert any("create" in call for call in cloud.calls()) == (described == "exit 1")


def test_records_that_are_not_there_are_named_before_anything_is_copied(cloud):
    ran = cloud.run("stage.sh", RECORDS="nowhere")
    assert ran.returncode == 2
    assert "no file matches nowhere/coco/train2017-*" in ran.stderr
    assert cloud.calls() == []


ROUND = ["look", "state"]
NEW = ["describe", "create", "look"]
BEGIN = ["archive", "scp", "install", "start"]
BACK = ["delete", "list", "list"]


def test_a_tpu_that_was_taken_back_is_asked_for_anew_and_the_training_goes_on(cloud):
    cloud.states("ACTIVE", "SUSPENDING", "SUSPENDED", "WAITING_FOR_RESOURCES", "ACTIVE")
    cloud.answers("worker.sh state", "running", "running", "0")
    ran = cloud.run("resume.sh", "--set", "train.epochs=30")
    assert ran.returncode == 0, ran.stderr
    assert cloud.verbs() == [
        *ROUND, "look", "look", *BACK, *NEW, "look", *BEGIN, *ROUND, *ROUND, *BACK,
    ]  # fmt: skip
    (start,) = [call for call in cloud.calls() if _verb(call) == "start"]
    assert start[7].endswith("'--set' 'train.epochs=30'")
    assert "finished: gs://my-bucket/coco/d0" in ran.stderr


def test_resuming_begins_from_nothing(cloud):
    cloud.states("", "ACTIVE")
    cloud.answers("worker.sh state", "0")
    assert cloud.run("resume.sh", KEEP="1").returncode == 0
    assert cloud.verbs() == ["look", *NEW, *BEGIN, *ROUND]


@pytest.mark.parametrize(
    ("job", "done"),
    [
        ("running", []),
        ("lost", ["start"]),  # the host was restarted
        ("143", ["start"]),
        ("1", ["start"]),
        ("new", BEGIN),
    ],
)
def test_what_a_round_does_about_the_training(cloud, job, done):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", job, "0")
    assert cloud.run("resume.sh", KEEP="1").returncode == 0
    assert cloud.verbs() == [*ROUND, *done, *ROUND]


def test_a_host_that_cannot_be_reached_is_asked_again(cloud):
    cloud.states("ACTIVE")  # as likely our network fails as theirs
    cloud.answers("worker.sh state", "running", "exit 255", "0")
    assert cloud.run("resume.sh", KEEP="1").returncode == 0
    assert cloud.verbs() == [*ROUND, *ROUND, *ROUND]


def test_a_host_that_is_never_reached_is_said_and_given_up(cloud):
    cloud.states("ACTIVE", "exit 1", "ACTIVE")  # a list that fails says nothing of the host
    cloud.answers("worker.sh state", "exit 255", "running", "exit 255")
    ran = cloud.run("resume.sh")
    said = [line for line in ran.stderr.splitlines() if "does not answer ssh" in line]
    looks = [1, *range(1, 21)]  # a look that is answered begins the row anew
    assert said[:-1] == [f"tpu: edet does not answer ssh, look {n} of 20." for n in looks]
    assert (ran.returncode, "The TPU stays, and costs." in said[-1]) == (2, True)
    assert cloud.verbs().count("state") == 22
    assert "delete" not in cloud.verbs()


def test_a_tpu_that_is_asked_for_anew_has_its_own_row_of_unanswered_looks(cloud):
    cloud.states(*["ACTIVE"] * 19, "SUSPENDED", "ACTIVE")
    cloud.answers("worker.sh state", *["exit 255"] * 20, "0")
    ran = cloud.run("resume.sh", KEEP="1")
    assert ran.returncode == 0, ran.stderr


def test_a_list_that_cannot_be_had_takes_nothing_away(cloud):
    cloud.states("ACTIVE", "exit 1", "ACTIVE")
    cloud.answers("worker.sh state", "running", "0")
    assert cloud.run("resume.sh", KEEP="1").returncode == 0
    assert cloud.verbs() == [*ROUND, "look", *ROUND]


@pytest.mark.parametrize("code", ["0", "2", "75"])
def test_how_an_earlier_run_ended_does_not_decide_a_new_one(cloud, code):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", code, "running", "0")
    assert cloud.run("resume.sh", KEEP="1").returncode == 0
    assert cloud.verbs() == [*ROUND, "start", *ROUND, *ROUND]


def test_a_tpu_that_trains_something_else_is_left_to_it(cloud):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", "other")
    ran = cloud.run("resume.sh")
    assert (ran.returncode, "edet is training something else" in ran.stderr) == (2, True)
    assert cloud.verbs() == ROUND
    assert "worker.sh state 'gs://my-bucket/coco/d0'" in " ".join(cloud.calls()[-1])


@pytest.mark.parametrize(
    ("job", "starts", "words"),
    [
        ("2", 1, "the training refuses its settings"),
        ("75", 5, "with code 75, the fifth time without a newer checkpoint"),
    ],
)
def test_a_training_that_cannot_work_is_not_started_for_ever(cloud, job, starts, words):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", job)
    ran = cloud.run("resume.sh")
    assert (ran.returncode, words in ran.stderr) == (2, True), ran.stderr
    assert cloud.verbs().count("start") == starts
    assert "delete" not in cloud.verbs()


def _index(*steps: int) -> str:
    return " ".join(f"gs://my-bucket/coco/d0/checkpoints/ckpt-{step}.index" for step in steps)


@pytest.mark.parametrize(
    "listings",
    [["exit 1"], [_index(900)], [_index(1000, 900), "exit 1", _index(900)]],
    ids=["none", "always the same", "none and older"],
)
def test_a_training_that_runs_and_crashes_is_given_up_without_a_newer_checkpoint(cloud, listings):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", *["running", "1"] * 12)
    cloud.answers("storage ls", *listings)
    ran = cloud.run("resume.sh")
    assert ran.returncode == 2
    assert "ended with code 1, the fifth time without a newer checkpoint" in ran.stderr
    assert cloud.verbs().count("start") == 4
    assert "delete" not in cloud.verbs()


def test_crashes_are_forgotten_when_a_newer_checkpoint_is_there(cloud):
    cloud.states("ACTIVE")
    cloud.answers("worker.sh state", *["running", "1"] * 8, "0")
    cloud.answers("storage ls", *[_index(900)] * 4, _index(1000, 900))  # by number, not by letter
    ran = cloud.run("resume.sh", KEEP="1")
    assert ran.returncode == 0, ran.stderr
    assert cloud.verbs().count("start") == 8
    listed = next(call for call in cloud.calls() if "ls" in call)
    index = "gs://my-bucket/coco/d0/checkpoints/ckpt-*.index"
    assert listed == ["gcloud", "storage", "ls", index, "--project=my-project", "--quiet"]


PYTHON = """#!/bin/bash
echo "$@"
case $2 in
  exit) exit "$3" ;;
  wait) trap 'echo saved; exit 143' TERM; while true; do sleep 0.05; done ;;
esac
"""


@pytest.fixture
def worker(tmp_path):
    """Calls a copy of worker.sh beside a fake .venv; returns what it prints."""
    (tmp_path / "edet/tpu").mkdir(parents=True)
    (tmp_path / "edet/.venv/bin").mkdir(parents=True)
    script = shutil.copy(REPOSITORY / "tpu/worker.sh", tmp_path / "edet/tpu")
    python = tmp_path / "edet/.venv/bin/python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def call(*words: str) -> str:
        ran = subprocess.run([script, *words], capture_output=True, timeout=300, check=True)
        return ran.stdout.decode().strip()

    (tmp_path / "edet/.venv/ready").touch()
    yield call
    call("stop")


def test_the_worker_starts_once_tells_how_it_is_and_lets_it_save(worker, tmp_path):
    assert worker("state") == "lost"
    worker("start", "wait", "a b")
    assert worker("state") == "running"
    assert worker("start", "wait").startswith("is running already:")
    assert worker("stop") == "143"
    assert worker("state") == "143"
    assert (tmp_path / "edet/train.log").read_text() == "main.py wait a b\nsaved\n"


def test_the_worker_knows_its_training_from_another(worker):
    worker("start", "wait", "--workdir=gs://b/d0-trial")
    assert worker("state", "gs://b/d0-trial") == "running"
    assert worker("state", "gs://b/d0") == "other"
    said = worker("start", "wait", "--workdir=gs://b/d0")
    assert said.startswith("is running already:") and said.endswith("--workdir=gs://b/d0-trial")


def test_stopping_what_a_restart_has_ended_does_not_wait_for_it(worker, tmp_path):
    (tmp_path / "edet/train.pid").write_text(str(os.getpid()))  # no train.exit, nothing runs
    assert worker("stop") == "lost"


def test_the_worker_knows_how_a_training_ended_and_when_it_does_not(worker, tmp_path):
    worker("start", "exit", "2")
    while worker("state") in ("running", "lost"):
        time.sleep(0.05)
    assert worker("state") == "2"
    (tmp_path / "edet/train.exit").unlink()
    (tmp_path / "edet/train.pid").write_text(str(os.getpid()))  # another program's by now
    assert worker("state") == "lost"
    (tmp_path / "edet/train.pid").unlink()
    (tmp_path / "edet/.venv/ready").unlink()
    assert worker("state") == "new"
