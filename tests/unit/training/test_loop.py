"""The loop learns, stops on time, and goes on where it stopped."""

from __future__ import annotations

import json

import torch
from torch import nn

from models.training.loop import Budget, fit


def batches():
    generator = torch.Generator().manual_seed(0)
    while True:
        x = torch.randn(32, 4, generator=generator)
        yield {"x": x, "y": x @ torch.tensor([1.0, -2.0, 0.5, 3.0])}


def loss_of(network, batch):
    return {"square": (network(batch["x"])[:, 0].float() - batch["y"]).pow(2).mean()}


def train(folder, *, minutes):
    torch.manual_seed(0)
    budget = Budget(minutes=minutes, learning_rate=0.1, average=0.9, checkpoint_minutes=0.01)
    return fit(nn.Linear(4, 1), batches(), loss_of, budget=budget, folder=folder)


def test_it_learns_and_keeps_its_curve(tmp_path):
    network = train(tmp_path, minutes=0.06)
    assert torch.allclose(network.weight[0], torch.tensor([1.0, -2.0, 0.5, 3.0]), atol=0.2)
    rows = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert rows[-1]["square"] < rows[0]["square"]


def test_a_second_run_goes_on_instead_of_starting_over(tmp_path):
    train(tmp_path, minutes=0.02)
    before = torch.load(tmp_path / "last.pt", weights_only=True)
    train(tmp_path, minutes=0.04)
    after = torch.load(tmp_path / "last.pt", weights_only=True)
    assert after["step"] > before["step"] > 0
    assert after["seconds"] < 0.04 * 60 + 2


def test_a_finished_run_does_no_further_step(tmp_path):
    train(tmp_path, minutes=0.02)
    steps = torch.load(tmp_path / "last.pt", weights_only=True)["step"]
    train(tmp_path, minutes=0.02)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] - steps <= 1
