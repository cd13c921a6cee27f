"""Checkpoints hold everything, go on exactly, and say what is wrong with them."""

import resource
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.lib.io import file_io

from edet.checkpoint_files import find_damage, read_weights, stored_names
from edet.errors import StorageError, UserError
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.weights.loading import load_weights
from edet.workdir import Workdir
from tests.training.small import make_batch, modern, seeded_network, small_config, small_step


class Run:
    """A training whose steps are called one by one."""

    def __init__(self, folder, config=None):
        config = config or small_config()
        self.network = seeded_network(config)
        self.variables = TrainingVariables(self.network, config.train.optimizer)
        self.step = small_step(self.network, config)
        self.checkpoints = Checkpoints(Workdir(str(folder)), self.variables, keep=2)

    def advance(self, steps):
        for seed in steps:
            state, _ = self.step(self.variables.read(), make_batch(seed))
            self.variables.assign(state)

    def values(self):
        by_name = self.variables.by_name()
        return {
            f"{group}/{path}": variable.numpy()
            for group in ("raw", "average", "velocity", "square")
            for path, variable in by_name.get(group, {}).items()
        }


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(small_config(), id="sgd", marks=pytest.mark.thorough),
        pytest.param(modern(small_config()), id="adamw"),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path, config):
    whole = Run(tmp_path, config)
    whole.advance([0, 1])
    whole.checkpoints.save()
    whole.advance([2])
    second = Run(tmp_path, config)
    assert second.checkpoints.restore_last()
    assert int(second.variables.step) == 2
    second.advance([2])
    found = second.values()
    for name, value in whole.values().items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.thorough
def test_packed_values_are_those_of_the_last_whole_checkpoint(tmp_path):
    """The damaged one is read in part before it is found out."""
    run = Run(tmp_path, modern(small_config()))
    run.advance([0])
    run.checkpoints.save()
    expected = run.values()
    run.advance([1])
    run.checkpoints.save()
    flip_a_byte(tmp_path / "checkpoints" / "ckpt-2.data-00000-of-00001")
    again = Run(tmp_path, modern(small_config()))
    assert again.checkpoints.restore_last(log=lambda _: None)
    assert int(again.variables.step) == 1
    found = again.values()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_an_empty_workdir_has_nothing_to_restore(tmp_path):
    assert not FewVariables(tmp_path).checkpoints.restore_last()
    assert Workdir(str(tmp_path)).checkpoint() is None


def test_only_the_last_ones_are_kept_and_the_best_is_beside_them(tmp_path):
    run = FewVariables(tmp_path)
    for step, ap in ((1, 0.2), (2, 0.5), (3, 0.3)):
        run.step.assign(step)
        run.checkpoints.save()
        assert run.checkpoints.save_if_best(ap) == (ap != 0.3)
    assert run.checkpoints.best() == {"step": 2, "AP": 0.5}
    assert Workdir(str(tmp_path)).checkpoint().endswith("best/ckpt-2")
    assert Workdir(str(tmp_path)).checkpoint("last").endswith("checkpoints/ckpt-3")
    assert len(list((tmp_path / "checkpoints").glob("*.index"))) == 2


def test_weights_are_read_by_the_names_of_the_variables(tmp_path):
    run = Run(tmp_path)
    run.advance([0])
    path = run.checkpoints.save()
    for kind in ("raw", "average"):
        weights = read_weights(path, kind)
        assert set(weights) == {v.path for v in run.network.variables}
        expected = run.variables.by_name()[kind]["class_head.predict/bias"]
        np.testing.assert_array_equal(weights["class_head.predict/bias"], expected)


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path):
    Run(tmp_path).checkpoints.save()
    other = small_config(model={"pyramid_width": 24})
    with pytest.raises(UserError, match="ckpt-0"):
        Run(tmp_path, other).checkpoints.restore_last()


