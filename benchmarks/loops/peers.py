"""The loops of Avalanche 0.6 and pytorch-adapt 0.0.83, as their documentation has them, without metrics and loggers."""

from collections.abc import Callable
from itertools import islice

import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.training import EWC, LwF, Naive, Replay
from avalanche.training.plugins import EvaluationPlugin
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import AlignerHook, AlignerPlusCHook, DANNHook
from pytorch_adapt.layers import CORALLoss, MMDLoss
from pytorch_adapt.weighters import SumWeighter
from torch import nn
from torch.optim import SGD, Adam

from loops.by_hand import two_batches
from loops.settings import (
    ADAPT_BATCH,
    ADAPT_LR,
    ADAPT_STEPS,
    BATCH,
    DANN_WEIGHT,
    EWC_WEIGHT,
    HIDDEN,
    LR,
    MEMORY,
    SCALES,
    TEMPERATURE,
    Pair,
    TwoDomains,
)

STRATEGIES = {
    "fine-tuning": (Naive, {}),
    "Replay": (Replay, {"mem_size": MEMORY}),
    "EWC": (EWC, {"ewc_lambda": EWC_WEIGHT}),
    "LwF": (LwF, {"alpha": 1.0, "temperature": TEMPERATURE}),
}


def avalanche(name: str, network: nn.Module, tasks: list[Pair]) -> Callable[[], None]:
    """What trains the network on the tasks one after another, one epoch each."""
    kind, arguments = STRATEGIES[name]
    stream = tensors_benchmark(tasks, tasks, task_labels=[0] * len(tasks)).train_stream
    strategy = kind(
        model=network, optimizer=Adam(network.parameters(), lr=LR), criterion=nn.CrossEntropyLoss(), train_epochs=1,
        train_mb_size=BATCH, evaluator=EvaluationPlugin(), **arguments,
    )  # fmt: skip

    def learn() -> None:
        for experience in stream:
            strategy.train(experience)

    return learn


def pytorch_adapt(name: str, encoder: nn.Module, head: nn.Module, data: TwoDomains) -> Callable[[], None]:
    """What trains the network on the source with, and the target without, labels."""
    critic = nn.Sequential(nn.Linear(500, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))
    critic = critic.to(data.target.device)
    networks = {"G": encoder, "C": head, **({"D": critic} if name == "DANN" else {})}
    models = Models(networks)
    optimizers = Optimizers((SGD, {"lr": ADAPT_LR, "momentum": 0.9}))
    optimizers.create_with(models)
    if name == "DANN":
        hook = DANNHook(list(optimizers.values()), gradient_reversal_weight=DANN_WEIGHT)  # pyright: ignore[reportArgumentType]
    else:
        loss = CORALLoss() if name == "CORAL" else MMDLoss(torch.tensor(SCALES), "quadratic")
        align = AlignerHook(loss, layer="features")
        hook = AlignerPlusCHook(list(optimizers.values()), aligner_hook=align, softmax=False, weighter=SumWeighter())
    x, y = data.source
    of_source, of_target = (torch.full((ADAPT_BATCH,), float(i), device=x.device) for i in (0, 1))

    def learn() -> None:
        models.train()
        for source, target in islice(two_batches(data), ADAPT_STEPS):
            batch = {
                "src_imgs": x[source], "src_labels": y[source], "src_domain": of_source,
                "target_imgs": data.target[target], "target_domain": of_target,
            }  # fmt: skip
            hook({**models, **batch})

    return learn
