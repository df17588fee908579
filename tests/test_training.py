"""The loop: what it runs, what it leaves alone, and what it never looks at."""

import copy
import math
import random
from collections.abc import Iterator
from types import FunctionType, ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from tladapt import (
    CORAL,
    DANN,
    EWC,
    MMD,
    Classification,
    Data,
    DivergedError,
    Domain,
    LwF,
    Method,
    Model,
    Replay,
    adaptation,
    cosine,
    fit,
    train,
)
from tladapt.backbones import mlp
from tladapt.scenarios import by_class


def domain(name: str, shift: float = 0.0, classes: int = 2, n: int = 40, **options) -> Domain:
    """Points around a corner of their own per class, moved by `shift`."""
    random_numbers = torch.Generator().manual_seed(len(name) + n)
    y = torch.arange(n) % classes
    x = torch.randn(n, 4, generator=random_numbers) / 2 + 3 * torch.eye(4)[y % 4] + shift
    return Domain(name, (x, y), **options)


def net(classes: int = 2, dropout: float = 0.0) -> Model:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, classes)]
    return Model.of(nn.Sequential(*layers))


A, B, C = domain("a"), domain("b", 1.0), domain("c", -1.0)


def weights(model: Model) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def trained(stream, method: Method | None = None, model: Model | None = None, **options) -> Tensor:
    model = model or net()
    fit(model, stream, method, **{"epochs": 2, "batch_size": 8, **options})
    return weights(model)


class Counting(Method):
    """Notes which verb was called when."""

    def __init__(self):
        super().__init__()
        self.calls, self.progress = list[tuple[str, int]](), list[float]()

    def prepare(self, model, stage):
        self.calls.append(("prepare", stage.index))

    def adjust(self, model, batch):
        self.progress.append(batch.progress)

    def consolidate(self, model, stage):
        self.calls.append(("consolidate", stage.index))


def test_every_stage_yields_a_report_and_fit_returns_the_last():
    reports = list(train(net(), [A, B, C], epochs=1, batch_size=8))
    last = fit(net(), [A, B, C], epochs=1, batch_size=8)
    assert [len(report.scores) for report in reports] == [2, 3, 4]
    assert [report.stages for report in reports] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert all(report.domains == ["a", "b", "c"] for report in reports)
    assert [report.scores == last.scores[: i + 2] for i, report in enumerate(reports)] == [True] * 3
    assert last.to_dict() | {"seconds": 0} == reports[-1].to_dict() | {"seconds": 0}


def test_a_report_on_the_way_can_be_read_and_printed():
    for report in train(net(), [A, B, C], epochs=1, batch_size=8):
        assert report.new == report.scores[-1][len(report.stages) - 1]
        assert report.stages[-1] in str(report)


def test_a_report_on_the_way_does_not_change_later():
    first, *_, last = train(net(), [A, B, C.unlabelled()], EWC(), epochs=1, batch_size=8)
    assert (len(first.scores), len(first.notes), len(first.history)) == (2, 0, 1)
    assert (len(last.notes), len(last.history), last.training["steps"][2]) == (1, 3, 0)


def test_nothing_is_trained_before_the_first_report_is_asked_for():
    model = net()
    before = weights(model)
    train(model, [A], epochs=1)
    assert torch.equal(weights(model), before)


def test_row_zero_is_the_score_before_any_training():
    model = net()
    predicted = copy.deepcopy(model).eval()(A.test.rows(torch.arange(8))).logits.argmax(1)  # type: ignore[union-attr]
    report = fit(model, [A], epochs=1)
    assert A.test is not None
    assert report.scores[0] == [float((predicted == A.test.y).double().mean())]


def test_points_that_are_easy_to_tell_apart_are_learned():
    report = fit(net(), [A], lr=1e-2, epochs=20)
    assert report.scores[-1] == [1.0]


@pytest.mark.parametrize(
    ("length", "steps"), [({"epochs": 3}, 12), ({"steps": 5}, 5), ({}, 300), ({"batch_size": 1}, 320)]
)
def test_a_stage_is_as_long_as_it_is_told_and_otherwise_ten_epochs_or_300_steps(length, steps):
    method = Counting()
    fit(net(), [A], method, **{"batch_size": 8, **length})  # 32 rows
    assert method.progress == [step / steps for step in range(steps)]


