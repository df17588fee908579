"""No label of an unlabelled domain, and nothing in test data, changes one bit of what is learned."""

import csv
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

import tladapt.methods
from tladapt import DANN, EWC, MMD, Domain, EarlyStopping, LwF, Method, Model, Replay, adaptation, fit
from tladapt.cli import main
from tladapt.comparison import compare
from tladapt.readers.files import read_domains
from tladapt.readers.texts import Texts, train_tokenizer
from tladapt.scenarios import Scenario
from tladapt.scenarios.baselines import BASELINES

RANDOM = torch.Generator().manual_seed(0)
Y = torch.arange(60) % 3
SOURCE = torch.randn(60, 5, generator=RANDOM) + 2 * nn.functional.one_hot(Y, 5)
TARGET = SOURCE + torch.randn(60, 5, generator=RANDOM)
LABELS = {
    "right": Y,
    "permuted": Y[torch.randperm(60, generator=RANDOM)],
    "one class": torch.zeros(60, dtype=torch.long),
    "one row of a class": (torch.arange(60) == 7).long(),
}
SINGLE = [getattr(tladapt.methods, name) for name in tladapt.methods.__all__]
SUMS = [
    lambda: DANN() + Replay(20) + EWC(),
    lambda: MMD() + LwF() + Replay(20, balanced=True),
    lambda: MMD() + EarlyStopping(every=2, patience=1),
]


class Rows(Dataset):
    """A data set of (input, label), whose labels can be found in it."""

    fixed = True

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.x[row], int(self.y[row])


def network(**options: Any) -> Model:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    return Model.of(layers, **options)


def weights(model: Model) -> Tensor:
    return torch.cat([part.detach().flatten().float() for part in model.state_dict().values()])


def learned(target: Domain, method: Method, keep: int = 0) -> Tensor:
    source = Domain("source", (SOURCE, Y), validation=0.2)
    model = network()
    fit(model, adaptation(source, target, keep), method, steps=6, batch_size=16, progress=False)
    return weights(model)


def all_equal(values: list[Tensor]) -> bool:
    return all(torch.equal(values[0], value) for value in values[1:])


@pytest.mark.parametrize("build", [*SINGLE, *SUMS], ids=lambda build: getattr(build, "__name__", ""))
def test_no_label_of_the_target_changes_a_bit(build):
    """A share is held out of the target for the test, and one for validation: neither depends on its labels."""
    values = [learned(Domain("target", (TARGET, y), validation=0.2, classes=3), build()) for y in LABELS.values()]
    assert all_equal(values)


def test_the_law_can_fail():
    """Other rows, or a label that is kept, do change what is learned."""
    target = Domain("target", (TARGET, Y), classes=3)
    other = Domain("target", (TARGET + 1, Y), classes=3)
    assert not torch.equal(learned(target, MMD()), learned(other, MMD()))
    poisoned = Domain("target", (TARGET, (Y + 1) % 3), classes=3)
    assert not torch.equal(learned(target, MMD(), keep=2), learned(poisoned, MMD(), keep=2))


@pytest.mark.parametrize("test", ["share", "given"])
def test_nothing_in_test_data_changes_a_bit(test):
    values = []
    for change in (0.0, 1.0):
        parts = []
        for x in (SOURCE, TARGET):
            given = (x[:9] + change, (Y[:9] + int(change)) % 3)
            parts.append(Domain(str(len(parts)), (x[9:], Y[9:]), given if test == "given" else 0.2, classes=3))
        if test == "share" and change:
            for part in parts:
                assert part.test is not None
                part.test.x.add_(change)
                part.test.y.copy_((part.test.y + 1) % 3)
        model = network()
        fit(model, adaptation(*parts), DANN() + LwF(), steps=4, progress=False)
        values.append(weights(model))
    assert all_equal(values)


def test_labels_that_are_not_kept_do_not_matter():
    domain = Domain("target", (TARGET, Y), test=None, classes=3)
    kept = domain.unlabelled(keep=2)
    seen = {tuple(row) for row in kept.train.x[: len(kept.train.y)].tolist()}
    is_kept = torch.tensor([tuple(row) in seen for row in TARGET.tolist()])
    # a class of their own: the first two rows of each other class stay the first two
    poisoned = torch.where(is_kept, Y, 3)
    assert int(is_kept.sum()) == 6
    values = []
    for y in (Y, poisoned):
        view = Domain("target", (TARGET, y), test=None, classes=4).unlabelled(keep=2)
        labelled = {tuple(row) for row in view.train.x[:6].tolist()}
        assert labelled == seen
        values.append(view.train.x[:6])
    assert all_equal(values)


