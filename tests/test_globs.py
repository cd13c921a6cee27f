"""What lies where: files by glob, and the names in a folder."""

import os

import pytest

from edet.errors import UserError
from edet.files import read_text
from edet.globs import find_files, glob_of, list_folder, match_files


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert list_folder(str(tmp_path / "none")) == []
    (tmp_path / "a").write_text("")
    assert list_folder(str(tmp_path)) == ["a"]
    with pytest.raises(UserError, match="cannot list .*/a: it is a file") as refused:
        list_folder(str(tmp_path / "a"))
    assert refused.value.exit_code == 2


def test_a_file_whose_name_is_not_utf8_is_said_with_its_folder(tmp_path):
    open(os.fsencode(tmp_path) + b"/bad\xff.jpg", "w").close()
    for look in (lambda: match_files(f"{tmp_path}/*.jpg"), lambda: list_folder(str(tmp_path))):
        with pytest.raises(UserError, match=rf"name in {tmp_path} is not UTF-8 \(.*xff"):
            look()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.jpg").write_text("")
    assert match_files("~/*.jpg") == [f"{tmp_path}/a.jpg"]
    assert read_text("~/a.jpg", "label map") == ""


@pytest.mark.parametrize("name", ["[a]", "a*", "a?", "a\\b", "{a}", "ab"])
def test_a_glob_of_a_path_matches_it_alone(name, tmp_path):
    for folder in (name, "a", "ab", "axb"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "0.jpg").touch()
    assert match_files(f"{glob_of(str(tmp_path / name))}/*.jpg") == [f"{tmp_path}/{name}/0.jpg"]


def test_records_are_files_and_no_folder(tmp_path):
    with pytest.raises(
        UserError, match=rf"= '{tmp_path}' is a folder; give a glob of its TFRecords, which"
    ):
        find_files(str(tmp_path), "data.train_records")


def test_globs_are_sorted_joined_and_without_folders(tmp_path):
    for name in ("b-1", "a-2", "a-1"):
        (tmp_path / name).write_text("")
    (tmp_path / "a-3").mkdir()
    found = find_files(f"{tmp_path}/a-*, {tmp_path}/b-*", "data.train_records")
    assert [path[-3:] for path in found] == ["a-1", "a-2", "b-1"]


def test_a_name_that_looks_like_a_glob_is_found(tmp_path):
    for name in ("photo[1].jpg", "photo1.jpg", "photo2.jpg"):
        (tmp_path / name).write_text("")
    assert match_files(f"{tmp_path}/photo[1].jpg") == [f"{tmp_path}/photo[1].jpg"]
    assert len(match_files(f"{tmp_path}/photo[12].jpg")) == 2


@pytest.mark.parametrize("pattern", ["", "nowhere/*.tfrecord"])
def test_no_files_is_an_error_that_names_the_setting(pattern):
    with pytest.raises(UserError, match="data.train_records"):
        find_files(pattern, "data.train_records")


def test_a_comma_belongs_to_a_name_and_parts_only_where_nothing_has_that_name(tmp_path):
    folder = tmp_path / "cats, dogs"
    folder.mkdir()
    for name in ("a-1", "a-2", "b,c"):
        (folder / name).write_text("")
    (tmp_path / "b-1").write_text("")
    names = lambda pattern: [path[-3:] for path in find_files(pattern, "data.train_records")]  # noqa: E731
    assert names(f"{folder}/a-*") == ["a-1", "a-2"]
    assert names(f"{folder}/b,c") == ["b,c"]
    assert names([f"{folder}/a-*", f"{tmp_path}/b-*"]) == ["b-1", "a-1", "a-2"]
    assert names(f"{tmp_path}/b-*,{tmp_path}/b-1") == ["b-1"]
    with pytest.raises(UserError, match=rf"= '{tmp_path}/c-\*' matches no file"):
        find_files(f"{tmp_path}/b-*, {tmp_path}/c-*", "data.train_records")
    with pytest.raises(UserError, match=rf"= '{folder}/c-\*' matches no file"):
        find_files(f"{folder}/c-*", "data.train_records")
