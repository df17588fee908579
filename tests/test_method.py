"""How methods add up, what each of them sees, and the random numbers that each has to itself."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tladapt import DANN, EWC, Batch, Method, Model, Output, Replay, Stage
from tladapt.method import ROLES


def of_role(role: str | None, name: str) -> Method:
    """A method that does nothing, under this name."""
    return type(name, (Method,), {"role": role})()


class Looks(Method):
    """Counts the rows that `extend` and `loss` are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def extend(self, model: Model, batch: Batch) -> None:
        self.seen.append(("extend", len(batch)))

    def loss(self, model: Model, batch: Batch, output: Output) -> Tensor:
        self.seen.append(("loss", len(batch)))
        return output.logits.new_zeros(())


class Doubles(Method):
    """Adds the batch's own rows once more, shifted, so that they can be told."""

    def extend(self, model: Model, batch: Batch) -> Batch:
        assert isinstance(batch.x, Tensor)
        return batch.remembered(batch.x + 100, batch.y, batch.domain, self)


class Records(Method):
    """Writes down which verb of which term is called."""

    def __init__(self, log: list[str], name: str) -> None:
        super().__init__()
        self.log, self.name = log, name

    def prepare(self, model: Model, stage: Stage) -> None:
        self.log.append(f"prepare {self.name}")

    def adjust(self, model: Model, batch: Batch) -> None:
        self.log.append(f"adjust {self.name}")

    def consolidate(self, model: Model, stage: Stage) -> None:
        self.log.append(f"consolidate {self.name}")

    def __repr__(self) -> str:
        return f"Records({self.name})"


# Adding


@pytest.mark.parametrize("role", [role for role in ROLES if role is not None])
def test_two_terms_of_one_role_are_refused_with_both_names(role: str):
    with pytest.raises(ValueError, match=rf"(?s)Early.*Late.*{role}"):
        _ = of_role(role, "Early") + of_role(role, "Late")
    with pytest.raises(ValueError, match=rf"(?s)Early.*Late.*{role}"):
        _ = (of_role(role, "Early") + EWC()) + (DANN() + of_role(role, "Late"))


def test_terms_without_a_role_have_no_limit():
    assert len((Looks() + Doubles() + Looks() + Doubles()).terms) == 4


def test_terms_of_two_types_of_one_name_are_both_kept():
    assert len((of_role(None, "A") + of_role(None, "A")).terms) == 2


def test_a_method_and_itself_are_refused():
    replay = Replay(7)
    with pytest.raises(ValueError, match=r"Replay\(capacity=7.*itself"):
        _ = replay + replay
    with pytest.raises(ValueError, match="itself"):
        _ = (replay + EWC()) + replay


@pytest.mark.parametrize("other", [1, None, "EWC()", EWC, torch.nn.Linear(1, 1)])
def test_only_methods_add_up(other: object):
    with pytest.raises(TypeError):
        _ = EWC() + other  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = other + EWC()  # type: ignore[operator]


def test_nothing_and_nothing_is_nothing():
    assert repr(Method() + Method()) == "Method()"
    assert (Method() + Method()).terms == {}


def test_a_term_and_nothing_is_the_term_itself():
    replay = Replay()
    assert Method() + replay is replay
    assert replay + Method() is replay


def test_terms_act_by_role_and_then_by_name():
    z, a = of_role("trainable", "Z"), of_role("gradient", "A")
    terms = [of_role(role, f"R{i}") for i, role in enumerate(reversed([r for r in ROLES if r]))]
    total = sum([*terms, of_role(None, "C"), of_role(None, "B")], Method())
    assert [term.role for term in total.terms.values()] == [
        "trainable",
        "weights",
        "guard",
        None,
        None,
        "gradient",
        "predictor",
    ]
    assert [name for name, term in total.terms.items() if term.role is None] == ["B", "C"]
    assert list((a + of_role(None, "M") + z).terms) == ["Z", "M", "A"]


def test_every_verb_goes_through_the_terms_in_one_order(make_model: Callable, stages: list[Stage]):
    log = list[str]()
    total = Records(log, "b") + Records(log, "c") + Records(log, "a")
    total.prepare(make_model(), stages[0])
    total.adjust(make_model(), stages[0].batch(0))
    total.consolidate(make_model(), stages[0])
    assert log == [f"{verb} {name}" for verb in ("prepare", "adjust", "consolidate") for name in "abc"]


def test_repeated_terms_are_numbered():
    total = Replay(20) + EWC() + Replay(10) + Replay(30)
    assert list(total.terms) == ["EWC", "Replay", "Replay-2", "Replay-3"]
    assert [term.capacity for term in total.terms.values() if isinstance(term, Replay)] == [10, 20, 30]
    assert {key.split(".")[1] for key in total.state_dict() if key.startswith("_terms")} == set(total.terms)


def test_a_sum_is_written_as_it_acts():
    assert repr(EWC() + DANN()) == f"{DANN()!r} + {EWC()!r}"


def test_a_sum_remembers_the_most_that_any_term_does():
    assert (DANN() + EWC()).remembers == "statistics"
    assert (Replay() + DANN()).remembers == "samples"


# What a term sees


def test_extend_sees_the_batch_of_the_stage_alone(make_model: Callable, stages: list[Stage]):
    looks, others = Looks(), [Doubles(), Doubles()]
    total = others[0] + looks + others[1]
    batch = stages[1].batch(0)
    batch = batch.join(total.extend(make_model(), batch))
    total.losses(make_model(), batch, make_model()(batch.x))
    assert looks.seen == [("extend", 16), ("loss", 3 * 16)]


