"""Publish trained networks: copy their weights, pin their sha256, measure them, write the model card.

`python -m xailib.training.card results/weights --root data` is the last step of `make weights`; `--root` is the folder of
the images, for data sets that are read from one.
"""

import argparse
import json
import re
import shutil
from functools import partial
from pathlib import Path
from statistics import mode
from typing import Any

from xailib import engine
from xailib.datasets.corruptions import CORRUPTIONS, corrupt
from xailib.datasets.shifts import list_shifts
from xailib.errors import InputError
from xailib.models import list_models, load_model
from xailib.models.model import Model
from xailib.params import load_params, path_of
from xailib.training.adversary import l2_pgd
from xailib.training.train import recipe_of, split_images, training_set
from xailib.workspace import place, shown

ATTACK_STEPS = 20


def publish(trained: Path, root: str | None = None) -> list[Path]:
    """Ship every `<trained>/<model>/weights.safetensors` with its `train.json`; return the model cards' paths.

    The weights go where the model's record says, their sha256 into its parameter file, and measured accuracies into
    `card.json` and `README.md` beside the weights: one card a data set. What a card says of other networks stays.
    """
    homes: dict[Path, dict[str, Any]] = {}
    for folder in sorted(path.parent for path in trained.glob("*/train.json")):
        record, cost = load_params("models", folder.name), json.loads((folder / "train.json").read_text())
        target = place(record["weights"]["path"])
        if (folder / "weights.safetensors").exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "weights.safetensors", target)
        pin(folder.name, cost["sha256"])
        card = {**describe(folder.name, root), **{k: cost[k] for k in ("sha256", "seconds", "steps", "bytes")}}
        pin_accuracy(folder.name, record["model_dataset"], card["accuracy"]["clean"], target.parent)
        homes.setdefault(target.parent, {})[folder.name] = card
        print(
            folder.name, {k: round(v, 3) for k, v in card["accuracy"].items() if k in ("clean", "l2_pgd")}, flush=True
        )
    for home, new in homes.items():
        kept = json.loads((home / "card.json").read_text()) if (home / "card.json").exists() else {}
        cards = dict(sorted({**kept, **new}.items()))
        (home / "card.json").write_text(json.dumps(cards, indent=1) + "\n")
        dataset = load_params("datasets", load_params("models", next(iter(cards)))["model_dataset"])
        (home / "README.md").write_text(card_text(cards, dataset))
    return [home / "README.md" for home in homes]


def own_file(id: str) -> Path:
    """Return a model's parameter file, which is to be written: the workspace's, never a shipped one."""
    path = place(f"params/models/{id}.yaml")
    if not path.is_file():
        raise InputError(
            f"{path}: no such parameter file; copy {path_of('models', id)} there to train its network again"
        )
    return path


def pin(id: str, sha256: str) -> None:
    """Write a weight file's sha256 into its model's parameter file; everything else there stays as it is."""
    path = own_file(id)
    text, found = re.subn(r"sha256: [^\s,}]+", f"sha256: {sha256}", path.read_text(encoding="utf-8"), count=1)
    if not found:  # `weights` may be written in one line or in several
        text = re.sub(
            r"^weights:[^{\n]*(\{|\n +)",
            lambda opening: f"{opening[0]}sha256: {sha256}{opening[1].replace('{', ', ')}",
            text,
            count=1,
            flags=re.MULTILINE,
        )
    path.write_text(text, encoding="utf-8")


def pin_accuracy(id: str, dataset: str, clean: float, home: Path) -> None:
    """Write the measured clean accuracy into a model's parameter file: what the probe expects of it from now on."""
    path = own_file(id)
    card = shown(home / "card.json")
    line = f"accuracy: {{dataset: {dataset}, value: {clean}, source: {card}}}\n"
    text, lines = path.read_text(encoding="utf-8"), r"^accuracy:.*\n(?:[ }].*\n)*"
    text, found = re.subn(lines, lambda _: line, text, count=1, flags=re.MULTILINE)
    text = text if found else re.sub(r"^training:", lambda key: line + key[0], text, count=1, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


def describe(id: str, root: str | None = None) -> dict[str, Any]:
    """Return a trained model's recipe facts and its accuracies on images that it was not trained on."""
    record = load_params("models", id)
    recipe, dataset, model = recipe_of(record), record["model_dataset"], load_model(id)
    trained = len(training_set(dataset, recipe.images, root=root)[1])
    sizes = {"images": 600, "shifted": 240, "attacked": 120}
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "initial": recipe.initial,
        "training_images": trained,
        "epochs": round(recipe.steps * recipe.batch_size / trained, 1),
        "epsilon": recipe.epsilon,
        "attack_steps": recipe.attack_steps if recipe.epsilon else 0,
        "attacked_epsilon": recipe.epsilon or twin_epsilon(id),
        "seed": recipe.seed,
        "accuracy": measure(model, dataset, **sizes, epsilon=recipe.epsilon or twin_epsilon(id), root=root),
    }