class FewVariables:
    """What Checkpoints needs of a run's variables, 600 kB that are made in no time."""

    def __init__(self, folder):
        self.step = tf.Variable(0)
        self.values = {
            kind: {"layer/kernel": tf.Variable(tf.range(50_000.0))}
            for kind in ("raw", "average", "velocity")
        }
        self.checkpoints = Checkpoints(Workdir(str(folder)), self, keep=2)

    def by_name(self):
        return {"step": self.step} | self.values

    def take_named(self):
        """Nothing of it is packed."""


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        lambda index, data: cut(data, 1000),
        lambda index, data: cut(data, -1),
        lambda index, data: cut(data, 0),
        lambda index, data: data.unlink(),
        lambda index, data: cut(index, 100),
        lambda index, data: cut(index, 0),
        lambda index, data: flip_a_byte(data),
    ],
    ids=["short", "a byte short", "empty", "no data", "short index", "empty index", "flipped"],
)
def test_a_damaged_newest_checkpoint_is_skipped_with_a_sentence(tmp_path, damage):
    run = FewVariables(tmp_path)
    for step in (3, 6):
        run.step.assign(step)
        run.checkpoints.save()
    folder = tmp_path / "checkpoints"
    damage(folder / "ckpt-6.index", folder / "ckpt-6.data-00000-of-00001")
    told = []
    again = FewVariables(tmp_path)
    assert again.checkpoints.restore_last(told.append)
    assert int(again.step) == 3
    assert len(told) == 1
    assert "ckpt-6 is damaged" in told[0]
    again.step.assign(4)
    again.checkpoints.save()
    assert sorted(path.name for path in folder.glob("ckpt-*.index")) == [
        "ckpt-3.index", "ckpt-4.index",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fails",
    [
        # TensorFlow takes a bucket that does not answer for a folder that is not there.
        [(file_io._pywrap_file_io, "IsDirectory", tf.errors.UnavailableError)],
        [(tf.io.gfile, "exists", tf.errors.UnavailableError)],
        [(tf.io.gfile, "stat", tf.errors.AbortedError)],
        [(tf.train.Checkpoint, "read", tf.errors.DeadlineExceededError)],
        # TensorFlow's reader calls every kind of error a damaged file.
        [
            (tf.train, "load_checkpoint", tf.errors.DataLossError),
            (tf.io.gfile, "GFile", tf.errors.AbortedError),
        ],
    ],
    ids=["listing", "looking", "length", "data", "index"],
)
def test_storage_that_does_not_answer_is_not_taken_for_a_damaged_checkpoint(
    fails, tmp_path, monkeypatch
):
    run = FewVariables(tmp_path)
    for step in (3, 6):
        run.step.assign(step)
        run.checkpoints.save()
    with monkeypatch.context() as patch:
        for owner, name, kind in fails:
            patch.setattr(owner, name, raiser(kind(None, None, "no answer")))
        told = []
        with pytest.raises(StorageError, match=r"cannot .*checkpoints.*: (no ans|Could not f)"):
            FewVariables(tmp_path).checkpoints.restore_last(told.append)
        assert told == []
    again = FewVariables(tmp_path)
    assert again.checkpoints.restore_last()
    assert int(again.step) == 6


def test_a_write_into_storage_that_stops_answering_takes_no_earlier_one_away(tmp_path, monkeypatch):
    run = FewVariables(tmp_path)
    run.checkpoints.save()
    error = tf.errors.UnavailableError(None, None, "no answer")
    write = tf.train.Checkpoint.write

    def write_and_lose(self, path):
        write(self, path)
        monkeypatch.setattr(file_io._pywrap_file_io, "IsDirectory", raiser(error))

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", write_and_lose)
        run.step.assign(3)
        with pytest.raises(StorageError, match="the earlier ones are untouched"):
            run.checkpoints.save()
    assert (tmp_path / "checkpoints" / "ckpt-0.index").exists()


