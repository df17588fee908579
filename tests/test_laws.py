"""The laws, over every method there is and over sums of them; a new method is covered without a line here.

`tladapt.methods.__all__` is where the methods are found. Each is built with its defaults; pairs and triples follow.
"""

import copy
import inspect
import re
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import combinations, permutations
from operator import add
from typing import Any

import pytest
import torch
from torch import Tensor

import tladapt.methods
from tladapt import DANN, EWC, Batch, Domain, Method, Model, Output, Replay, Report, Stage, fit
from tladapt.data import Data, each
from tladapt.method import ROLES

Build = Callable[[], Method]
FOUND = [getattr(tladapt.methods, name) for name in tladapt.methods.__all__]
CLASSES: list[type[Method]] = [c for c in FOUND if isinstance(c, type) and issubclass(c, Method) and c is not Method]


def agree(terms: Sequence[Build]) -> bool:
    """Whether no two take hold of the same thing, so that their sum is allowed."""
    roles = [role for term in terms if (role := term().role) is not None]
    return len(set(roles)) == len(roles)


def name(terms: Sequence[Build]) -> str:
    """What pytest calls the sum."""
    return "+".join(term.__name__ for term in terms)


def replay_10() -> Method:
    return Replay(10)


def replay_20() -> Method:
    return Replay(20)


def replay_200() -> Method:
    return Replay(200)


SINGLES: list[tuple[Build, ...]] = [(cls,) for cls in CLASSES]
FAMILIES = {DANN, EWC, Replay}  # an alignment, an anchor, a memory: each method beside every one of them
PAIRS = [pair for pair in combinations(CLASSES, 2) if agree(pair) and FAMILIES & set(pair)]
TRIPLES = [triple for triple in combinations(CLASSES, 3) if agree(triple)]
TRIPLES = [TRIPLES[0], TRIPLES[-1]]
REPLAYS: tuple[Build, ...] = (replay_20, replay_10)
THREE: tuple[Build, ...] = (DANN, replay_200, EWC)
SUMS: list[tuple[Build, ...]] = [*PAIRS, *TRIPLES, REPLAYS, THREE]


def built(terms: Sequence[Build]) -> Method:
    """A fresh sum, in this order."""
    return reduce(add, (term() for term in terms))


every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
every_sum = pytest.mark.parametrize("terms", SUMS, ids=name)
every_method = pytest.mark.parametrize("terms", [*SINGLES, *SUMS], ids=name)


@pytest.fixture
def stream(make_domain: Callable[..., Domain]) -> list[Domain | tuple[Domain, ...]]:
    """Labels alone, labels beside a domain without any, other labels: something for every method to act on."""
    a, b, c = make_domain("a"), make_domain("b", rows=20, shift=0.5), make_domain("c", rows=16, shift=-0.5)
    return [a, (a, b.unlabelled()), c]


@pytest.fixture
def learn(stream: list, make_model: Callable[..., Model]) -> Callable[..., tuple[dict[str, Tensor], Report]]:
    """`learn(method, seed)`: the weights after the stream, and the report."""

    def run(method: Method | None, seed: int = 0) -> tuple[dict[str, Tensor], Report]:
        model = make_model()
        report = fit(model, stream, method, steps=5, batch_size=8, lr=0.01, seed=seed)
        return model.state_dict(), report

    return run


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def comparable(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.to_dict().items() if key not in ("seconds", "environment")}


def joined(model: Model, method: Method, stage: Stage, step: int, progress: float = 0.5) -> Batch:
    """The batch of a step with all that the method adds to it."""
    batch = stage.batch(step, progress)
    return batch.join(method.extend(model, batch))


def play(model: Model, method: Method, stage: Stage, steps: range) -> list[Tensor]:
    """Some steps of the loop; returns all that was drawn and every loss."""
    trained = [*model.trained(), *(p for p in method.parameters() if p.requires_grad)]
    stepper, seen = torch.optim.SGD(trained, lr=0.05), list[Tensor]()
    for step in steps:
        batch = joined(model, method, stage, step, progress=step / 8)
        output = model(batch.x, batch.domain)
        losses = method.losses(model, batch, output)
        stepper.zero_grad()
        total = sum(losses.values(), stage.task.loss(output, batch))
        if total.requires_grad:
            total.backward()
        method.adjust(model, batch)
        stepper.step()
        assert isinstance(batch.x, Tensor)
        seen += [batch.x, batch.y, batch.domain, *(loss.detach() for loss in losses.values())]
    return seen