def twin_epsilon(id: str) -> float:
    """Radius that a vanilla network is attacked with: that of most attacked networks started from it; 1 where none was."""
    recipes = [
        recipe_of(record) for record in map(partial(load_params, "models"), list_models()) if "training" in record
    ]
    return mode([recipe.epsilon for recipe in recipes if recipe.initial == id and recipe.epsilon] or [1.0])


def measure(
    model: Model,
    dataset: str,
    *,
    images: int,
    shifted: int,
    attacked: int,
    epsilon: float,
    seed: int = 0,
    root: str | None = None,
) -> dict[str, float]:
    """Return top-1 accuracy in [0, 1]: clean, on every shift of the data set, and under 20-step L2-PGD.

    The images are of the data set's default split; fewer than asked for where it holds fewer.
    """
    source = {"seed": seed, "root": root}
    clean = split_images(dataset, None, limit=images, **source)
    found = {"clean": _accuracy(model, clean.pixels, clean.labels)}
    function = load_params("datasets", dataset).get("dataset_function", dataset)
    for shift in list_shifts(function) if shifted else ():
        few = clean.select(slice(shifted))
        if shift in CORRUPTIONS:
            moved = corrupt(few, shift, seed)
        else:
            moved = split_images(dataset, None, limit=shifted, shift=shift, **source)
        found[shift] = _accuracy(model, moved.pixels, moved.labels)
    victims = clean.select(slice(attacked))
    pixels = l2_pgd(model, victims.pixels, victims.labels, epsilon=epsilon, steps=ATTACK_STEPS, seed=seed)
    found["l2_pgd"] = _accuracy(model, pixels, victims.labels)
    return found


def _accuracy(model: Model, pixels: Any, labels: Any) -> float:
    return round((engine.logits(model, pixels).argmax(dim=1) == labels).float().mean().item(), 4)


def card_text(cards: dict[str, Any], dataset: dict[str, Any]) -> str:
    """Return the model card of the networks of one data set, given its record, as Markdown."""
    shifts = [name for name in next(iter(cards.values()))["accuracy"] if name not in ("clean", "l2_pgd")]
    rendered = [name for name in shifts if not re.search(r"_[123]$", name)]
    families = sorted({name[:-2] for name in shifts} - {name[:-2] for name in rendered})
    head = [
        "network",
        "clean",
        *rendered,
        *families,
        "L2-PGD",
        "epsilon",
        "epochs",
        "seed",
        "parameters",
        "MB",
        "minutes",
    ]
    label = dataset.get("dataset_label", dataset["dataset"])
    introduction = _INTRODUCTION.format(label=label, held_out=dataset.get("dataset_held_out", "images"))
    lines = [introduction, "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for id, card in cards.items():
        hit = card["accuracy"]
        means = [sum(hit[f"{family}_{i}"] for i in (1, 2, 3)) / 3 for family in families]
        shown = [
            f"{100 * value:.1f}" for value in [hit["clean"], *(hit[name] for name in rendered), *means, hit["l2_pgd"]]
        ]
        facts = [card["epsilon"], card["epochs"], card["seed"], f"{card['parameters']:,}"]
        size = [f"{card['bytes'] / 1e6:.2f}", f"{card['seconds'] / 60:.1f}"]
        lines.append("| " + " | ".join(map(str, [id, *shown, *facts, *size])) + " |")
    return "\n".join(lines) + "\n"


_INTRODUCTION = """# Model card: the networks of {label}

CNNs in miniature, trained by this suite on {label} at 64 pixels for studying attribution methods. They know its classes
and nothing else. Weights are fp16 safetensors under the repository's licence.

- **vanilla**: cross-entropy on clean images. **robust**: on L2-PGD images only, from the vanilla weights. **advprop**: on
  both, each through batch-norm layers of its own (Xie 2020); the clean branch is shipped; the attacker took 1 or 5 steps.
- Accuracies are top-1 in percent on {held_out} that training never saw: at most 600 clean, 240 a shift
  (corruptions: mean over three severities), 120 under a 20-step L2-PGD attack of radius epsilon, for vanilla networks of
  their robust twins' radius. The 95 % sampling error is at most 4 points for 600 images, 6 for 240 and 9 for 120.
- Minutes are of one core of a shared two-core machine; `make weights` trains all of them again.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path, help="folder of the trained networks: results/weights")
    parser.add_argument("--root", help="folder of the images, for data sets that are read from one")
    arguments = parser.parse_args()
    print("wrote", *publish(arguments.trained, arguments.root))