def test_a_fault_that_passes_at_once_is_not_taken_for_damage(tmp_path, monkeypatch):
    """The reader calls it a damaged file, and a moment later the index can be read again."""
    run = FewVariables(tmp_path)
    for step in (3, 6):
        run.step.assign(step)
        run.checkpoints.save()
    path, load = str(tmp_path / "checkpoints" / "ckpt-6"), tf.train.load_checkpoint
    for read in (find_damage, read_weights):
        lost = tf.errors.DataLossError(None, None, "Unable to open table file: retry failed")
        answers = iter([raiser(lost), load])
        monkeypatch.setattr(tf.train, "load_checkpoint", lambda path: next(answers)(path))  # noqa: B023
        assert "Unable" not in str(read(path))
        assert next(answers, None) is None


def raiser(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_checkpoint_that_may_not_be_read_is_a_mistake_that_does_not_pass(tmp_path, monkeypatch):
    run = FewVariables(tmp_path)
    run.checkpoints.save()
    denied = tf.errors.PermissionDeniedError(None, None, "403")
    monkeypatch.setattr(tf.io.gfile, "stat", raiser(denied))
    with pytest.raises(UserError, match="cannot read the checkpoint .*ckpt-0: 403") as refused:
        FewVariables(tmp_path).checkpoints.restore_last()
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("read", [read_weights, stored_names])
def test_weights_in_storage_that_does_not_answer_can_be_asked_for_again(
    read, tmp_path, monkeypatch
):
    FewVariables(tmp_path).checkpoints.save()
    lost = tf.errors.DataLossError(None, None, "Unable to open table file")
    monkeypatch.setattr(tf.train, "load_checkpoint", raiser(lost))
    path = str(tmp_path / "checkpoints" / "ckpt-0")
    with pytest.raises(UserError, match="ckpt-0: Unable to open") as refused:
        read(path)
    assert refused.value.exit_code == 2
    monkeypatch.setattr(tf.io.gfile, "GFile", raiser(tf.errors.AbortedError(None, None, "silent")))
    with pytest.raises(StorageError, match="ckpt-0: silent"):
        read(path)


def test_other_modes_pass_over_a_damaged_checkpoint_too(tmp_path):
    run = Run(tmp_path)
    run.checkpoints.save()
    run.variables.step.assign(5)
    run.checkpoints.save_if_best(0.5)
    cut(tmp_path / "best" / "ckpt-5.data-00000-of-00001", 1000)
    assert Workdir(str(tmp_path)).checkpoint().endswith("checkpoints/ckpt-0")
    report = load_weights(run.network, str(tmp_path))
    assert len(report.notes) == 1
    assert "best/ckpt-5 is damaged (only 1000 of" in report.notes[0]


def test_the_files_count_and_not_the_list_of_them(tmp_path):
    run = FewVariables(tmp_path)
    for step in (3, 6):
        run.step.assign(step)
        run.checkpoints.save()
    folder = tmp_path / "checkpoints"
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-6")
    for path in folder.glob("ckpt-6*"):
        path.unlink()  # the list still names it
    again, told = FewVariables(tmp_path), []
    assert again.checkpoints.restore_last(told.append)
    assert (int(again.step), told) == (3, [])
    (folder / "checkpoint").unlink()
    assert FewVariables(tmp_path).checkpoints.restore_last()


def test_a_run_without_any_whole_checkpoint_does_not_silently_start_anew(tmp_path):
    run = FewVariables(tmp_path)
    run.checkpoints.save()
    cut(tmp_path / "checkpoints" / "ckpt-0.data-00000-of-00001", 1000)
    with pytest.raises(UserError, match="no checkpoint in .* is whole; remove that folder"):
        FewVariables(tmp_path).checkpoints.restore_last()
    with pytest.raises(UserError, match="cannot read the checkpoint .*ckpt-0"):
        read_weights(Workdir(str(tmp_path)).checkpoint())


def test_what_a_kill_left_of_a_write_is_cleared_away_by_the_next(tmp_path):
    run = FewVariables(tmp_path)
    run.checkpoints.save()
    folder = tmp_path / "checkpoints"
    (folder / "ckpt-3_temp").mkdir()
    (folder / "ckpt-3_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    (folder / "ckpt-3.data-00000-of-00001").write_bytes(b"without an index")
    (folder / "ckpt-notes.txt").write_text("somebody's own")
    again = FewVariables(tmp_path)
    assert again.checkpoints.restore_last()
    again.step.assign(2)
    again.checkpoints.save()
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint", "ckpt-0.data-00000-of-00001", "ckpt-0.index",
        "ckpt-2.data-00000-of-00001", "ckpt-2.index", "ckpt-notes.txt",
    ]  # fmt: skip


def test_the_old_ones_stay_until_the_new_one_is_whole(tmp_path, monkeypatch):
    run = FewVariables(tmp_path)
    for step in (1, 2):
        run.step.assign(step)
        run.checkpoints.save()
    write = tf.train.Checkpoint.write

    def write_half(self, path):
        write(self, path)
        cut(tmp_path / "checkpoints" / "ckpt-3.data-00000-of-00001", 1000)

    monkeypatch.setattr(tf.train.Checkpoint, "write", write_half)
    run.step.assign(3)
    with pytest.raises(UserError, match=r"cannot write .*only 1000 of .* earlier ones are unto"):
        run.checkpoints.save()
    again = FewVariables(tmp_path)
    assert again.checkpoints.restore_last()
    assert int(again.step) == 2
    assert (tmp_path / "checkpoints" / "ckpt-1.index").exists()


def test_a_disk_that_is_full_keeps_the_last_good_checkpoint(tmp_path):
    """For real: the system refuses files beyond 64 kB, as it refuses what does not fit."""
    run = FewVariables(tmp_path)
    run.checkpoints.save()
    run.step.assign(3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
        with pytest.raises(
            StorageError,
            match=r"checkpoints: \S*ckpt-3\S*; File too large; the earlier ones are untouched",
        ):
            run.checkpoints.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "checkpoint", "ckpt-0.data-00000-of-00001", "ckpt-0.index",
    ]  # fmt: skip
    assert FewVariables(tmp_path).checkpoints.restore_last()


def names(folder):
    return sorted(path.stem for path in folder.glob("ckpt-*.index"))


def test_a_second_run_in_the_folder_takes_nothing_away_from_the_first(tmp_path):
    """Both in this process, which no lock keeps apart; the second begins at step 3, and is late."""
    first, second = FewVariables(tmp_path), FewVariables(tmp_path)
    first.step.assign(3)
    first.checkpoints.save()
    assert second.checkpoints.restore_last()
    for step in (6, 9):
        first.step.assign(step)
        first.checkpoints.save()
    second.step.assign(6)
    with pytest.raises(UserError, match=r"another run writes to .*: of steps 6, 9\. Nothing was"):
        second.checkpoints.save()
    assert names(tmp_path / "checkpoints") == ["ckpt-6", "ckpt-9"]
    first.step.assign(12)
    first.checkpoints.save()
    assert names(tmp_path / "checkpoints") == ["ckpt-12", "ckpt-9"]


def test_a_best_checkpoint_of_another_run_is_not_removed_either(tmp_path):
    first, second = FewVariables(tmp_path), FewVariables(tmp_path)
    first.step.assign(6)
    first.checkpoints.save_if_best(0.4)
    second.step.assign(3)
    with pytest.raises(UserError, match=r"another run writes to .*best"):
        second.checkpoints.save_if_best(0.5)
    assert names(tmp_path / "best") == ["ckpt-6"]


ON_A, ON_B = {"records": "8 with fingerprint a"}, {"records": "9 with fingerprint b"}


def best_of(folder, measured_on=ON_A, steps=(3,)):
    """A run whose evaluation after each step, of AP 0.5, was on these records."""
    run = FewVariables(folder)
    for step in steps:
        run.step.assign(step)
        run.checkpoints.save()
        run.checkpoints.save_if_best(0.5, measured_on=measured_on)
    return run


def again(folder, measured_on=ON_A, goes_on=True):
    """What a run that is started there now makes of the best score; (run, step, sentences)."""
    run, told = FewVariables(folder), []
    step = run.checkpoints.best_to_measure_again(measured_on, goes_on, told.append)
    return run, step, told


def test_a_best_score_of_the_same_records_and_settings_stays(tmp_path):
    best_of(tmp_path)
    run, step, told = again(tmp_path)
    assert (step, told) == (None, [])
    run.step.assign(6)
    assert not run.checkpoints.save_if_best(0.4, measured_on=ON_A)
    assert run.checkpoints.best() == {"step": 3, "AP": 0.5}


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (ON_B, "records 9 with fingerprint b, now 8 with fingerprint a"),
        (None, "unknown records and settings"),  # written before edet noted them
    ],
)
def test_a_best_score_of_something_else_is_measured_again(tmp_path, before, words):
    best_of(tmp_path, before)
    run, step, (told,) = again(tmp_path)
    assert step == 3
    assert told.endswith(
        f"best/ckpt-3, the best so far, is measured again: its score is of {words}"
    )
    run.checkpoints.score_best(3, 0.2, "AP", ON_A)
    run.step.assign(6)
    assert run.checkpoints.save_if_best(0.3, measured_on=ON_A)
    assert run.checkpoints.best() == {"step": 6, "AP": 0.3}


