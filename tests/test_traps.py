"""Mistakes that were made once, each silent: a test for every one."""

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from tladapt import EWC, Classification, Domain, LwF, Method, Model, Output, Replay, fit
from tladapt.readers.folders import Images


def blobs(name: str, shift: float = 0.0, rows: int = 80) -> Domain:
    random = torch.Generator().manual_seed(len(name))
    y = torch.arange(rows) % 2
    return Domain(name, (torch.randn(rows, 4, generator=random) + 4 * y[:, None] + shift, y), test=0.25)


def network(batchnorm: str = "joint") -> Model:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    return Model.of(layers, batchnorm=batchnorm)


def test_a_column_of_labels_is_as_good_as_a_row():
    x, y = torch.randn(20, 3), torch.arange(20) % 2
    assert torch.equal(Domain("a", (x, y[:, None])).train.y, Domain("a", (x, y)).train.y)


def test_answers_of_another_shape_are_no_score():
    with pytest.raises(ValueError, match="labels of shape"):
        Classification().marks(Output(logits := torch.zeros(3, 2), logits), torch.zeros(3, 1), None)


def test_balanced_accuracy_counts_every_class_alike():
    y, logits = torch.tensor([0, 0, 0, 1]), torch.tensor([[1.0, 0.0]]).expand(4, -1)  # always the first
    scores = [
        task.score(task.marks(Output(logits, logits), y, None)) for task in (Classification(), Classification(True))
    ]
    assert scores == [0.75, 0.5]


def test_nothing_is_held_out_of_a_data_set_that_may_be_augmented():
    rows = Subset(TensorDataset(torch.randn(8, 2), torch.arange(8) % 2), range(8))
    with pytest.raises(ValueError, match="give test="):
        Domain("a", rows)
    assert Domain("a", rows, rows).test is not None


def test_a_loader_is_no_data():
    with pytest.raises(TypeError, match=r"its \.dataset"):
        Domain("a", DataLoader(TensorDataset(torch.zeros(4, 2), torch.zeros(4))))


def test_the_order_of_the_rows_tells_no_label():
    x = torch.arange(60.0)[:, None]
    orders = [Domain("a", (x, y)).unlabelled().train.x for y in (torch.randperm(60) % 3, torch.arange(60) // 20)]
    assert torch.equal(*orders)


def test_a_class_whose_rows_are_all_held_out_is_noted():
    x, y = torch.randn(25, 2), torch.tensor([0, 1] * 12 + [2])
    rare = Domain("a", (x[:24], y[:24]), test=(x[24:], y[24:]), classes=["cat", "dog", "cow"])
    network = Model.of(nn.Linear(2, 3))
    assert fit(network, [rare], steps=1, progress=False).notes == [
        "a: no row to learn from has the class 'cow', which the test data has"
    ]
    again = Domain("b", (x, y), test=None, classes=["cat", "dog", "cow"])
    assert fit(Model.of(nn.Linear(2, 3)), [rare, again], steps=1, progress=False).notes == []


def test_fit_leaves_the_model_in_evaluation_mode():
    model = network()
    fit(model, [blobs("a")], steps=2)
    assert not any(module.training for module in model.modules())


def test_a_model_that_comes_trained_keeps_its_statistics_for_its_own_domain():
    model, a, b = network(), blobs("a"), blobs("b", shift=6.0)
    fit(model, [a], steps=60, lr=0.01)
    trained = Model(model.encoder, model.head, batchnorm="per-domain")
    report = fit(trained, [a, b], LwF(), learned=1, steps=5, lr=1e-9)
    assert report.scores[0][0] == report.scores[2][0]


def test_a_method_serves_one_fit():
    replay = Replay(10)
    fit(network(), [blobs("a")], replay, steps=1)
    with pytest.raises(ValueError, match=r"Replay\(.*build a new one"):
        fit(network(), [blobs("a")], replay, steps=1)
    with pytest.raises(ValueError, match="build a new one"):
        fit(network(), [blobs("a")], replay + EWC(), steps=1)


def test_the_columns_of_the_report_change_no_weight():
    a, b, models = blobs("a"), blobs("b"), [network(), network()]
    fit(models[0], [a, b], Replay(10), steps=5)
    fit(models[1], [a, b], Replay(10), steps=5, evaluate=[b, a])
    assert all(torch.equal(p, q) for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_tasks_that_share_a_class_are_refused_as_task_incremental():
    one, two = blobs("one"), Domain("two", (torch.randn(30, 4), torch.arange(30) % 2 * 2), classes=3)
    model = Model.of(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="share some of their classes"):
        fit(model, [one, two], Method(), increment="task", steps=1)


def test_a_model_of_two_halves_comes_back_into_one_of_its_kind(tmp_path):
    def halves() -> Model:
        return Model(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Linear(3, 2))

    model = halves()
    model.save(tmp_path)
    assert torch.equal(Model.load(tmp_path, halves())(torch.ones(1, 4)).logits, model(torch.ones(1, 4)).logits)


def test_a_photograph_taken_upright_is_read_upright(tmp_path):
    image = Image.new("L", (8, 8))
    image.paste(255, (0, 0, 8, 4))  # the upper half is bright; the camera was turned by 90 degrees
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "phone.jpg", exif=exif, quality=100)
    x, _, _ = Images(8, 1).read(tmp_path / "phone.jpg")
    assert x[0, 0, :, 4:].float().mean() > 200
    assert x[0, 0, :, :4].float().mean() < 50
