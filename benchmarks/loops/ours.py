"""The loops of this library."""

from collections.abc import Callable

from torch import nn
from torch.optim import SGD

from loops.settings import ADAPT_BATCH, ADAPT_LR, ADAPT_STEPS, BATCH, LR, MEMORY, Pair, TwoDomains
from tladapt import CORAL, DANN, EWC, MMD, Domain, LwF, Method, Model, Replay, fit


def constant(progress: float) -> float:
    """A learning rate that stays."""
    return 1.0


def momentum(parameters: list, lr: float) -> SGD:
    """The optimiser of all loops on two domains."""
    return SGD(parameters, lr=lr, momentum=0.9)


def sequential(name: str, encoder: nn.Module, head: nn.Module, tasks: list[Pair]) -> Callable[[], None]:
    """What trains the network on the tasks one after another, one epoch each."""
    stream = [Domain(f"task {i}", task, test=None, classes=10) for i, task in enumerate(tasks)]
    method = SEQUENTIAL[name]()

    def learn() -> None:
        fit(Model(encoder, head), stream, method, epochs=1, batch_size=BATCH, lr=LR, schedule=constant, progress=False)

    return learn


def adapted(name: str, encoder: nn.Module, head: nn.Module, data: TwoDomains) -> Callable[[], None]:
    """What trains the network on source and target side by side."""
    source, target = (Domain(*named, test=None, classes=10) for named in (("old", data.source), ("new", data.target)))
    method = ADAPTED[name]()

    def learn() -> None:
        fit(
            Model(encoder, head), [(source, target)], method, steps=ADAPT_STEPS, batch_size=ADAPT_BATCH, lr=ADAPT_LR,
            optimizer=momentum, schedule=constant, progress=False,
        )  # fmt: skip

    return learn


SEQUENTIAL = {"fine-tuning": Method, "Replay": lambda: Replay(MEMORY), "EWC": EWC, "LwF": LwF}
ADAPTED = {"DANN": DANN, "CORAL": CORAL, "MMD": MMD}
