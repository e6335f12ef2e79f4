"""Settings come from the environment, once, and name the variable that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.settings import VARIABLES, WrongSetting, read_settings


def test_defaults_serve_one_person_on_this_machine() -> None:
    chosen = read_settings({})
    assert (chosen.host, chosen.port, chosen.device) == ("127.0.0.1", 7860, "auto")
    assert chosen.database_url == f"sqlite:///{chosen.data_dir / 'mien.sqlite'}"
    assert chosen.weights_folders == (chosen.own_weights_dir,)
    assert not (chosen.on_spaces or chosen.zero_gpu)


def test_every_variable_is_heard() -> None:
    chosen = read_settings(
        {
            "MIEN_DATA_DIR": "/tmp/data",
            "MIEN_WEIGHTS_DIR": "/tmp/mirror",
            "MIEN_DATABASE_URL": "postgresql://db/mien",
            "MIEN_DEVICE": "cuda:1",
            "MIEN_PORT": "8000",
            "GRADIO_SERVER_PORT": "9000",
            "GRADIO_SERVER_NAME": "0.0.0.0",
            "SPACE_ID": "someone/mien",
            "SPACES_ZERO_GPU": "true",
        }
    )
    assert chosen.weights_folders == (Path("/tmp/mirror"), Path("/tmp/data/weights"))
    assert (chosen.database_url, chosen.device, chosen.port) == ("postgresql://db/mien", "cuda:1", 8000)
    assert (chosen.host, chosen.on_spaces, chosen.zero_gpu) == ("0.0.0.0", True, True)


def test_empty_variables_count_as_unset() -> None:
    assert read_settings(dict.fromkeys(VARIABLES, " ")) == read_settings({})


def test_a_space_listens_to_the_world() -> None:
    assert read_settings({"SPACE_ID": "someone/mien"}).host == "0.0.0.0"
    assert read_settings({"GRADIO_SERVER_PORT": "7000"}).port == 7000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIEN_PORT", "abc"),
        ("MIEN_PORT", "0"),
        ("MIEN_OFFICIAL_FRAMES", "0"),
        ("MIEN_INPAINT_MODEL", "no owner"),
        ("MIEN_INPAINT_ON_CPU", "maybe"),
        ("MIEN_PORT", "70000"),
        ("MIEN_PORT", "²"),
        ("MIEN_DEVICE", "gpu"),
        ("MIEN_DEVICE", "cuda:x"),
        ("MIEN_DEVICE", "cpu:1"),
    ],
)
def test_wrong_values_name_their_variable(name: str, value: str) -> None:
    with pytest.raises(WrongSetting, match=name):
        read_settings({name: value})
