"""Tables with words and gaps: what the network makes of them, how they are read, refusals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tladapt import DANN, Domain, Model, adaptation, fit
from tladapt.backbones import table
from tladapt.readers.files import read_domains, reader_from
from tladapt.readers.tables import Table

CSV = """age,district,income,kind,outcome
31,urban,10,a,good
,rural,20,a,bad
52,,30,b,good
40,urban,,b,bad
"""


def written(path: Path, text: str = CSV) -> Path:
    path.write_text(text)
    return path


def rows(count: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """Two columns of numbers, the second with gaps, and two of words, of three and of two."""
    random = torch.Generator().manual_seed(seed)
    missing = torch.zeros(count, 2, dtype=torch.bool)
    missing[::3, 1] = True
    words = torch.stack([torch.arange(count) % 4, torch.arange(count) % 3], 1)
    return {"numbers": torch.randn(count, 2, generator=random), "missing": missing, "words": words}


def domain(name: str, seed: int, shift: float) -> Domain:
    x = rows(16, seed)
    y = (x["numbers"][:, 0] > 0).long()
    return Domain(name, (x | {"numbers": x["numbers"] + shift}, y), test=0.4, classes=2)


def with_gaps_that_count(model: Model) -> Model:
    """What would be learned of gaps and unknown words."""
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim == 2:
            value += torch.arange(value.numel()).reshape(value.shape) / value.numel()
    return model.eval()


def test_it_is_fine_tuned_aligned_trained_in_sequence_and_saved(life: Callable):
    def load() -> Model:
        torch.manual_seed(0)
        return table(2, [3, 2], classes=2)

    life(load, domain("old", 0, 0.0), domain("new", 1, 0.5))


def test_the_features_are_those_of_the_layers_by_hand():
    torch.manual_seed(0)
    model = with_gaps_that_count(table(2, [3, 2], hidden=[5], width=4, classes=3))
    x = rows()
    state = model.state_dict()
    (embedding,) = [value for name, value in state.items() if "embedding" in name]
    weight, bias = (value for name, value in state.items() if "layers.0." in name)
    assert (embedding.shape, weight.shape) == ((7, 4), (5, 2 + 2 + 8))  # each column has a place for the unknown
    for row in range(6):
        numbers = torch.where(x["missing"][row], 0.0, x["numbers"][row])
        first, second = x["words"][row].tolist()
        seen = torch.cat([numbers, x["missing"][row].float(), embedding[first], embedding[4 + second]])
        expected = ((weight @ seen + bias) / (1 + 1e-5) ** 0.5).relu()  # the BatchNorm layer is new
        with torch.no_grad():
            features = model({key: part[row : row + 1] for key, part in x.items()}).features
        assert torch.allclose(features[0], expected, atol=1e-5)


def test_a_gap_and_an_unknown_word_begin_as_nothing():
    model = table(2, [3, 2], classes=2).eval()
    x = rows()
    zero = x["numbers"].masked_fill(x["missing"], 0.0)
    with torch.no_grad():
        assert torch.equal(model(x).logits, model({**x, "numbers": zero, "missing": torch.zeros(6, 2)}).logits)
        assert torch.equal(model(x).logits, model({"numbers": zero, "words": x["words"]}).logits)
    table_of_words = model.state_dict()["encoder.embedding.weight"]
    assert table_of_words.abs().sum(1).eq(0).nonzero()[:, 0].tolist() == [0, 4]


def test_what_is_missing_hides_the_number_and_is_learned():
    torch.manual_seed(0)
    x, y = rows(60), torch.zeros(60, dtype=torch.long)
    y[::3] = 1  # where the second number is missing, and nothing else tells
    x["words"] = torch.zeros_like(x["words"])
    model = table(2, [3, 2], hidden=[16], classes=2)
    report = fit(model, [Domain("a", (x, y), (x, y))], steps=60, lr=0.05)
    assert (report.new or 0) > 0.95
    other = {**x, "numbers": x["numbers"] + 100 * x["missing"]}
    with torch.no_grad():
        assert torch.equal(model(other).logits, model(x).logits)


def test_a_word_beyond_the_known_ones_is_unknown():
    model = with_gaps_that_count(table(2, [3, 2], classes=2))
    beyond, unknown = rows(), rows()
    beyond["words"][:, 0], unknown["words"][:, 0] = torch.tensor([4, 9, -1, 4, 4, 4]), 0
    with torch.no_grad():
        assert torch.equal(model(beyond).logits, model(unknown).logits)
        assert not torch.equal(model(rows()).logits, model(unknown).logits)


@pytest.mark.parametrize(("numbers", "words"), [(2, ()), (0, (3, 2))])
def test_a_table_may_have_columns_of_one_kind(numbers: int, words: tuple[int, ...]):
    x = {key: part for key, part in rows().items() if (key == "words") is bool(words)}
    assert table(numbers, words, classes=2)(x).logits.shape == (6, 2)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_it_is_built_again_with_every_policy(batchnorm: str, tmp_path: Path):
    model = table(2, [3, 2], hidden=[8], width=3, classes=["no", "yes"], batchnorm=batchnorm)
    fit(model, adaptation(domain("old", 0, 0.0), domain("new", 1, 2.0)), DANN(), steps=2)
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(again(rows()).logits, model(rows()).logits)


# Reading


def test_a_table_is_read_in_parts(tmp_path: Path):
    reader = Table("outcome", split=True)
    x, labels, _ = reader.read(written(tmp_path / "t.csv"))
    assert labels == ["good", "bad", "good", "bad"]
    assert x.keys() == {"numbers", "missing", "words"}
    assert x["missing"].tolist() == [[False, False], [True, False], [False, False], [False, True]]
    assert x["words"].tolist() == [[2, 1], [1, 1], [0, 2], [2, 2]]
    assert torch.allclose(x["numbers"].mean(0), torch.zeros(2), atol=1e-6)
    assert (x["numbers"][1, 0], x["numbers"][3, 1]) == (0, 0)
    again: Any = reader_from(json.loads(json.dumps(reader.spec())))
    other, _, _ = again.read(written(tmp_path / "u.csv", "age,district,income,kind\n31,coast,,b\n"))
    assert other["numbers"][0].tolist() == [x["numbers"][0, 0], 0]
    assert (other["missing"].tolist(), other["words"].tolist()) == ([[False, True]], [[0, 2]])


def test_a_table_of_one_kind_is_read_without_the_other(tmp_path: Path):
    assert Table(split=True).read(written(tmp_path / "n.csv", "a,b\n1,2\n3,4\n"))[0].keys() == {"numbers", "missing"}
    assert Table(split=True).read(written(tmp_path / "w.csv", "a\nx\ny\n"))[0].keys() == {"words"}


def test_tables_become_a_model_that_reads_them_again(tmp_path: Path):
    more = "".join(f"{20 + i},{('urban', '', 'rural')[i % 3]},{i},a,{('good', 'bad')[i % 2]}\n" for i in range(20))
    paths = [written(tmp_path / f"{name}.csv", CSV + more) for name in ("north", "south")]
    given = Table("outcome", split=True)
    (north, south), found = read_domains(paths, reader=given)
    assert given == Table("outcome", split=True)  # as it was
    assert isinstance(found, Table)
    numbers, missing = north.train.x["numbers"], north.train.x["missing"]
    for column, known in zip(numbers.T, ~missing.T, strict=True):
        assert column[known].mean().abs() < 1e-5  # centred by the training rows alone
    model = table(len(found.numbers), [len(words) for words in found.words.values()], classes=north.classes)
    fit(model, adaptation(north, south), DANN(), steps=2)
    model.inputs = found.spec()
    model.save(tmp_path / "saved")
    again = Model.load(tmp_path / "saved")
    x = reader_from(again.inputs).read(paths[0])[0]
    assert again(x).logits.shape == (24, 2)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"numbers": 0}, r"table\(numbers=0, words=\(\)\): no column"),
        ({"numbers": -1}, r"table\(numbers=...\): -1, expected whole numbers from 0"),
        ({"numbers": 1.5}, r"table\(numbers=...\): 1.5, expected"),
        ({"numbers": 1, "words": [3, 0]}, r"table\(words=...\): 0, expected whole numbers from 1"),
        ({"numbers": 1, "hidden": ()}, r"table\(hidden=\(\)\): expected at least one width"),
        ({"numbers": 1, "hidden": [0]}, r"table\(hidden=...\): 0"),
        ({"numbers": 1, "words": [2], "width": 0}, r"table\(width=...\): 0"),
    ],
)
def test_sizes_out_of_range_are_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        table(**arguments, classes=2)


def test_columns_that_are_not_there_are_named():
    model = table(2, [3, 2], classes=2)
    with pytest.raises(ValueError, match=r"x\['words'\]: not there, expected \(n, 2\), as Table\(split=True\)"):
        model({"numbers": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match=r"x\['numbers'\]: of shape \(1, 3\), expected \(n, 2\)"):
        model(rows(1) | {"numbers": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match=r"x\['missing'\]: of shape \(1, 3\)"):
        model(rows(1) | {"missing": torch.zeros(1, 3)})