def test_a_term_finds_the_samples_that_it_added(make_model: Callable, stages: list[Stage]):
    first, second = Doubles(), Doubles()
    total, own = first + second, stages[1].batch(0)
    batch = own.join(total.extend(make_model(), own))
    assert isinstance(batch.x, Tensor)
    assert isinstance(own.x, Tensor)
    for term, shift in ((first, 100), (second, 100), (None, 0)):
        assert torch.equal(batch.x[batch.added(term)], own.x + shift)
    rows = torch.arange(len(batch))
    assert torch.equal(torch.cat([rows[batch.added(term)] for term in (first, second, None)]).sort().values, rows)
    assert len(rows[batch.added(Doubles())]) == 0


def test_labelled_rows_come_first_whoever_added_them(make_model: Callable, stages: list[Stage]):
    own = stages[1].batch(0)
    batch = own.join((Doubles() + Doubles()).extend(make_model(), own))
    assert len(batch.y) == 3 * len(own.y)
    assert torch.equal(batch.y, own.y.repeat(3))
    assert torch.equal(batch.domain, torch.tensor([0] * 24 + [1] * 24))
    assert torch.equal(batch.index[batch.added(None)], own.index)


def test_memories_do_not_store_each_others_replays(make_model: Callable, stages: list[Stage]):
    small, large = Replay(30), Replay(40)
    total, model = small + large, make_model()
    total.seed(0)
    for stage in (stages[0], stages[1], stages[1]):
        total.prepare(model, stage)
        for step in range(3):
            stage.batch(step).join(total.extend(model, stage.batch(step)))
        total.consolidate(model, stage)
    for replay in (small, large):
        kept = replay.memory.get_buffer("x")[: sum(replay.memory.held)]
        rows = torch.cat([domain.train.rows(torch.arange(len(domain.train))) for domain in stages[1].domains])  # type: ignore[arg-type]
        assert len(kept.unique(dim=0)) == len(kept)
        assert all((row == rows).all(1).any() for row in kept)


# Random numbers


def test_terms_of_one_type_draw_their_own_numbers():
    total = Replay(10) + Replay(20)
    total.seed(0)
    first, second = (torch.rand(4, generator=term.random) for term in total.terms.values())
    assert not torch.equal(first, second)


def test_another_term_moves_no_random_numbers():
    alone, beside = Replay(10), Replay(10)
    alone.seed(5)
    (beside + EWC() + DANN()).seed(5)
    assert torch.equal(torch.rand(4, generator=alone.random), torch.rand(4, generator=beside.random))


def test_another_argument_moves_no_random_numbers():
    light, heavy = EWC(0.1), EWC(10.0)
    light.seed(5)
    heavy.seed(5)
    assert torch.equal(torch.rand(4, generator=light.random), torch.rand(4, generator=heavy.random))


def test_own_randomness_leaves_the_global_generator_untouched():
    method = Method()
    method.random.manual_seed(3)
    before = torch.get_rng_state()
    with method.own_randomness():
        drawn = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    with method.own_randomness():
        assert not torch.equal(torch.rand(4), drawn)  # the term's own numbers have moved on
    method.random.manual_seed(3)
    torch.manual_seed(77)
    with method.own_randomness():
        assert torch.equal(torch.rand(4), drawn)  # they depend on nothing else


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_own_randomness_leaves_the_generator_of_the_device_untouched():
    before = torch.cuda.get_rng_state()
    with Method().own_randomness():
        torch.rand(4, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)


# State


def test_the_state_holds_the_random_numbers():
    method, fresh = EWC(), EWC()
    method.seed(1)
    torch.rand(3, generator=method.random)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(torch.rand(3, generator=fresh.random), torch.rand(3, generator=method.random))


class Keeps(Method):
    """Has a buffer that is there from the start, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("size", torch.zeros(2))
        self.register_buffer("late", None)


def test_loading_makes_room_for_what_a_fresh_object_does_not_have_yet():
    method, fresh = Keeps() + EWC(), Keeps() + EWC()
    keeps = method.terms["Keeps"]
    keeps.size, keeps.late = torch.arange(5.0), torch.arange(6, dtype=torch.int16).view(2, 3)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh.terms["Keeps"].get_buffer("size"), torch.arange(5.0))
    assert torch.equal(fresh.terms["Keeps"].get_buffer("late"), torch.arange(6, dtype=torch.int16).view(2, 3))


def test_what_is_loaded_is_a_copy():
    method, fresh = Keeps(), Keeps()
    method.late = torch.ones(3)
    fresh.load_state_dict(method.state_dict())
    method.late += 1
    assert fresh.get_buffer("late").tolist() == [1, 1, 1]


def test_a_state_of_another_method_is_refused():
    with pytest.raises(RuntimeError, match="Unexpected"):
        Method().load_state_dict(Keeps().state_dict())


def test_the_method_itself_gives_no_term(make_model: Callable, stages: list[Stage]):
    model, batch = make_model(), stages[1].batch(0)
    output = model(batch.x)
    assert Method().losses(model, batch, output) == {}
    assert Method().extend(model, batch) is None
    assert Method().loss(model, batch, output) == 0
    assert not Method().loss(model, batch, output).requires_grad