def test_the_verbs_are_called_stage_by_stage():
    method = Counting()
    fit(net(), [A, (A, B)], method, steps=1)
    assert method.calls == [("prepare", 0), ("consolidate", 0), ("prepare", 1), ("consolidate", 1)]


def test_the_learning_rate_follows_the_schedule():
    seen = []

    class Watched(SGD):
        def step(self, closure=None):
            seen.append(self.param_groups[0]["lr"])
            super().step()

    fit(net(), [A, B], steps=4, lr=0.1, optimizer=Watched)
    assert seen == pytest.approx([0.1 * cosine(k / 4) for k in range(4)] * 2)
    seen.clear()
    fit(net(), [A], steps=3, lr=0.1, optimizer=Watched, schedule=lambda progress: 1 - progress)
    assert seen == pytest.approx([0.1, 0.1 * 2 / 3, 0.1 / 3])


def test_the_cosine_falls_from_one_to_zero():
    assert [cosine(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])


def test_one_step_of_fine_tuning_is_one_step_of_the_cross_entropy():
    model, whole = net(), Domain("a", Data(A.train.x, A.train.y), test=None)
    by_hand = copy.deepcopy(model)
    fit(model, [whole], steps=1, batch_size=64, lr=0.1, optimizer=SGD)
    nn.functional.cross_entropy(by_hand(A.train.x).logits, A.train.y).backward()
    for mine, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert other.grad is not None
        assert torch.allclose(mine, other - 0.1 * other.grad, atol=1e-6)


