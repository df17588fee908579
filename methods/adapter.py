r"""
Adapter: any adapter of peft that can be merged
===============================================

The library peft has some twenty ways to change the weights of a frozen network by a few parameters: LoRA and its kin
(DoRA, LoHa, LoKr, HRA), scales of activations (IA3), rotations (OFT), spectra (FourierFT). ``Adapter`` takes its
configuration, has peft build it into the encoder, trains it beside the head, and merges it after the stage: what is
left is a plain network :cite:p:`Mangrulkar2022`.

For a layer :math:`y = W_0 x + b`, LoRA trains :math:`B, A` in :math:`y = (W_0 + \frac{\alpha}{r} B A)\,x + b`, and IA3
one scale per output, :math:`s` in :math:`y = s \odot (W_0 x + b)`. It needs ``pip install "tladapt[peft]"``.
"""

import inspect

from tladapt import Adapter, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import few_digits

print(inspect.getsource(Adapter))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come two labelled images of each digit by other writers, slanted so much that
# it is lost on them. By default peft's LoRA changes every linear map of the encoder; here there is one, behind the
# convolutions, which stay frozen.

scenario = few_digits(labels=2)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With peft's LoRA:

report = scenario.run(Adapter())
print(report)

# %%
# More of the upright digits stays, and less is learned.

figure = heat_map(report)

# %%
# Another kind, in other layers, as a dict (or as ``peft.IA3Config(...)``). A kind that cannot be merged is refused:

print(scenario.run(Adapter({"peft_type": "IA3", "target_modules": ["0", "4", "9"]})).scores[-1])
try:
    scenario.run(Adapter("prompt_tuning"))
except ValueError as error:
    print(error)

# %%
# Our numbers
# -----------
# ``python benchmarks/digits.py``: five seeds, accuracy in % at the end, mean ± standard deviation.
#
# ================================ =========== =========== =========== =============
# Two labels per digit             old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     76.4 ± 3.0  76.2 ± 1.5  76.3 ± 2.1  21.7 ± 2.6
# ``Adapter()``                    94.3 ± 1.5  69.5 ± 4.5  81.9 ± 2.8  3.9 ± 1.1
# ``Adapter("ia3")``               94.6 ± 2.4  65.7 ± 3.4  80.1 ± 2.8  3.6 ± 1.9
# ``LoRA()``                       88.0 ± 3.8  73.6 ± 0.7  80.8 ± 2.1  10.1 ± 3.4
# ================================ =========== =========== =========== =============
#
# With five labels per digit, a change of one layer is not enough, and they are worse than fine-tuning:
#
# ================================ =========== =========== =========== =============
# Five labels per digit            old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     86.8 ± 3.8  88.1 ± 1.8  87.4 ± 1.2  11.4 ± 3.8
# ``Adapter()``                    94.1 ± 2.8  77.2 ± 2.1  85.7 ± 2.0  4.0 ± 2.4
# ``Adapter("ia3")``               95.2 ± 2.5  72.0 ± 2.4  83.6 ± 2.4  3.0 ± 2.2
# ================================ =========== =========== =========== =============
#
# Differences from peft
# ---------------------
# 1. It is merged after every stage, and the next begins with a new one; peft keeps it apart, to be exchanged. So
#    nothing of peft is saved, and the statistics of BatchNorm layers are saved with the weights that they belong to.
# 2. The head trains whole, always; ``modules_to_save`` is not needed for it.
# 3. Without ``target_modules``, all linear maps of the encoder; not those of torch's own attention layers, which read
#    their weights past any adapter. :doc:`LoRA <lora>` reaches those, and convolutions, groups and dilation included.
#
# When it hurts
# -------------
# - On a network that knows nothing yet; where the new domain needs much change, or has many labels.
# - A kind whose defaults are made for large networks (``"miss"``, ``"c3a"``, ``"fourierft"``) refuses a small one, in
#   peft's words: give its sizes.
# - To import peft takes seconds.
#
# What it composes with
# ---------------------
# As :doc:`LoRA <lora>`: what anchors to weights, such as ``EWC()`` and ``L2SP()``, holds them as they act with the
# adapter. Those are found by asking each layer for its answers to unit vectors, at every step; for wide layers that is
# slow, and ``LoRA()`` is fast.
