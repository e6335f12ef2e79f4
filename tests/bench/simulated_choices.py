"""What answers are worth, over many seeds and without the store: `python -m tests.bench.simulated_choices samplers`.

`samplers` learns from questions chosen at random, among near neighbours, and where heads disagree. `seeds` fits,
decides, and judges by the hidden truth, with people who see something and with people who guess. `promotion` asks how
often the rule of studio.services.finetuning puts a model into use that is better, no better or worse over all faces,
when it sees so many kept-out faces and questions with six answers each. Simulated people, samplers, fitting and rule
are those of `mien simulate`; only queue and database are left out. Needs the weights that ship. Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.engine import open_database
from db.store import Store
from db.types import NewTriplet
from models import triplets
from models.finetune import Plan, bootstrap_heads, calibrated_temperature, fit
from models.triplets import Comparisons
from studio.commands.places import use_settings
from studio.context import Context
from studio.services import compare, ensemble, finetuning, gallery, samplers
from studio.services.samplers import Pool
from studio.services.simulation import CONSISTENT, ROUND, Crowd

Vectors = NDArray[np.float32]
KEPT_OUT = 58
"""A fifth of the starter gallery, as a project keeps it."""
VOTES = 6
TRUTHS = 6000
GAINS = {
    "none": (-0.003, 0.001),
    "-2": (-0.023, -0.017),
    "+3": (0.027, 0.033),
    "+5": (0.045, 0.055),
    "+10": (0.09, 0.11),
}
DIFFER = (0.1, 0.4)
"""In how many of all answers two compared models differ, as a fine-tuned one does from its base."""


def starter_pool() -> Pool:
    """Return the starter faces with their vectors; numbered from 0."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(engine := open_database(f"sqlite:///{Path(folder) / 'mien.sqlite'}"))
        row = gallery.ensure_starter_gallery(Context(use_settings(), store))
        pool = compare._pool(store, row.id, str(store.backends(row.id)[0]))
        engine.dispose()
    return Pool(np.arange(len(pool.ids)), pool.vectors, pool.classes)


def said(crowd: Crowd, places: NDArray[np.int64], votes: int, rng: np.random.Generator) -> Comparisons:
    """Return what so many people say to each question (n, 3)."""
    truth = crowd.odd_places(places)[:, None]
    wrong = (truth + rng.integers(1, 3, (len(places), votes))) % 3
    odd = np.where(rng.random((len(places), votes)) < crowd.consistent, truth, wrong)
    shares = np.stack([(odd == face).mean(1) for face in range(3)], axis=1)
    return Comparisons(places, shares, np.full(len(places), votes), np.full(len(places), 3))


