import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tladapt import CORAL, DANN, EWC, Domain, Model, Output, Stage, fit
from tladapt.methods.dann import ReverseGradient

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_adapt.layers import GradientReversal


def output(rows: int, seed: int, width: int = 8) -> Output:
    features = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Output(features.requires_grad_(), features[:, :2])


@pytest.fixture
def dann(make_model: Callable[..., Model], stages: list[Stage]) -> DANN:
    """Ready for its first stage, in double precision."""
    method = DANN(weight=0.7, hidden=5)
    method.seed(0)
    method.prepare(make_model(), stages[0])
    return method.double()


def ramp(progress: float) -> float:
    return 2 / (1 + math.exp(-10 * progress)) - 1


def numerical_gradient(function: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6) -> Tensor:
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        there = torch.zeros_like(x).flatten()
        there[i] = step
        up, down = function(x + there.view_as(x)), function(x - there.view_as(x))
        gradient.view(-1)[i] = (up - down) / (2 * step)
    return gradient


def test_reverse_gradient_is_the_identity_forward():
    x = torch.randn(3, 4)
    assert torch.equal(ReverseGradient.apply(x, 0.3), x)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_the_reversed_gradient_is_minus_scale_times_the_numerical_one(scale: float):
    x = torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    reversed_ = ReverseGradient.apply(x, scale)
    assert isinstance(reversed_, Tensor)
    reversed_.sin().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, -scale * numerical_gradient(lambda x: x.sin().sum(), x.detach()))


def test_it_equals_the_gradient_reversal_of_pytorch_adapt():
    x, y = (torch.ones(3, 4).mul(0.7).requires_grad_() for _ in range(2))
    mine, theirs = ReverseGradient.apply(x, 0.4), GradientReversal(weight=0.4)(y)
    assert isinstance(mine, Tensor)
    mine.pow(3).sum().backward()
    theirs.pow(3).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.grad, atol=1e-6, rtol=0)


@pytest.mark.parametrize("progress", [0.05, 0.5, 0.99])
def test_the_encoder_climbs_what_the_critic_descends(dann: DANN, progress: float):
    source, target = output(5, 0), output(3, 1)
    dann.discrepancy(source, target, progress).backward()

    def loss(features: Tensor) -> Tensor:
        return dann.discrepancy(Output(features[:5], features[:5]), Output(features[5:], features[5:]), progress)

    both = torch.cat([source.features, target.features]).detach()
    expected = -0.7 * ramp(progress) * numerical_gradient(loss, both)
    assert source.features.grad is not None
    assert target.features.grad is not None
    torch.testing.assert_close(torch.cat([source.features.grad, target.features.grad]), expected, atol=1e-7, rtol=1e-4)


def test_the_critic_descends_at_full_rate_whatever_the_weight(dann: DANN):
    assert dann.critic is not None
    source, target = output(5, 0), output(3, 1)
    for weight in (0.7, 70.0):
        dann.weight = weight
        dann.zero_grad()
        dann.discrepancy(source, target, 0.5).backward()
        for parameter in dann.critic.parameters():

            def loss(values: Tensor, parameter: nn.Parameter = parameter) -> Tensor:
                with torch.no_grad():
                    kept = parameter.clone()
                    parameter.copy_(values)
                    result = dann.discrepancy(source, target, 0.5)
                    parameter.copy_(kept)
                return result

            assert parameter.grad is not None
            expected = numerical_gradient(loss, parameter.detach().clone())
            torch.testing.assert_close(parameter.grad, expected, atol=1e-7, rtol=1e-4)


def test_at_the_start_of_a_stage_only_the_critic_learns(dann: DANN):
    source, target = output(5, 0), output(3, 1)
    dann.discrepancy(source, target, 0.0).backward()
    assert source.features.grad is not None
    assert source.features.grad.abs().sum() == 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in dann.parameters())


def test_a_critic_of_zero_weights_gives_log_2(dann: DANN):
    with torch.no_grad():
        for parameter in dann.parameters():
            parameter.zero_()
    assert dann.discrepancy(output(5, 0), output(3, 1), 0.5).item() == pytest.approx(math.log(2), abs=1e-12)


def test_source_and_target_count_alike_whatever_their_numbers(dann: DANN):
    source, target = output(2, 0), output(3, 1)
    many = Output(target.features.repeat(7, 1), target.logits.repeat(7, 1))
    few, lot = (dann.discrepancy(source, other, 0.5).item() for other in (target, many))
    assert few == pytest.approx(lot, abs=1e-12)


def test_the_critic_calls_the_source_positive(dann: DANN):
    assert dann.critic is not None
    with torch.no_grad():
        for parameter in dann.parameters():
            parameter.zero_()
        list(dann.critic.parameters())[-1].fill_(3.0)
    few = dann.discrepancy(output(2, 0), output(3, 1), 0.5).item()
    assert few == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(3))) / 2, abs=1e-12)


def test_the_start_of_the_critic_depends_on_the_seed_alone(make_model: Callable, stages: list[Stage]):
    def start(method: DANN, total=None, seed: int = 0) -> Tensor:
        (total or method).seed(seed)
        torch.rand(3)
        (total or method).prepare(make_model(), stages[0])
        return torch.cat([p.detach().flatten() for p in method.parameters()])

    plain, beside = DANN(), DANN()
    assert torch.equal(start(plain), start(DANN(weight=0.01)))
    assert torch.equal(start(DANN()), start(beside, CORAL() + beside + EWC()))
    assert not torch.equal(start(DANN()), start(DANN(), seed=1))


def test_later_stages_go_on_with_the_critic(make_model: Callable, stages: list[Stage]):
    method = DANN()
    method.prepare(make_model(), stages[0])
    critic = method.critic
    method.prepare(make_model(), stages[1])
    assert method.critic is critic


def test_the_critic_is_trained_by_fit(make_model: Callable, make_domain: Callable):
    method, a, b = DANN(), make_domain("a"), make_domain("b").unlabelled()
    fit(make_model(), [(a, b)], method, steps=1, batch_size=8)
    trained = torch.cat([p.detach().flatten() for p in method.parameters()])
    again = DANN()
    again.seed(0)
    again.prepare(make_model(), None)  # type: ignore[arg-type]
    assert not torch.equal(trained, torch.cat([p.detach().flatten() for p in again.parameters()]))


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"weight": -1.0}, {"hidden": 0}])
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="DANN"):
        DANN(**arguments)


def critics_loss(weight: float, pair: tuple[Domain, Domain], model: Model, make_stage: Callable, seed: int) -> float:
    """How badly the critic tells the domains apart in the end."""
    source, target = pair
    method = DANN(weight=weight)
    fit(model, [(source, target.unlabelled())], method, steps=200, lr=0.01, batch_size=50, seed=seed)
    batch = make_stage(source, target.unlabelled(), batch_size=100).batch(0)
    return method.loss(model, batch, model(batch.x)).item()


def test_it_makes_the_domains_hard_to_tell_apart(make_model: Callable, make_stage: Callable, misleading: Callable):
    def mean(weight: float) -> float:
        runs = [critics_loss(weight, misleading(s, "shift"), make_model(s), make_stage, s) for s in range(3)]
        return sum(runs) / len(runs)

    assert mean(1e-9) < 0.1
    assert mean(1.0) > 0.3