@pytest.mark.parametrize("name", ["epochs", "steps", "batch_size", "lr"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_an_option_out_of_range_is_refused_by_name_before_anything_runs(name, value):
    with pytest.raises(ValueError, match=rf"^{name}={value}: expected a positive (whole )?number"):
        train(net(), [A], **{name: value})


def test_epochs_and_steps_together_are_refused():
    with pytest.raises(ValueError, match=r"epochs and steps: give one of them"):
        train(net(), [A], epochs=1, steps=1)


@pytest.mark.parametrize("function", [fit, train])
def test_a_misspelled_option_is_refused(function):
    with pytest.raises(TypeError, match="epoch"):
        function(net(), [A], epoch=1)


def test_an_unknown_increment_is_refused():
    with pytest.raises(ValueError, match=r"increment='stage'"):
        fit(net(), [A], increment="stage")


def test_a_model_with_too_few_classes_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"domain 'many' has 5 classes, the model 2; .*Model.of\(..., classes=5\)"):
        train(net(), [A, domain("many", classes=5)])


def test_a_domain_only_to_evaluate_on_must_fit_the_model_too():
    with pytest.raises(ValueError, match=r"domain 'many' has 5 classes"):
        train(net(), [A], evaluate=[A, domain("many", classes=5)])


@pytest.mark.parametrize("method", [DANN(), EWC() + CORAL(), MMD() + EWC()], ids=repr)
def test_a_method_that_no_stage_serves_is_refused_by_name(method):
    name = next(term for term in method.terms if term != "EWC")
    with pytest.raises(ValueError, match=rf"method: no stage of the stream serves {name}\("):
        train(net(), [A, B.unlabelled()], method)


def test_a_memory_that_brings_the_source_back_serves_an_alignment():
    report = fit(net(), [A, B.unlabelled()], DANN() + Replay(20), epochs=1)
    assert report.notes == []


def test_a_memory_of_a_stage_without_labels_serves_an_alignment_later():
    replay = Replay(40)
    report = fit(net(), [B.unlabelled(), A], DANN() + replay, epochs=1)
    assert replay.memory.held[1] > 0
    assert not [note for note in report.notes if "DANN" in note]


def test_a_term_without_anything_to_act_on_says_so_once():
    report = fit(net(), [A, (A, B.unlabelled()), C], EWC() + DANN(), epochs=2)
    assert report.notes == ["stage 3 (c): DANN was inactive: no unlabelled samples in this stage"]


def test_learned_stages_train_nothing_but_are_consolidated():
    model, method = net(), Counting()
    before = weights(model)
    stages = train(model, [A, B], method + EWC(samples=16), learned=1, epochs=1)
    first = next(stages)
    assert torch.equal(weights(model), before)
    assert first.scores[0] == first.scores[1]
    assert method.calls == [("consolidate", 0)]
    assert len(list(stages)) == 1
    assert not torch.equal(weights(model), before)


def test_learned_stages_are_remembered():
    ewc, replay = EWC(samples=16), Replay(10)
    fit(net(), [A, B], ewc + replay + LwF(), learned=1, steps=1)
    assert ewc.total is not None
    assert replay.memory.held == (10, 0)


def test_an_unlabelled_domain_without_test_labels_adapts_and_the_report_says_so():
    target = Domain("wild", B.train.rows(torch.arange(32)))
    plain, adapted = (trained([A, (A, target)], method) for method in (Method(), DANN()))
    report = fit(net(), [A, (A, target)], DANN(), epochs=1)
    assert not torch.equal(plain, adapted)
    assert [row[1] for row in report.scores] == [None] * 3
    assert (report.new, report.transfer, report.negative_transfer) == (None, None, None)
    assert "wild: no labels to score" in str(report)


def test_a_stage_without_labels_and_without_a_term_for_it_leaves_the_model_as_it_was():
    assert torch.equal(trained([A]), trained([A, B.unlabelled()]))
    report = fit(net(), [A, B.unlabelled()], EWC(), epochs=1)
    assert report.notes == ["stage 2 (b): nothing was learned, as it has no labels and the method needs them"]


class Exploding(Method):
    """Its loss is not finite at one step of one stage."""

    def __init__(self, at: int = 0, value: float = math.nan, stage: int = 0):
        super().__init__()
        self.at, self.value, self.stage = at, value, stage

    def prepare(self, model, stage):
        self.now, self.step = stage.index, -1

    def loss(self, model, batch, output):
        self.step += 1
        return output.logits.sum() * (self.value if (self.step, self.now) == (self.at, self.stage) else 0.0)


@pytest.mark.parametrize("at", [0, 49, 50, 73, 119])
def test_a_loss_that_is_no_number_stops_the_run_and_is_named_with_stage_and_step(at):
    with pytest.raises(DivergedError, match=rf"^Exploding: the loss became nan in stage b, step {at}; lower lr"):
        fit(net(), [A, B], EWC() + Exploding(at, stage=1), steps=120)


def test_a_loss_that_becomes_infinite_stops_the_run_too():
    with pytest.raises(
        DivergedError, match=r"Exploding: the loss became -?inf in stage a, step 3;.*weight of Exploding"
    ):
        fit(net(), [A], Exploding(3, math.inf), steps=60)


def test_a_learning_rate_that_is_far_too_large_is_told_with_the_task():
    with pytest.raises(DivergedError, match=r"^task: the loss became (nan|inf) in stage a, step \d+; lower lr$"):
        fit(net(), [A], steps=60, lr=1e30, optimizer=SGD)


def test_weights_that_are_no_numbers_after_the_last_step_are_told():
    class Breaking(Method):
        def adjust(self, model, batch):
            next(model.parameters()).grad.fill_(math.nan)  # type: ignore[union-attr]

    with pytest.raises(DivergedError, match=r"weights are no longer finite in stage a"):
        fit(net(), [A], Breaking(), steps=1)


def global_random_numbers() -> list[object]:
    """The state of everyone's generators: torch's, Python's, numpy's."""
    return [torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())]  # noqa: NPY002


METHODS = [Method, DANN, lambda: DANN() + Replay(20) + EWC(samples=16), lambda: LwF() + MMD()]


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_leaves_everyones_random_numbers_alone(method):
    before = global_random_numbers()
    trained(adaptation(A, B), method(), model=copy.deepcopy(DROPOUT))
    assert global_random_numbers() == before


