"""What the demo refuses before it begins; tests/test_wheel.py runs it."""

from edet.cli.common import call, parsed
from edet.cli.demo import define_flags, demo


def test_a_bucket_is_refused_and_makes_no_folder_of_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edet.cli.demo._command", lambda *_: (tmp_path / "begun").mkdir())
    assert call(demo, parsed(define_flags, ["--output=gs://bucket/demo"]), []) == 2
    assert "--output=gs://bucket/demo is no folder of this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
