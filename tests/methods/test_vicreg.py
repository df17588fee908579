import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tladapt import Domain, Method, Model, Output, Replay, Representation, Stage, VICReg, fit
from tladapt.methods.vicreg import projector, vicreg
from tladapt.seeding import seeded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_metric_learning.losses import VICRegLoss


class Twofold(nn.Module):
    """Four classes on a line, hidden beside loud noise that is drawn anew at every pass."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return torch.cat([x[:, :2], 4 * torch.randn(len(x), x.shape[1] - 2)], 1)


def domain(name: str, shift: float = 0.0, rows: int = 200) -> Domain:
    random = torch.Generator().manual_seed(sum(map(ord, name)))
    y = torch.arange(rows) % 4
    angle = y * torch.pi / 2 + 0.3 * torch.randn(rows, generator=random) + shift
    noise = 4 * torch.randn(rows, 6, generator=random)
    return Domain(name, (torch.cat([2 * angle.cos()[:, None], 2 * angle.sin()[:, None], noise], 1), y), test=0.4)


def network(norm: bool = False, batchnorm: str = "joint", dropout: float = 0.0, seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(8, 16), *[nn.BatchNorm1d(16)] * norm, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 8)]
        return Model(nn.Sequential(Twofold(), *layers), nn.Linear(8, 4), batchnorm=batchnorm)


def stage(*domains: Domain) -> Stage:
    return Stage(domains, range(len(domains)), 0, None, Representation(), batch_size=16)


def ready(model: Model, *domains: Domain) -> tuple[VICReg, Stage]:
    method, here = VICReg(), stage(*domains)
    method.seed(0)
    model.train()
    method.prepare(model, here)
    return method, here


@pytest.mark.parametrize("covariance", [0.04, 1.0])
@pytest.mark.parametrize(("n", "d"), [(2, 3), (12, 5), (5, 20)])
def test_it_equals_the_loss_of_pytorch_metric_learning(n: int, d: int, covariance: float):
    random = torch.Generator().manual_seed(0)
    first, second = 0.8 * torch.randn(n, d, generator=random), torch.randn(n, d, generator=random)
    theirs = VICRegLoss(1, 1, covariance)(first, ref_emb=second)  # type: ignore[arg-type]
    torch.testing.assert_close(vicreg(first, second, covariance), theirs)


def test_its_least_value_is_0_where_views_agree_and_features_are_white():
    white = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert vicreg(white, white, 1.0) == 0
    assert vicreg(white, white + 1, 1.0) == 1  # the invariance
    assert vicreg(0 * white, 0 * white, 1.0) == pytest.approx(0.99)  # the variance: one minus the root of 1e-4
    assert vicreg(white[:, :1].expand(4, 2), white[:, :1].expand(4, 2), 1.0) > 3  # the covariance


def test_the_gradient_is_right():
    first, second = (0.5 * torch.randn(5, 3, dtype=torch.float64) for _ in range(2))
    views = first.requires_grad_(), second.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: vicreg(a, b, 0.3), views)


def test_equal_rows_have_a_finite_gradient():
    rows = torch.ones(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(vicreg(rows, rows, 1.0), rows)
    assert gradient.isfinite().all()


def test_the_loss_is_that_of_two_projected_passes(monkeypatch: pytest.MonkeyPatch):
    model = network()
    method, here = ready(model, domain("a").unlabelled())
    batch, other = here.batch(0), torch.randn(16, 8)
    monkeypatch.setattr(VICReg, "_view", lambda *_: Output(other, other))
    assert method.projector is not None
    output = model(batch.x)
    expected = vicreg(method.projector(output.features), method.projector(other), method.covariance)
    torch.testing.assert_close(method.loss(model, batch, output), expected)
    method.weight = 3.0
    torch.testing.assert_close(method.loss(model, batch, output), 3 * expected)


def test_features_of_several_positions_count_as_their_mean():
    class Positions(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.unflatten(1, (2, 4)), torch.tensor([[True, False]]).expand(len(x), 2)

    model = Model(Positions(), nn.Linear(4, 2))
    method, here = ready(model, domain("a").unlabelled())
    batch = here.batch(0)
    before = method.loss(model, batch, model(batch.x))
    assert isinstance(batch.x, Tensor)
    batch.x[:, 4:] += 5  # which the mask hides
    assert torch.equal(method.loss(model, batch, model(batch.x)), before)
    batch.x[:, :4] *= 5
    assert not torch.equal(method.loss(model, batch, model(batch.x)), before)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
def test_the_second_pass_moves_no_statistics_and_no_random_numbers(batchnorm: str):
    model = network(norm=True, batchnorm=batchnorm, dropout=0.5)
    model.reserve(2)
    method, here = ready(model, domain("a").unlabelled(), domain("b", 0.5).unlabelled())
    batch = here.batch(0)
    output = model(batch.x, batch.domain)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    method.loss(model, batch, output).backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.encoder.parameters())


def test_the_second_pass_normalises_by_its_batch_where_the_first_does(monkeypatch: pytest.MonkeyPatch):
    model = network(norm=True)
    method, here = ready(model, domain("a").unlabelled())
    batch = here.batch(0)
    monkeypatch.setattr(VICReg, "own_randomness", lambda _: seeded(3))
    with seeded(3):
        first = model(batch.x).features
    torch.testing.assert_close(method._view(model, batch).features, first)


def test_every_row_counts_where_any_is_unlabelled_and_none_where_all_have_labels():
    model, a, b = network(), domain("a"), domain("b")
    method, both = ready(model, a, b.unlabelled())
    batch = both.batch(0)
    features = torch.randn(32, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(method.loss(model, batch, Output(features, features)), features)
    assert (gradient.abs().sum(1) > 0).all()
    labelled = stage(a).batch(0)
    assert method.loss(model, labelled, model(labelled.x)) == 0
    one = stage(Domain("one", torch.randn(1, 8), None)).batch(0)
    assert method.loss(model, one, model(one.x)) == 0


def test_a_model_that_draws_nothing_is_warned_of(make_model: Callable, make_domain: Callable):
    here = stage(make_domain("a").unlabelled())
    with pytest.warns(
        UserWarning, match=r"VICReg: stage 0 \(a\): the two views are equal, .*add nn.Dropout or a jitter"
    ):
        VICReg().prepare(make_model(), here)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VICReg().prepare(network(), stage(domain("a").unlabelled()))


def test_equal_views_are_no_error(make_model: Callable, make_domain: Callable):
    report = fit(make_model(), [make_domain("a").unlabelled()], VICReg(), steps=3, task=Representation())
    assert report.scores[1][0] is not None


def test_the_projector_keeps_no_statistics():
    assert list(projector(8, 5).buffers()) == []
    assert projector(8, 5)(torch.randn(4, 8)).shape == (4, 5)


def test_the_start_of_the_projector_depends_on_the_seed_alone():
    def start(seed: int, drawn: int = 0) -> Tensor:
        method = VICReg()
        method.seed(seed)
        torch.rand(drawn)
        method.prepare(network(), stage(domain("a").unlabelled()))
        return next(method.parameters())

    assert torch.equal(start(0), start(0, drawn=5))
    assert not torch.equal(start(0), start(1))


# Unsupervised transfer


def beside(a: Domain, b: Domain) -> list[Domain | tuple[Domain, ...]]:
    return [a.unlabelled(), (a.unlabelled(), b.unlabelled())]


def gone(a: Domain, b: Domain) -> list[Domain | tuple[Domain, ...]]:
    return [a.unlabelled(), b.unlabelled()]


@pytest.mark.parametrize(
    ("stream", "metric", "margin"),
    [(beside, "k-NN accuracy", 0.2), (gone, "k-NN accuracy", 0.2), (beside, "clustering accuracy", 0.1)],
)
def test_features_of_old_and_new_tell_more_without_a_label(stream: Callable, metric: str, margin: float):
    model, task = network(norm=True, batchnorm="per-domain"), Representation(metric)
    domains = stream(domain("a"), domain("b", shift=0.7))
    report = fit(model, domains, VICReg(), steps=60, batch_size=40, lr=0.01, task=task)
    untrained, last = np.array([report.scores[0], report.scores[-1]], dtype=float)
    assert (last > untrained + margin).all(), report.scores
    assert report.notes == []


def test_the_old_domain_is_rehearsed_where_it_is_gone():
    stream, method = gone(domain("a"), domain("b")), VICReg() + Replay(50)
    report = fit(network(), stream, method, steps=3, batch_size=8, task=Representation())
    assert not [note for note in report.notes if "stage 2" in note]


def test_labels_may_be_in_the_test_data_alone():
    a = domain("a")
    assert a.test is not None
    blind = Domain("blind", a.train.x, (a.test.x, a.test.y))
    report = fit(network(), [blind], VICReg(), steps=3, batch_size=8, task=Representation())
    assert all(score is not None for row in report.scores for score in row)


def test_without_it_nothing_is_learned():
    report = fit(network(), [domain("a").unlabelled()], Method(), steps=3, task=Representation())
    assert report.scores[0] == report.scores[1]


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"covariance": -1.0}, {"hidden": 0}, {"hidden": 2.5}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="VICReg"):
        VICReg(**arguments)