@pytest.mark.parametrize("policy", ["joint", "per-domain", "frozen"])
@pytest.mark.parametrize("kind", ["array", "data set"])
def test_the_law_holds_for_data_sets_and_batchnorm_policies(kind, policy):
    values = []
    for y in LABELS.values():
        data = (TARGET, y) if kind == "array" else Rows(TARGET, y)
        model = network(batchnorm=policy)
        fit(model, adaptation(Domain("a", (SOURCE, Y)), Domain("b", data, classes=3)), MMD(), steps=4, progress=False)
        values.append(weights(model))
    assert all_equal(values)


def test_the_order_of_the_rows_changes_no_bit():
    """A target sorted by class, as that of a folder per class is, gives the weights of a shuffled one."""
    values = []
    for order in (torch.arange(60), Y.argsort(stable=True)):
        target = Domain("target", (TARGET[order], Y[order]), classes=3)
        values.append(learned(target, MMD()))
    assert all_equal(values)


def test_absent_labels_change_no_bit():
    targets = (Domain("target", (TARGET, Y), test=None, classes=3), Domain("target", TARGET, test=None, classes=3))
    assert all_equal([learned(target, DANN()) for target in targets])


@pytest.mark.parametrize("baseline", [None, *BASELINES, "ceiling"])
def test_baselines_without_the_labels_of_the_target_do_not_depend_on_them(baseline):
    values = []
    for y in LABELS.values():
        source, target = Domain("source", (SOURCE, Y)), Domain("target", (TARGET, y), classes=3)
        scenario = Scenario(
            name="own", about="", stream=adaptation(source, target), network=network, method=MMD, steps=4,
            ceiling=[source, (source, target)],
        )  # fmt: skip
        model = network()
        scenario.run(MMD() if baseline is None else Method(), model=model, baseline=baseline, progress=False)
        values.append(weights(model))
    assert all_equal(values) == (baseline != "ceiling")  # which is what the labels could give


def test_a_comparison_scores_by_labels_and_learns_without():
    """Constant labels change the scores of the target, not those of the source."""
    scores = []
    for y in (Y, LABELS["one class"]):
        source, target = Domain("source", (SOURCE, Y)), Domain("target", (TARGET, y), classes=3)
        scenario = Scenario(
            name="own", about="", stream=adaptation(source, target), network=network, method=MMD, steps=20, lr=0.01
        )
        found = compare(scenario, [MMD()], seeds=1, jobs=1, progress=False)
        (final,) = found.scores["MMD()"]
        assert final is not None
        scores.append(final)
    assert scores[0][0] == scores[1][0]
    assert scores[0][1] != scores[1][1]


def write_table(path: Path, x: Tensor, y: Tensor) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "e", "label"])
        for row, label in zip(x.tolist(), y.tolist(), strict=True):
            writer.writerow([*row, f"class {label}"])
    return str(path)


def test_tables_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_table(tmp_path / "old.csv", SOURCE, Y)
    models = []
    for name, y in LABELS.items():
        target = write_table(tmp_path / name / "new.csv", TARGET, y)
        out = tmp_path / name / "out"
        main(["run", "--source", source, "--target", target, "--method", "MMD()", "--steps", "4", "--out", str(out)])
        models.append((out / "model" / "model.safetensors").read_bytes())
    assert len(set(models)) == 1


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    source = pandas.DataFrame(SOURCE.numpy(), columns=list("abcde")).assign(label=Y.numpy())
    values = []
    for y in LABELS.values():
        target = pandas.DataFrame(TARGET.numpy(), columns=list("abcde")).assign(label=y.numpy())
        (old, new), _ = read_domains([source, target], names=["old", "new"])
        model = network()
        fit(model, adaptation(old, new), DANN(), steps=4, progress=False)
        values.append(weights(model))
    assert all_equal(values)


def test_columns_of_texts(tmp_path):
    pytest.importorskip("tokenizers")
    texts = [f"number {row} of {row % 7}" for row in range(60)]
    reader = Texts(train_tokenizer(texts, size=60), length=8)
    values = []
    for name, y in {"source": Y, **LABELS}.items():
        lines = [f"{text},class {label}" for text, label in zip(texts, y.tolist(), strict=True)]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["text,label", *lines]) + "\n")
        (old, new), _ = read_domains([tmp_path / "source.csv", path], names=["old", "new"], reader=reader)
        x = new.unlabelled().train.x
        assert isinstance(x, dict)
        values.append(torch.cat([x["input_ids"], x["attention_mask"]], 1))
        assert old.classes == ("class 0", "class 1", "class 2")
    assert all_equal(values)