DROPOUT = net(dropout=0.5)


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_depends_on_its_seed_and_on_no_one_elses_random_numbers(method):
    runs = []
    for seed, others in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(others)
        runs.append(trained(adaptation(A, B), method(), model=copy.deepcopy(DROPOUT), seed=seed))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_first_stage_does_not_depend_on_what_follows():
    one, two = net(), net()
    next(train(one, [A], epochs=1))
    next(train(two, [A, B, C], epochs=1))
    assert torch.equal(weights(one), weights(two))


def test_the_model_is_left_in_training_or_evaluation_as_the_loop_needs_it():
    modes = []

    class Looking(Method):
        def loss(self, model, batch, output):
            modes.append(model.training)
            return super().loss(model, batch, output)

    fit(net().eval(), [A, B], Looking(), steps=2)
    assert modes == [True] * 4


class Answers(Classification):
    """Classification that notes what was answered."""

    def __init__(self):
        super().__init__()
        self.predicted = list[set[int]]()

    def predict(self, output, live):
        answers = super().predict(output, live)
        self.predicted.append(set(answers.flatten().tolist()))
        return answers


def predictions(increment: str) -> list[set[int]]:
    """For each of three evaluations, what was answered in each of two domains of two classes each."""
    task, stream = Answers(), by_class(domain("digits", classes=4, n=80), 2)
    fit(net(4), stream, increment=increment, task=task, epochs=20, lr=1e-2)
    assert len(task.predicted) == 6
    return task.predicted


def test_task_incremental_answers_stay_within_the_task():
    predicted = predictions("task")
    assert all(answers <= {0, 1} for answers in predicted[0::2])
    assert all(answers <= {2, 3} for answers in predicted[1::2])


def test_class_incremental_answers_stay_within_the_classes_seen():
    predicted = predictions("class")
    assert predicted[2] | predicted[3] <= {0, 1}
    assert predicted[4] | predicted[5] == {2, 3}  # fine-tuning has forgotten the others, though it may answer them


def test_domain_incremental_answers_may_be_anything():
    torch.manual_seed(0)
    model, task = net(4), Answers()
    with torch.no_grad():
        nn.init.zeros_(model.head.weight)  # type: ignore[arg-type]
        model.head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 9.0]))  # type: ignore[operator, union-attr]
    fit(model, by_class(domain("digits", classes=4), 2), task=task, steps=1, lr=1e-6)
    assert task.predicted == [{3}] * 6


def test_the_task_is_trained_over_the_live_classes_only():
    model, stream = net(4), by_class(domain("digits", classes=4), 2)
    before = copy.deepcopy(model.head.weight)
    next(train(model, stream, increment="class", epochs=1))
    assert isinstance(before, Tensor)
    assert isinstance(model.head.weight, Tensor)
    moved = (model.head.weight != before).any(1)
    assert moved.tolist() == [True, True, False, False]


def test_the_evaluation_may_hold_more_domains_in_any_order():
    report = fit(net(), [A, B], evaluate=[C, B, A], epochs=1)
    assert report.domains == ["c", "b", "a"]
    assert report.first == [2, 1, 0]
    assert all(len(row) == 3 for row in report.scores)


def test_the_columns_of_the_report_do_not_change_what_is_learned():
    plain = trained([A, B], EWC(samples=16))
    assert torch.equal(plain, trained([A, B], EWC(samples=16), evaluate=[A, B, C]))


# What must never be looked at

SECRET, WITHHELD = 777, 555  # a label that only test data has; one that only the taken-away labels have


def secretive(name: str) -> Domain:
    n = 24
    y, test = torch.arange(n) % 2, torch.full((6,), SECRET)
    y[5] = WITHHELD
    x = torch.randn(n, 4)
    return Domain(name, (x, y), test=(torch.full((6, 4), float(SECRET)), test), validation=(x, y), classes=1000)


