"""Publish trained networks: copy their weights, pin their sha256, measure them, write the model card.

`python -m xailib.training.card results/weights` is the last step of `make weights`.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from xailib import engine
from xailib.datasets import load_images
from xailib.datasets.shifts import RENDERED, corrupt, list_shifts
from xailib.models import load_model
from xailib.models.model import Model
from xailib.params import ROOT, load_params
from xailib.training.adversary import l2_pgd
from xailib.training.train import recipe_of

ATTACK_STEPS = 20


def publish(trained: Path) -> Path:
    """Ship every `<trained>/<model>/weights.safetensors` with its `train.json`; return the model card's path.

    The weights go where the model's record says, their sha256 into its parameter file, and measured accuracies into
    `card.json` and `README.md` beside the weights.
    """
    folders = sorted(path.parent for path in trained.glob("*/train.json"))
    cards: dict[str, Any] = {}
    for folder in folders:
        record, cost = load_params("models", folder.name), json.loads((folder / "train.json").read_text())
        target = ROOT / record["weights"]["path"]
        if (folder / "weights.safetensors").exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "weights.safetensors", target)
        pin(folder.name, cost["sha256"])
        cards[folder.name] = {**describe(folder.name), **{k: cost[k] for k in ("sha256", "seconds", "steps", "bytes")}}
        print(folder.name, {k: round(v, 3) for k, v in cards[folder.name]["accuracy"].items() if k in ("clean", "l2_pgd")})
    home = (ROOT / load_params("models", folders[0].name)["weights"]["path"]).parent
    (home / "card.json").write_text(json.dumps(cards, indent=1) + "\n")
    (home / "README.md").write_text(card_text(cards))
    return home / "README.md"


def pin(id: str, sha256: str) -> None:
    """Write a weight file's sha256 into its model's parameter file; everything else there stays as it is."""
    path = ROOT / "params" / "models" / f"{id}.yaml"
    path.write_text(re.sub(r"sha256: \S+", f"sha256: {sha256}", path.read_text(), count=1))


def describe(id: str) -> dict[str, Any]:
    """Return a trained model's recipe facts and its accuracies on test images."""
    recipe = recipe_of(load_params("models", id))
    model = load_model(id)
    trained_epsilon = recipe.epsilon or 1.0
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "initial": recipe.initial,
        "epochs": round(recipe.steps * recipe.batch_size / recipe.images, 1),
        "epsilon": recipe.epsilon,
        "attack_steps": recipe.attack_steps if recipe.epsilon else 0,
        "seed": recipe.seed,
        "accuracy": measure(model, "pictograms", images=600, shifted=240, attacked=120, epsilon=trained_epsilon),
    }


def measure(
    model: Model, dataset: str, *, images: int, shifted: int, attacked: int, epsilon: float, seed: int = 0
) -> dict[str, float]:
    """Return top-1 accuracy in [0, 1]: clean, on every shift of the data set, and under 20-step L2-PGD."""
    clean = load_images(dataset, split="test", limit=images, seed=seed)
    found = {"clean": _accuracy(model, clean.pixels, clean.labels)}
    for shift in list_shifts(dataset) if shifted else ():
        few = clean.select(slice(shifted))
        drawn = shift in RENDERED.get(dataset, ())
        moved = load_images(dataset, split="test", limit=shifted, seed=seed, shift=shift) if drawn else corrupt(few, shift, seed)
        found[shift] = _accuracy(model, moved.pixels, moved.labels)
    victims = clean.select(slice(attacked))
    pixels = l2_pgd(model, victims.pixels, victims.labels, epsilon=epsilon, steps=ATTACK_STEPS, seed=seed)
    found["l2_pgd"] = _accuracy(model, pixels, victims.labels)
    return found


def _accuracy(model: Model, pixels: Any, labels: Any) -> float:
    return round((engine.logits(model, pixels).argmax(dim=1) == labels).float().mean().item(), 4)


def card_text(cards: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    shifts = [name for name in next(iter(cards.values()))["accuracy"] if name not in ("clean", "l2_pgd")]
    rendered = [name for name in shifts if not re.search(r"_[123]$", name)]
    families = sorted({name[:-2] for name in shifts} - {name[:-2] for name in rendered})
    head = ["network", "clean", *rendered, *families, "L2-PGD", "epsilon", "epochs", "seed", "parameters", "MB", "minutes"]
    lines = [_INTRODUCTION, "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for id, card in cards.items():
        hit = card["accuracy"]
        means = [sum(hit[f"{family}_{i}"] for i in (1, 2, 3)) / 3 for family in families]
        shown = [f"{100 * value:.1f}" for value in [hit["clean"], *(hit[name] for name in rendered), *means, hit["l2_pgd"]]]
        facts = [card["epsilon"], card["epochs"], card["seed"], f"{card['parameters']:,}"]
        size = [f"{card['bytes'] / 1e6:.2f}", f"{card['seconds'] / 60:.1f}"]
        lines.append("| " + " | ".join(map(str, [id, *shown, *facts, *size])) + " |")
    return "\n".join(lines) + "\n"


_INTRODUCTION = """# Model card: the pictogram networks

Twelve CNNs in miniature, trained by this suite on rendered pictograms (64 px, 12 classes) for studying attribution
methods. They recognise pictograms and nothing else. Weights are fp16 safetensors under the repository's licence.

- **vanilla**: cross-entropy on clean images. **robust**: on L2-PGD images only, from the vanilla weights. **advprop**: on
  both, each through batch-norm layers of its own (Xie 2020); the clean branch is shipped; the attacker took 1 or 5 steps.
- Accuracies are top-1 in percent on test images whose backgrounds come from photographs that training never saw:
  600 clean, 240 a shift (corruptions: mean over three severities), 120 under a 20-step L2-PGD attack of radius
  epsilon (1.0 for vanilla). The 95 % sampling error is at most 4 points for 600 images, 6 for 240 and 9 for 120.
- Minutes are of one core of a shared two-core machine; `make weights` trains all of them again.
"""


if __name__ == "__main__":
    print("wrote", publish(Path(sys.argv[1])))