def write_images(folder: Path, y: Tensor) -> Path:
    for row, label in enumerate(y.tolist()):
        pixels = np.random.default_rng(row).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        path = folder / f"class {label}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def test_folders_of_images(tmp_path):
    """Images in other class folders come in another order: no bit depends on it."""
    source = write_images(tmp_path / "old", Y[:30])
    values = []
    for name, y in LABELS.items():
        target = write_images(tmp_path / name / "new", y[:30])
        (old, new), _ = read_domains([source, target], size=8, names=["old", "new"])
        torch.manual_seed(0)
        model = Model.of(nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3)))
        fit(model, adaptation(old, new), MMD(), steps=4, batch_size=8, progress=False)
        values.append(weights(model))
    assert all_equal(values)


class Cheat(Method):
    """Looks for tensors of labels in everything that a method is given."""

    needs = frozenset({"source", "target"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def prepare(self, model: Model, stage: Any) -> None:
        if stage.index:
            self.found += reachable((stage, model), depth=7)
            batch = next(iter(stage.batches()))
            self.found += reachable(batch, depth=4)


def reachable(start: object, depth: int) -> list[Tensor]:
    """Every tensor that attributes, items, closures and the storage of tensors lead to."""
    found, seen, level = list[Tensor](), set[int](), [start]
    for _ in range(depth):
        level, now = [], level
        for thing in now:
            if id(thing) in seen or isinstance(thing, type | str | int | float):
                continue
            seen.add(id(thing))
            if isinstance(thing, Tensor):
                found.append(thing)
            level += parts_of(thing)
    return found


def parts_of(thing: object) -> list[Any]:
    parts = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    if isinstance(thing, dict):
        parts += list(thing.values())
    if isinstance(thing, list | tuple | set):
        parts += list(thing)
    closure = getattr(thing, "__closure__", None) or ()
    return parts + [cell.cell_contents for cell in closure]


def knows(found: list[Tensor], labels: Tensor) -> bool:
    """Whether one of the tensors holds these labels, in the order in which the target was given."""
    return any(
        part.numel() >= len(labels) and torch.equal(part.flatten()[: len(labels)].long(), labels) for part in found
    )


SECRET = torch.randint(3, (60,), generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(
    ("data", "is_reached"), [((TARGET, SECRET), False), (Rows(TARGET, SECRET), True)], ids=["array", "data set"]
)
def test_what_a_method_that_looks_for_labels_can_reach(data, is_reached):
    """Of an array nothing is left; of a data set that is read row by row the labels stay within the data set."""
    cheat = Cheat()
    target = Domain("target", data, test=None, classes=3)
    fit(network(), adaptation(Domain("source", (SOURCE, Y)), target), cheat, steps=1, progress=False)
    assert len(cheat.found) > 10
    assert knows(cheat.found, SECRET) == is_reached


def test_a_method_that_walks_the_garbage_collector_is_out_of_reach_of_any_rule():
    """Python hides nothing from code that looks into other objects; the guide says so."""
    domain = Domain("target", (TARGET, SECRET), test=None, classes=3)
    kept = domain.unlabelled()
    assert any(isinstance(thing, Tensor) and thing is domain.train.y for thing in gc.get_objects())
    assert kept.train.y.numel() == 0


class ByPlace(Method):
    """Guesses the label of a row from its place in the target, which is sorted by class."""

    needs = frozenset({"source", "target"})

    def __init__(self) -> None:
        super().__init__()
        self.right: list[bool] = []

    def loss(self, model: Model, batch: Any, output: Any) -> Tensor:
        for place, row in zip(batch.index[batch.target].tolist(), batch.x[batch.target].tolist(), strict=True):
            truth = next(i for i, known in enumerate(SORTED.tolist()) if known == row) // 20
            self.right.append(place * 3 // 60 == truth)
        return output.logits.sum() * 0


SORTED = TARGET[Y.argsort(stable=True)]


def test_the_place_of_a_row_is_no_label():
    method = ByPlace()
    target = Domain("target", (SORTED, Y.sort().values), test=None, classes=3)
    fit(network(), adaptation(Domain("source", (SOURCE, Y)), target), method, steps=20, batch_size=60, progress=False)
    share = sum(method.right) / len(method.right)
    assert 0.15 < share < 0.52  # a third, within three standard deviations for 60 rows