def test_a_lower_score_replaces_one_of_other_records(tmp_path):
    """Where the best checkpoint is the current one it is not measured twice."""
    run = best_of(tmp_path)
    assert run.checkpoints.save_if_best(0.1, measured_on=ON_B)


@pytest.mark.parametrize("what", ["removed", "damaged", "another run"])
def test_a_best_score_without_a_checkpoint_of_this_run_is_none(tmp_path, what):
    best_of(tmp_path)
    data = tmp_path / "best" / "ckpt-3.data-00000-of-00001"
    if what == "removed":
        shutil.rmtree(tmp_path / "best")
        (tmp_path / "best").mkdir()
        (tmp_path / "best" / "best.json").write_text('{"step": 3, "AP": 0.5}')
    elif what == "damaged":
        cut(data, 1000)
    run, step, (told,) = again(tmp_path, goes_on=what != "another run")
    assert step is None
    assert told.endswith("; the first evaluation decides anew which is the best")
    assert run.checkpoints.best() is None
    assert again(tmp_path)[1:] == (None, [])  # also after a restart before that evaluation
    assert run.checkpoints.save_if_best(0.1, measured_on=ON_A)


def test_only_the_chief_writes(tmp_path):
    run = FewVariables(tmp_path)
    others = Checkpoints(Workdir(str(tmp_path)), run, keep=2, is_chief=False)
    others.save()
    assert not others.save_if_best(0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", '{"step": "3", "AP": 0.5}', '{"step": 3, "AP": 0.5, "measured_on": "x"}',
     '{"step": 3, "AP": "0.5"}'],
)  # fmt: skip
def test_a_damaged_score_of_the_best_is_none(tmp_path, content):
    run = Run(tmp_path)
    run.checkpoints.save_if_best(0.5)
    assert run.checkpoints.best()["AP"] == 0.5
    (tmp_path / "best" / "best.json").write_text(content)
    assert run.checkpoints.best() is None
    assert run.checkpoints.save_if_best(0.25)


def test_a_score_of_another_metric_does_not_count(tmp_path):
    run = Run(tmp_path)
    run.checkpoints.save_if_best(0.5, "mIOU")
    assert run.checkpoints.save_if_best(0.25, "AP")
    assert run.checkpoints.best()["AP"] == 0.25