def within(thing: object, seen: dict[int, object] | None = None) -> Iterator[Tensor]:
    """Every tensor that can be reached from a thing, what a view is a view of included."""
    seen = {} if seen is None else seen
    if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType):
        return
    seen[id(thing)] = thing
    if isinstance(thing, Tensor):
        yield thing
        yield from within(thing._base, seen)
    elif isinstance(thing, dict):
        yield from within([*thing.keys(), *thing.values()], seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for part in thing:
            yield from within(part, seen)
    elif hasattr(thing, "__dict__"):
        yield from within(vars(thing), seen)


class Spy(Method):
    """Looks at all that it is given."""

    def __init__(self):
        super().__init__()
        self.found = set[float]()
        self.tensors = 0

    def look(self, *things: object) -> None:
        for tensor in within(list(things)):
            self.tensors += 1
            self.found |= set(tensor.unique().tolist()) & {SECRET, WITHHELD}

    def prepare(self, model, stage):
        self.look(stage, list(stage.batches()), model)

    def extend(self, model, batch):
        self.look(batch, model)

    def loss(self, model, batch, output):
        self.look(batch, output, model)
        return super().loss(model, batch, output)

    def adjust(self, model, batch):
        self.look(batch, model)

    def consolidate(self, model, stage):
        self.look(stage, model)


def test_a_spy_finds_what_is_there():
    spy = Spy()
    fit(mlp(4, (8,), classes=1000), [secretive("a")], spy, steps=2)
    assert WITHHELD in spy.found  # the labels of the source are there to be used
    assert spy.tensors > 50


def test_a_method_is_never_shown_test_data():
    spy = Spy()
    fit(mlp(4, (8,), classes=1000), adaptation(secretive("a"), secretive("b")), spy + DANN() + Replay(9), steps=2)
    assert SECRET not in spy.found


def test_a_method_is_never_shown_labels_that_were_taken_away():
    spy = Spy()
    fit(mlp(4, (8,), classes=1000), [secretive("b").unlabelled()], spy + Unlabelled(), steps=2)
    assert spy.tensors > 50
    assert spy.found == set()


class Unlabelled(Method):
    """A term for unlabelled samples, so that a stage of them is learned from."""

    needs = frozenset({"target"})

    def loss(self, model, batch, output):
        return output.logits[batch.target].square().mean()


def test_the_evaluation_does_not_tell_a_method_which_classes_a_target_has():
    labelled = Domain("b", (B.train.x, torch.zeros(32).long()), test=(A.train.x, A.train.y), classes=2)  # all one class
    seen = []

    class Looking(Method):
        def prepare(self, model, stage):
            seen.append(None if stage.live is None else stage.live.tolist())

    for evaluate in (None, [A, labelled]):
        fit(net(), adaptation(A, labelled), Looking(), increment="task", steps=1, evaluate=evaluate)
    assert seen[2:] == seen[:2]


def shuffled(y: Tensor) -> Tensor:
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(3))]


def with_test_labels_shuffled(whole: Domain) -> Domain:
    changed = copy.copy(whole)
    assert whole.test is not None
    changed.test = Data(whole.test.x, shuffled(whole.test.y))
    assert not torch.equal(changed.test.y, whole.test.y)
    return changed


def with_training_labels_shuffled(whole: Domain) -> Domain:
    changed = copy.copy(whole)
    changed.train = Data(whole.train.x, shuffled(whole.train.y))
    assert not torch.equal(changed.train.y, whole.train.y)
    return changed


EVERY = [Method, lambda: DANN() + Replay(20) + EWC(samples=16), lambda: CORAL() + MMD() + LwF()]


@pytest.mark.parametrize("method", EVERY)
def test_nothing_is_chosen_by_test_labels(method):
    a, b, c = map(with_test_labels_shuffled, (A, B, C))
    seen, blind = trained([*adaptation(A, B), C], method()), trained([*adaptation(a, b), c], method())
    assert torch.equal(seen, blind)


@pytest.mark.parametrize("batchnorm", ["joint", "per-domain"])
@pytest.mark.parametrize("method", EVERY)
def test_nothing_is_chosen_by_the_labels_of_the_target(method, batchnorm):
    def model() -> Model:
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        return Model.of(layers, batchnorm=batchnorm)

    seen = trained([*adaptation(A, B), C], method(), model())
    blind = trained([*adaptation(A, with_training_labels_shuffled(B)), C], method(), model())
    assert torch.equal(seen, blind)


def test_kept_labels_are_used():
    none, some = (trained(adaptation(A, B, keep)) for keep in (0, 2))
    assert not torch.equal(none, some)