def end(model: Model, method: Method, stage: Stage) -> None:
    """The end of a stage, as in the loop: all trains again, at one rate."""
    method.consolidate(model, stage)
    model.thaw()
    model.rates.clear()


def begin(model: Model, method: Method, stages: list[Stage]) -> Method:
    """Learn the first stage and prepare the second, with the model moved a little from where that begins."""
    method.seed(0)
    method.train().prepare(model, stages[0])
    play(model, method, stages[0], range(3))
    end(model, method, stages[0])
    method.prepare(model, stages[1])
    play(model, Method(), stages[1], range(1))
    return method


def test_every_public_method_is_found():
    assert {"DANN", "EWC", "Replay"} <= {cls.__name__ for cls in CLASSES}
    assert len(CLASSES) == len(tladapt.methods.__all__) - 1


# Method() is the identity


def test_to_add_nothing_is_to_fine_tune(learn: Callable):
    assert equal(learn(Method())[0], learn(None)[0])
    assert comparable(learn(Method())[1]) == comparable(learn(None)[1])


@every_method
def test_method_itself_is_the_identity_of_the_sum(terms: Sequence[Build], learn: Callable):
    weights, report = learn(built(terms))
    for method in (built(terms) + Method(), Method() + built(terms)):
        assert repr(method) == report.method
        assert equal(learn(method)[0], weights)


# The order of a sum


@every_sum
def test_a_sum_is_the_same_in_every_order(terms: Sequence[Build], learn: Callable):
    weights, report = learn(built(terms))
    for order in permutations(terms):
        other, other_report = learn(built(order))
        assert equal(other, weights), order
        assert comparable(other_report) == comparable(report)


def test_a_sum_of_sums_is_the_sum_of_their_terms(learn: Callable):
    right = DANN() + (Replay(200) + EWC())
    assert equal(learn(right)[0], learn((DANN() + Replay(200)) + EWC())[0])


# Seeds


@every_method
def test_the_same_seed_gives_the_same_weights_and_report(terms: Sequence[Build], learn: Callable):
    (weights, report), (again, report_again) = learn(built(terms), seed=3), learn(built(terms), seed=3)
    assert equal(weights, again)
    assert comparable(report) == comparable(report_again)


@every_method
def test_another_seed_gives_other_weights(terms: Sequence[Build], learn: Callable):
    assert not equal(learn(built(terms), seed=3)[0], learn(built(terms), seed=4)[0])


@every_method
def test_what_is_drawn_elsewhere_does_not_matter(terms: Sequence[Build], learn: Callable):
    weights, _ = learn(built(terms))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert equal(learn(built(terms))[0], weights)


@every_method
def test_the_global_random_numbers_are_left_alone(terms: Sequence[Build], learn: Callable):
    before = torch.get_rng_state()
    learn(built(terms))
    assert torch.equal(torch.get_rng_state(), before)


# The loss


