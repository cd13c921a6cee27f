"""The names of other detectors lead to settings that there are."""

from edet.config import other_names
from edet.config.loading import flat_settings
from edet.config.schema import Config


def test_every_name_of_others_leads_to_a_setting_and_is_none_itself():
    ours = flat_settings(Config())
    assert set(other_names._OTHERS) <= ours.keys()
    theirs = {name for names in other_names._OTHERS.values() for name in names.split()}
    assert not theirs & {key.rpartition(".")[2] for key in ours}


def test_a_name_may_mean_several_settings():
    assert other_names.called_elsewhere("fp16") == ["train.precision", "export.precision"]
    assert other_names.called_elsewhere("remat") == []