def questions(faces: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (count, 3) different faces out of some, no three twice as far as there are so many."""
    three = np.array([np.sort(rng.choice(faces, 3, replace=False)) for _ in range(count * 2)])
    return rng.permutation(np.unique(three, axis=0))[:count]


def compare_samplers(pool: Pool, seeds: int, amounts: list[int]) -> Iterator[dict[str, Any]]:
    """Yield per seed the true accuracy on kept-out faces after each amount of single answers."""
    for seed in range(seeds):
        crowd = Crowd(pool.ids.tolist(), pool.vectors, seed=seed)
        rng = np.random.default_rng((seed, 9))
        kept_out = rng.choice(pool.ids, KEPT_OUT, replace=False)
        training = pool.only(set(pool.ids.tolist()) - set(kept_out.tolist()))
        told = {"seed": seed, "base": crowd.accuracy(pool.vectors, set(kept_out.tolist()))}
        for name in samplers.SAMPLERS:
            for amount, vectors in _learned(pool, training, crowd, name, amounts, seed):
                told[f"{name} {amount}"] = crowd.accuracy(vectors, set(kept_out.tolist()))
        yield told


def _learned(
    pool: Pool, training: Pool, crowd: Crowd, name: str, amounts: list[int], seed: int
) -> Iterator[tuple[int, Vectors]]:
    rng = np.random.default_rng((seed, 3))
    asked: list[tuple[int, int, int]] = []
    answers: Comparisons | None = None
    while len(asked) < max(amounts):
        count = min([amount - len(asked) for amount in amounts if amount > len(asked)] + [ROUND])
        asked += [one.faces for one in _drawn(pool, training, answers, name, count, rng)]
        answers = said(crowd, np.array(asked), 1, np.random.default_rng((seed, 5)))
        if len(asked) in amounts:
            found = fit(pool.vectors, answers, plan=Plan(seed=seed))
            yield len(asked), pool.vectors if found is None else found.head.apply_to(pool.vectors)


def _drawn(
    pool: Pool, training: Pool, answers: Comparisons | None, name: str, count: int, rng: np.random.Generator
) -> list[NewTriplet]:
    """Return what studio.services.compare.draw does, from answers at hand."""
    if name == "nearest":
        return samplers.nearest_triplets(training, count, rng=rng)
    if name == "random" or answers is None or len(answers) < ensemble.LEAST_ANSWERS:
        return samplers.random_triplets(training, count, rng=rng)
    heads = [head.apply_to for head in bootstrap_heads(pool.vectors, answers, seed=int(rng.integers(1 << 30)))]
    chosen = samplers.active_triplets(
        training, round(count * (1 - ensemble.RANDOM_SHARE)), heads=heads, rng=rng,
        temperature=calibrated_temperature(pool.vectors, answers), cap=max(ensemble.LEAST_CAP, count // 20),
    )  # fmt: skip
    return [*chosen, *samplers.random_triplets(training, count - len(chosen), rng=rng)]


def summed_up(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over seeds, and each sampler's lead over the random one with its standard error."""
    told: dict[str, Any] = {"seeds": len(rows), "base": round(float(np.mean([row["base"] for row in rows])), 4)}
    for name in [key for key in rows[0] if " " in key]:
        values = np.array([row[name] for row in rows])
        lead = values - np.array([row[f"random {name.split()[1]}"] for row in rows])
        error = lead.std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else 0.0
        told[name] = {"mean": round(float(values.mean()), 4), "lead": round(float(lead.mean()), 4),
                      "error": round(float(error), 4)}  # fmt: skip
    return told


def many_seeds(pool: Pool, seeds: int, amounts: list[int], consistent: float) -> Iterator[dict[str, Any]]:
    """Yield per seed and amount the true accuracy before and after, and whether the rule puts the head into use."""
    for seed in range(seeds):
        crowd = Crowd(pool.ids.tolist(), pool.vectors, seed=seed, consistent=consistent)
        rng = np.random.default_rng((seed, 11))
        kept_out = rng.choice(pool.ids, KEPT_OUT, replace=False)
        training = pool.only(set(pool.ids.tolist()) - set(kept_out.tolist()))
        deciding = said(crowd, questions(kept_out, 400, rng), VOTES, rng)
        for amount in amounts:
            asked = [one.faces for one in samplers.random_triplets(training, amount, rng=np.random.default_rng(seed))]
            found = fit(pool.vectors, said(crowd, np.array(asked), 1, rng), plan=Plan(seed=seed))
            told: dict[str, Any] = {"seed": seed, "answers": amount, "consistent": consistent}
            told["base"] = crowd.accuracy(pool.vectors, set(kept_out.tolist()))
            if found is not None:
                moved = found.head.apply_to(pool.vectors)
                ours, theirs = (triplets.credits(one, deciding) for one in (moved, pool.vectors))
                better, over_faces = triplets.chance_of_better(ours, theirs, deciding.places, seed=seed)
                told |= {"tuned": crowd.accuracy(moved, set(kept_out.tolist())), "better": better}
                told |= {"better_over_faces": over_faces}
            yield told | {"put_into_use": finetuning.surely_better(told)}


def promotions(pool: Pool, seeds: int, repeats: int, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """Return by (faces, questions) and by true gain how often the rule puts a model into use, and how it flatters.

    Models are the untouched vectors and heads drawn at random; their gain is known over all faces of the gallery. Each
    time other faces and questions decide. `flattered` is how much larger the gain on the deciding questions is where
    the rule said yes than it is on average, in accuracy.
    """
    decided: dict[str, dict[str, list[tuple[bool, float]]]] = {}
    for seed in range(seeds):
        crowd = Crowd(pool.ids.tolist(), pool.vectors, seed=seed)
        rng = np.random.default_rng((seed, 7))
        models = [pool.vectors, *(_bent(pool.vectors, rng) for _ in range(50))]
        everything = questions(pool.ids, TRUTHS, rng)
        guesses = np.array([triplets.pair_distances(one, everything).argmin(1) for one in models])
        right = (guesses == crowd.odd_places(everything)).mean(1)
        differ = (guesses[:, None] != guesses[None]).mean(2)
        for name, (low, high) in GAINS.items():
            gain = right[:, None] - right[None]
            fitting = np.argwhere((low <= gain) & (gain <= high) & (differ > DIFFER[0]) & (differ < DIFFER[1]))
            for new, old in rng.permutation(fitting)[:repeats]:
                for faces, count in sizes:
                    shown = questions(rng.choice(pool.ids, faces, replace=False), count, rng)
                    judged = said(crowd, shown, VOTES, rng)
                    ours, theirs = (triplets.credits(models[one], judged) for one in (new, old))
                    better, over_faces = triplets.chance_of_better(ours, theirs, shown)
                    verdict = finetuning.surely_better({"better": better, "better_over_faces": over_faces})
                    gained = float((ours - theirs).mean())
                    size = decided.setdefault(f"{faces} faces, {count} questions", {})
                    size.setdefault(name, []).append((verdict, gained))
    return {size: {name: _rates(values) for name, values in by.items()} for size, by in decided.items()}


def _rates(values: list[tuple[bool, float]]) -> dict[str, float | None]:
    used = [gained for verdict, gained in values if verdict]
    flattered = round(float(np.mean(used) - np.mean([gained for _, gained in values])), 4) if used else None
    return {"put into use": round(len(used) / len(values), 3), "of": len(values), "flattered": flattered}


def _bent(vectors: Vectors, rng: np.random.Generator) -> Vectors:
    """Return vectors after a random head near the identity."""
    basis = np.linalg.svd(vectors, full_matrices=True)[2].T
    size = rng.uniform(0.1, 0.9)
    turned = vectors @ basis
    bent = turned * np.exp(rng.normal(0, size, vectors.shape[1]))
    if rng.random() < 0.5:
        bent[:, :12] += turned[:, :12] @ rng.normal(0, size / 5, (12, 12))
    moved: Vectors = np.asarray(bent / np.linalg.norm(bent, axis=1, keepdims=True), np.float32)
    return moved


def main() -> None:
    """Simulate and print."""
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=("samplers", "seeds", "promotion"))
    options.add_argument("--seeds", type=int, default=8)
    options.add_argument("--answers", default="1000,3000")
    options.add_argument("--consistent", type=float, default=CONSISTENT, help="a third is guessing")
    options.add_argument("--repeats", type=int, default=40, help="of each gain and seed")
    options.add_argument("--sizes", default="29x200,58x400", help="kept-out faces and questions that decide")
    chosen = options.parse_args()
    pool = starter_pool()
    amounts = [int(one) for one in chosen.answers.split(",")]
    if chosen.what == "seeds":
        for row in many_seeds(pool, chosen.seeds, amounts, chosen.consistent):
            print(json.dumps(row), flush=True)
        return
    if chosen.what == "samplers":
        rows = []
        for row in compare_samplers(pool, chosen.seeds, amounts):
            rows.append(row)
            print(json.dumps(row), flush=True)
        print(json.dumps(summed_up(rows)))
        return
    sizes = [(int(one.split("x")[0]), int(one.split("x")[1])) for one in chosen.sizes.split(",")]
    print(json.dumps({"consistent": CONSISTENT} | promotions(pool, chosen.seeds, chosen.repeats, sizes)))


if __name__ == "__main__":
    main()