def check_gradients(method: Method, model: Model, stages: list[Stage]) -> None:
    """Whether every term is a finite number whose gradient reaches the model, once nothing of it is frozen."""
    begin(model, method, stages)
    batch = joined(model, method, stages[1], 0)
    model.thaw()
    output = model(batch.x, batch.domain)
    losses = method.losses(model, batch, output)
    assert losses.keys() == method.terms.keys()
    for name, loss in losses.items():
        assert loss.shape == ()
        assert loss.dtype == output.logits.dtype
        assert loss.isfinite()
        if type(method.terms[name]).loss is Method.loss:
            assert loss == 0
            continue
        trained = [p for p in model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
        assert any(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients), name


@every_method
def test_every_term_is_a_finite_number_whose_gradient_reaches_the_model(
    terms: Sequence[Build], stages: list[Stage], make_model: Callable
):
    check_gradients(built(terms), make_model(), stages)


@every_class
def test_every_term_works_in_double_precision(
    cls: type[Method], stages: list[Stage], make_model: Callable, make_stage: Callable
):
    def doubled_data(data: Data) -> Data:
        return Data(each(torch.Tensor.double, data.x), data.y)

    def double(domain: Domain) -> Domain:
        assert domain.validation is not None
        train, validation = doubled_data(domain.train), doubled_data(domain.validation)
        return Domain(domain.name, train, test=0.0, validation=validation, classes=2)

    doubled = [make_stage(*map(double, stage.domains), ids=stage.ids, index=stage.index) for stage in stages]
    check_gradients(cls(), make_model().double(), doubled)


@every_method
def test_the_loss_of_a_sum_is_the_sum_of_its_losses(terms: Sequence[Build], stages: list[Stage], make_model: Callable):
    model, method = make_model(), built(terms)
    begin(model, method, stages)
    batch = joined(model, method, stages[1], 0)
    output = model(batch.x, batch.domain)
    torch.testing.assert_close(
        method.loss(model, batch, output),
        torch.stack([term.loss(model, batch, output) for term in method.terms.values()]).sum(),
    )


def judged(domain: Domain, by: Domain) -> Domain:
    """The domain with the labelled validation data of the other: a guard judges by it, and has no stage without."""
    changed = copy.copy(domain)
    changed.validation = by.validation
    return changed


MIXTURES = {
    "source only": lambda a, few: (a,),
    "target only": lambda a, few: (judged(a.unlabelled(), by=a),),
    "more source": lambda a, few: (a, few.unlabelled()),
    "more target": lambda a, few: (few, a.unlabelled()),
    "one target": lambda a, few: (a, few.unlabelled(keep=2)),
}


@pytest.mark.parametrize("later", MIXTURES)
@pytest.mark.parametrize("first", MIXTURES)
@every_class
def test_any_mixture_of_source_and_target_works(
    cls: type[Method], first: str, later: str, make_model: Callable, make_domain: Callable, make_stage: Callable
):
    model, method, a, few = make_model(norm=True), cls(), make_domain("a"), make_domain("few", rows=5)
    method.seed(0)
    for index, mixture in enumerate((first, later)):
        stage = make_stage(*MIXTURES[mixture](a, few), index=index)
        method.train().prepare(model, stage)
        assert all(value.isfinite().all() for value in play(model, method, stage, range(3)))
        end(model, method, stage)
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain", "frozen"])
@pytest.mark.parametrize("increment", ["domain", "class", "task"])
@every_class
def test_any_increment_and_any_batchnorm_work(
    cls: type[Method], increment: str, batchnorm: str, make_model: Callable, make_domain: Callable
):
    a, b, c = (make_domain(name, classes=(2 * i, 2 * i + 1), of=6) for i, name in enumerate("abc"))
    model = make_model(classes=6, norm=True, batchnorm=batchnorm)
    fit(model, [a, (b, c.unlabelled()), c], cls(), steps=3, batch_size=8, increment=increment)
    assert all(value.isfinite().all() for value in model.state_dict().values())


# What a verb leaves alone


def snapshot(model: Model) -> dict[str, Tensor]:
    gradients = {f"gradient of {n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    modes = {f"mode of {n}": torch.tensor(module.training) for n, module in model.named_modules()}
    asked = {f"requires_grad of {n}": torch.tensor(p.requires_grad) for n, p in model.named_parameters()}
    rates = {f"rate of {n}": torch.tensor(model.rates.get(p, 1.0)) for n, p in model.named_parameters()}
    return {n: value.clone() for n, value in model.state_dict().items()} | gradients | modes | asked | rates


def tensors(batch: Batch) -> dict[str, Tensor]:
    values = {"x": batch.x, "y": batch.y, "domain": batch.domain, "index": batch.index, "live": batch.live}
    return {key: value.clone() for key, value in values.items() if isinstance(value, Tensor)}


@every_method
def test_extend_and_loss_leave_the_model_and_the_batch_as_they_were(
    terms: Sequence[Build], stages: list[Stage], make_model: Callable
):
    model, method = make_model(norm=True), built(terms)
    begin(model, method, stages)
    batch, before = stages[1].batch(0, 0.5), snapshot(model)
    held = tensors(batch)
    extra = method.extend(model, batch)
    thaws = {term.role for term in method.terms.values()} & {"trainable"}
    _compare(before, snapshot(model), thaws, "extend")
    assert equal(tensors(batch), held)
    batch = batch.join(extra)
    output = model(batch.x, batch.domain)
    logits, features = output.logits.clone(), output.features.clone()
    before, held = snapshot(model), tensors(batch)
    method.losses(model, batch, output)
    assert equal(snapshot(model), before)
    assert equal(tensors(batch), held)
    assert torch.equal(output.logits, logits)
    assert torch.equal(output.features, features)


@every_method
def test_no_verb_touches_the_data(terms: Sequence[Build], stages: list[Stage], make_model: Callable):
    before = [[(d.train.x.clone(), d.train.y.clone()) for d in stage.domains] for stage in stages]  # type: ignore[union-attr]
    model, method = make_model(), built(terms)
    begin(model, method, stages)
    play(model, method, stages[1], range(3))
    method.consolidate(model, stages[1])
    for stage, held in zip(stages, before, strict=True):
        for domain, (x, y) in zip(stage.domains, held, strict=True):
            assert torch.equal(domain.train.x, x)  # type: ignore[arg-type]
            assert torch.equal(domain.train.y, y)


@every_method
def test_nothing_is_remembered_of_a_stage_that_did_not_end(
    terms: Sequence[Build], stages: list[Stage], make_model: Callable
):
    model, again, method = make_model(), make_model(), built(terms)
    method.seed(0)
    method.train().prepare(model, stages[0])
    fresh = {key: value.clone() for key, value in method.named_buffers()}
    play(model, method, stages[0], range(3))
    method.seed(0)
    method.prepare(again, stages[0])
    assert equal(dict(method.named_buffers()), fresh)


# Roles


def check_role(method: Method, model: Model, stages: list[Stage]) -> None:
    """Whether what the method is seen to change is what it declares."""
    allowed = {term.role for term in method.terms.values()}
    allowed |= {"weights"} if "guard" in allowed else set()  # it may put the old ones back
    method.seed(0)
    for stage in stages:
        before = snapshot(model)
        method.train().prepare(model, stage)
        _compare(before, snapshot(model), allowed, "prepare")
        play(model, Method(), stage, range(1))
        batch = joined(model, method, stage, 0)
        loss = sum(method.losses(model, batch, output := model(batch.x)).values(), stage.task.loss(output, batch))
        model.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        before = snapshot(model)
        method.adjust(model, batch)
        _compare(before, snapshot(model), allowed, "adjust")
        before = snapshot(model)
        method.consolidate(model, stage)
        _compare(before, snapshot(model), allowed, "consolidate")
        model.thaw()
        model.rates.clear()


def _compare(before: dict[str, Tensor], after: dict[str, Tensor], allowed: set[str | None], verb: str) -> None:
    changed = {
        key for key in before | after if key not in before or key not in after or not before[key].equal(after[key])
    }
    kinds = {"gradient of": "gradient", "requires_grad of": "trainable", "mode of": "trainable", "rate of": "trainable"}
    for key in changed:
        role = next((role for start, role in kinds.items() if key.startswith(start)), "weights")
        role = "trainable" if verb != "adjust" and (key in before) != (key in after) else role  # parts come and go
        role = "predictor" if "predictor" in key else role
        assert role in allowed, f"{verb} changes {key!r}: a role {role!r}, which is not declared"


@every_method
def test_a_method_takes_hold_of_what_it_declares_and_of_nothing_else(
    terms: Sequence[Build], stages: list[Stage], make_model: Callable
):
    method = built(terms)
    assert all(term.role in ROLES for term in method.terms.values())
    check_role(method, make_model(norm=True), stages)


@pytest.mark.parametrize("cls", [c for c in CLASSES if c.role == "trainable"], ids=lambda cls: cls.__name__)
def test_what_chooses_what_trains_leaves_no_trace_but_what_was_learned(
    cls: type[Method], stages: list[Stage], make_model: Callable
):
    def answers() -> Tensor:
        batch, training = stages[0].batch(0), model.training
        with torch.no_grad():
            logits = model.eval()(batch.x, batch.domain).logits
        model.train(training)
        return logits

    model, method = make_model(norm=True), cls()
    method.seed(0)
    shape = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for stage in stages:
        before = answers()
        method.train().prepare(model.train(), stage)
        assert torch.equal(answers(), before)
        play(model, method, stage, range(3))
        learned = answers()
        assert not torch.equal(learned, before)
        method.consolidate(model.eval(), stage)
        model.thaw()
        torch.testing.assert_close(answers(), learned, atol=1e-5, rtol=1e-5)
        assert [*shape.items()] == [(name, p.requires_grad) for name, p in model.named_parameters()]


class Freezes(Method):
    def prepare(self, model: Model, stage: Stage) -> None:
        model.encoder.requires_grad_(False)


class Shrinks(Method):
    def consolidate(self, model: Model, stage: Stage) -> None:
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(0.9)


class Halves(Method):
    def adjust(self, model: Model, batch: Batch) -> None:
        for p in model.parameters():
            if p.grad is not None:
                p.grad.mul_(0.5)


@pytest.mark.parametrize(("cls", "role"), [(Freezes, "trainable"), (Shrinks, "weights"), (Halves, "gradient")])
def test_an_undeclared_role_is_caught(cls: type[Method], role: str, stages: list[Stage], make_model: Callable):
    with pytest.raises(AssertionError, match=role):
        check_role(cls(), make_model(norm=True), stages)
    declared = type(cls.__name__, (cls,), {"role": role})
    check_role(declared(), make_model(norm=True), stages)


# Resuming


def prepare_then_load(fresh: Method, model: Model, stage: Stage, state: dict[str, Tensor]) -> None:
    fresh.prepare(model, stage)
    fresh.load_state_dict(state)


def load_prepare_load(fresh: Method, model: Model, stage: Stage, state: dict[str, Tensor]) -> None:
    fresh.load_state_dict(state, strict=False)
    fresh.prepare(model, stage)
    fresh.load_state_dict(state)


RESUMES = [prepare_then_load, load_prepare_load]


def check_round_trip(build: Build, model: Model, stages: list[Stage], resume: Callable = load_prepare_load) -> None:
    """Whether `state_dict` holds all that a fresh object needs to go on from the middle of a stage."""
    method = begin(model, build(), stages)
    play(model, method, stages[1], range(2))
    state, twin, fresh = copy.deepcopy(method.state_dict()), copy.deepcopy(model), build()
    twin.thaw()  # what is frozen, and how fast the rest trains, is in no file
    twin.rates.clear()
    fresh.seed(1)
    resume(fresh.train(), twin, stages[1], state)
    assert equal(fresh.state_dict(), state), "what was loaded is not what was saved"
    left, right = play(model, method, stages[1], range(2, 6)), play(twin, fresh, stages[1], range(2, 6))
    assert all(map(torch.equal, left, right)), "another loss or another draw"
    method.consolidate(model, stages[1])
    fresh.consolidate(twin, stages[1])
    assert equal(fresh.state_dict(), method.state_dict()), "another state at the end of the stage"
    assert equal(twin.state_dict(), model.state_dict()), "other weights"


@pytest.mark.parametrize("resume", RESUMES, ids=lambda resume: resume.__name__)
@every_method
def test_a_fresh_object_goes_on_from_the_state_dict(
    terms: Sequence[Build], resume: Callable, stages: list[Stage], make_model: Callable
):
    check_round_trip(lambda: built(terms), make_model(), stages, resume)


class Forgets(Method):
    """Pulls the model to where the stage before ended, which `state_dict` does not know."""

    anchor: Tensor | None = None

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        here = torch.cat([p.flatten() for p in model.parameters()])
        return here.new_zeros(()) if self.anchor is None else (here - self.anchor).square().sum()

    def consolidate(self, model: Model, stage: Stage) -> None:
        self.anchor = torch.cat([p.detach().flatten() for p in model.parameters()])


class Recomputes(Forgets):
    """The same, from the model that it is prepared with: on resume another one."""

    def prepare(self, model: Model, stage: Stage) -> None:
        self.anchor = torch.cat([p.detach().flatten() for p in model.parameters()])

    def consolidate(self, model: Model, stage: Stage) -> None:
        pass


class DrawsElsewhere(Method):
    """Adds noise from a generator that `state_dict` does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.other = torch.Generator().manual_seed(0)

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        return output.logits.mean() * torch.rand((), generator=self.other)


@pytest.mark.parametrize("resume", RESUMES, ids=lambda resume: resume.__name__)
@pytest.mark.parametrize("cls", [Forgets, Recomputes, DrawsElsewhere])
def test_a_state_that_state_dict_misses_is_caught(
    cls: type[Method], resume: Callable, stages: list[Stage], make_model: Callable
):
    with pytest.raises(AssertionError, match="another loss or another draw"):
        check_round_trip(cls, make_model(), stages, resume)


# The constructor


@every_method
def test_repr_builds_the_method_again(terms: Sequence[Build]):
    method = built(terms)
    assert repr(eval(repr(method), dict(vars(tladapt.methods)))) == repr(method)


def other_than(value: object) -> object:
    """Another value that the argument may take."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2 if isinstance(value, float) else value


@every_class
def test_repr_shows_every_argument_of_the_constructor(cls: type[Method]):
    parameters = inspect.signature(cls).parameters.values()
    assert all(parameter.default is not parameter.empty for parameter in parameters)
    arguments = {parameter.name: other_than(parameter.default) for parameter in parameters}
    shown = repr(cls(**arguments))
    again = eval(shown, dict(vars(tladapt.methods)))
    assert all(f"{name}={value!r}" in shown for name, value in arguments.items())
    assert {name: getattr(again, name) for name in arguments} == arguments


@every_class
def test_a_method_says_what_it_needs_and_remembers(cls: type[Method]):
    assert cls.remembers in ("nothing", "statistics", "outputs", "samples")
    assert cls().needs <= {"source", "target"}


@every_class
def test_every_weight_must_be_positive(cls: type[Method]):
    if "weight" in inspect.signature(cls).parameters:
        for weight in (0.0, -1.0, float("nan")):
            with pytest.raises(ValueError, match=f"{cls.__name__}.*weight={weight}"):
                cls(weight=weight)  # type: ignore[call-arg]


# Nothing to act on


def idle_terms(method: Method, model: Model, stage: Stage) -> list[str]:
    """The terms that could give a loss or samples and give none, seen apart from the loop."""
    method.seed(0)
    method.train().prepare(model, stage)
    batch = joined(model, method, stage, 0, progress=0.0)
    losses = method.losses(model, batch, model(batch.x, batch.domain))
    silent = [
        n
        for n, term in method.terms.items()
        if not losses[n].requires_grad and not len(batch.domain[batch.added(term)])
    ]
    frozen = any(term.role == "trainable" for term in method.terms.values())  # then a term may be idle for that
    assert frozen or all(losses[n] == 0 for n in silent)
    verbs = {n: (type(method.terms[n]).loss, type(method.terms[n]).extend) for n in silent}
    return [n for n in silent if verbs[n] != (Method.loss, Method.extend) and n not in on_the_model(method)]


def on_the_model(method: Method) -> set[str]:
    """The terms that act on the model alone, and are not idle for giving neither a loss nor samples."""
    roles = ("trainable", "weights", "guard")
    return {n for n, term in method.terms.items() if term.role in roles and type(term).loss is Method.loss}


def noted(report: Report, method: Method, stage: int) -> list[str]:
    """The terms said to have had nothing to act on in a stage; whether those that act on the model are is not asked."""
    found = [re.match(rf"stage {stage + 1} \(.*\): ([\w-]+) was inactive", note) for note in report.notes]
    return [match[1] for match in found if match and match[1] not in on_the_model(method)]


@every_method
def test_a_term_with_nothing_to_act_on_is_named_once_with_its_stage(
    terms: Sequence[Build], stages: list[Stage], make_domain: Callable, make_model: Callable
):
    method = built(terms)
    idle = idle_terms(method, make_model(), stages[0])
    stream = [make_domain("a"), (make_domain("b"), make_domain("c").unlabelled())]
    report = fit(make_model(), stream, built(terms), steps=3, batch_size=8)
    assert noted(report, method, 0) == []  # as one would expect: there is nothing to align yet, and no past
    if not any("target" in term.needs for term in method.terms.values()):
        alone = fit(make_model(), [make_domain("a")], built(terms), steps=3, batch_size=8)
        assert noted(alone, method, 0) == idle
    if not any(term.role == "trainable" for term in method.terms.values()):  # what is frozen may leave nothing to do
        assert noted(report, method, 1) == []


@every_class
def test_a_method_that_no_stage_can_serve_is_refused_before_anything_is_trained(
    cls: type[Method], make_model: Callable, make_domain: Callable
):
    a, needs = make_domain("a"), cls().needs
    streams = [[a]] * ("target" in needs) + [[a.unlabelled()]] * ("source" in needs)
    streams += [[a, make_domain("b").unlabelled()]] * (len(needs) == 2)  # both, but never at once
    for stream in streams:
        model = make_model()
        before = snapshot(model)
        with pytest.raises(ValueError, match=cls.__name__):
            fit(model, stream, cls(), steps=3)
        assert equal(snapshot(model), before)


@every_class
def test_a_memory_may_serve_what_the_stages_alone_cannot(
    cls: type[Method], make_domain: Callable, make_model: Callable
):
    a, b = make_domain("a"), make_domain("b")
    method = cls() + Replay(200)
    report = fit(make_model(), [a, judged(b.unlabelled(), by=b)], method, steps=3)
    assert noted(report, method, 1) == []
    assert not any("nothing was learned" in note for note in report.notes)
