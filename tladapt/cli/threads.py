"""How many processor threads a run uses, and how they wait for each other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tladapt.model import Model

SMALL = 1.5e8  # multiplications per step below which a second thread gains nothing; see docs/guide/speed.rst
PASSES = 3  # a backward pass costs two forward passes
BUILT_HERE = ("cnn", "lenet", "mlp", "table")  # networks that can be small
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_briefly() -> None:
    """Let idle threads sleep after a few microseconds, unless the user has set how they wait.

    By default they spin for milliseconds. If another process occupies a core, each parallel operation then waits for a
    thread that cannot run. The libraries read these variables when torch is imported; results do not depend on them.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"] = "10000"  # GNU's OpenMP, in torch for Linux
        os.environ["KMP_BLOCKTIME"] = "0"  # LLVM's and Intel's


@contextmanager
def restoring_threads() -> Iterator[None]:
    """Context manager after which torch uses as many threads as before."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_threads(threads: int | None, model: "Model", shape: object, batch_size: int) -> None:
    """Set the number of threads: `threads` if given, else one if the network is small.

    The rule depends on the network and the batch only, so that a run gives equal weights on any number of cores.

    Parameters
    ----------
    threads : int, optional
        What the user asked for.
    model : Model
    shape
        Of one row; see `tladapt.data.Data.shape`.
    batch_size : int
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    elif _is_small(model, shape, batch_size):
        torch.set_num_threads(1)


def _is_small(model: "Model", shape: object, batch_size: int) -> bool:
    built_here = model.recipe is not None and model.recipe.get("backbone") in BUILT_HERE
    if not built_here or model.device.type != "cpu" or not isinstance(shape, tuple):
        return False
    return PASSES * batch_size * multiplications(model, shape) < SMALL


def multiplications(model: "Model", shape: tuple[int, ...]) -> int:
    """Return the multiplications of the linear and convolutional layers for one row of this shape."""
    import torch
    from torch import nn

    counts = list[int]()

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        counts.append(output.numel() * layer.weight[0].numel())

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return sum(counts)
