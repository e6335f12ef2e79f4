"""Lua Torch files: read exactly, converted exactly, refused when they lie."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.dfc_vae.load import (
    AUTHORS_DECODER,
    AUTHORS_ENCODER,
    install_authors_decoder,
    install_authors_encoder,
    load_authors,
)
from models.dfc_vae.official import AuthorsVae128
from models.dfc_vae.parity import filled
from models.dfc_vae.torch7 import LuaObject, read_torch7
from models.errors import BadWeights, MissingWeights
from tests.unit.dfc_vae.torch7_writer import Torch7Writer, lua_container, lua_layer


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return filled(AuthorsVae128(), "any", "torch7")


def encoder_in_lua(network: AuthorsVae128, **how: bool) -> LuaObject:
    heads = [lua_layer(head, **how) for head in (network.fc_mu, network.fc_logvar)]
    layers = [lua_layer(layer, **how) for layer in network.encoder]
    return lua_container("Sequential", [*layers, LuaObject("nn.View"), lua_container("ConcatTable", heads)])


def decoder_in_lua(network: AuthorsVae128, **how: bool) -> LuaObject:
    return lua_container("Sequential", [lua_layer(layer, **how) for layer in network.decoder])


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("old_statistics", [False, True])
def test_the_authors_files_come_back_as_the_network_they_hold(
    network: AuthorsVae128, tmp_path: Path, *, flat: bool, old_statistics: bool
) -> None:
    how = {"flat": flat, "old_statistics": old_statistics}
    encoder = Torch7Writer().save(encoder_in_lua(network, **how), tmp_path / "encoder.t7")
    decoder = Torch7Writer().save(decoder_in_lua(network, **how), tmp_path / "decoder.t7")
    install_authors_encoder(encoder, tmp_path / AUTHORS_ENCODER)
    install_authors_decoder(decoder, tmp_path / AUTHORS_DECODER)
    loaded = load_authors(tmp_path).state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded[key], value, rtol=1e-5, atol=1e-6)


def test_shared_objects_and_plain_values_survive(tmp_path: Path) -> None:
    shared = np.arange(6, dtype=np.float64).reshape(2, 3).T  # strides not in C order
    table = {"a": shared, "b": shared, "n": 1.5, 3: "three", "yes": True, "none": None}
    read = read_torch7(Torch7Writer().save(table, tmp_path / "table.t7"))
    assert isinstance(read, dict)
    assert read["a"] is read["b"]
    np.testing.assert_array_equal(read["a"], shared)
    assert (read["n"], read[3], read["yes"], read["none"]) == (1.5, "three", True, None)


def test_compiled_functions_are_stepped_over(tmp_path: Path) -> None:
    closure = struct.pack("<iii", 8, 7, 4) + b"\x1bLua" + struct.pack("<i", 0)
    table = struct.pack("<iii", 3, 1, 2) + struct.pack("<ii", 2, 1) + b"f" + closure
    path = tmp_path / "function.t7"
    path.write_bytes(table + struct.pack("<ii", 2, 1) + b"x" + struct.pack("<id", 1, 4.0))
    assert read_torch7(path) == {"f": None, "x": 4}


def test_a_truncated_file_is_refused_wherever_it_ends(network: AuthorsVae128, tmp_path: Path) -> None:
    whole = Torch7Writer().save(decoder_in_lua(network, flat=False, old_statistics=False), tmp_path / "whole.t7")
    content = whole.read_bytes()
    for end in (0, 3, 11, 40, 200, len(content) // 2, len(content) - 1):
        cut = tmp_path / "cut.t7"
        cut.write_bytes(content[:end])
        with pytest.raises(BadWeights, match=r"cut\.t7"):
            read_torch7(cut)


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    content = bytearray(Torch7Writer().save(np.ones((2, 3), np.float32), tmp_path / "t.t7").read_bytes())
    shape_at = content.index(b"torch.FloatTensor") + len("torch.FloatTensor") + 4
    content[shape_at : shape_at + 8] = struct.pack("<q", 2000)
    (tmp_path / "t.t7").write_bytes(bytes(content))
    with pytest.raises(BadWeights, match="beyond its storage"):
        read_torch7(tmp_path / "t.t7")


def test_a_tower_of_tables_is_refused(tmp_path: Path) -> None:
    tower: dict[object, object] = {}
    for _ in range(300):
        tower = {1: tower}
    with pytest.raises(BadWeights, match="deep"):
        read_torch7(Torch7Writer().save(tower, tmp_path / "tower.t7"))


def test_decoder_given_as_encoder_is_named_as_wrong(network: AuthorsVae128, tmp_path: Path) -> None:
    decoder = Torch7Writer().save(decoder_in_lua(network, flat=False, old_statistics=False), tmp_path / "d.t7")
    with pytest.raises(BadWeights, match="layers with weights"):
        install_authors_encoder(decoder, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_missing_files_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="mien weights add dfc-vae-authors-encoder"):
        load_authors(tmp_path)
