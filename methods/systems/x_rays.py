r"""
Chest X-rays: from one device to another
========================================

A network finds pneumonia in X-rays of children from one device. The hospital buys another: other exposure, less
contrast, a little blur and noise, and no findings yet. The X-rays are real (PneumoniaMNIST, 28 x 28 pixels, one
hospital); the other device is made here, and every training image is of one device only:

.. math:: x' = 0.1 + 0.6\, (G * x^{1.6}) + 0.05\, \varepsilon

with a Gaussian blur G of 0.7 pixels and noise of variance 1. Three in four training images show a pneumonia, so both
findings count alike in the loss and in the score: ``Classification(balanced=True)``.
"""

from tladapt import MMD, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import chest_x_rays, picture

try:
    scenario = chest_x_rays().but(steps=60)  # of 200, for the page to run in seconds
except ValueError as missing:
    scenario = None
    print(missing)

# %%

if scenario:
    images = picture(scenario, cmap="gray")

# %%
# Source-only: the first device, and nothing of the other.

if scenario:
    print(scenario.run(Method(), baseline="source-only"))

# %%
# With MMD, which brings the features of both devices together:

if scenario:
    report = scenario.run(MMD())
    print(report)
    figure = heat_map(report)

# %%
# Our numbers
# -----------
# ``python benchmarks/field.py x-rays``: all steps, three seeds, balanced accuracy in %, mean ± standard deviation, no
# finding of the other device read. A small CNN, BatchNorm over both devices together.
#
# ================ =========== ===========
# \                old         new
# ================ =========== ===========
# ``source-only``  84.2 ± 1.9  60.6 ± 3.3
# ``Method()``     83.9 ± 2.6  73.5 ± 4.2
# ``DANN()``       82.6 ± 1.1  62.3 ± 1.0
# ``CORAL()``      84.6 ± 1.8  74.6 ± 5.5
# ``MMD()``        83.6 ± 2.1  80.2 ± 0.5
# ``ceiling``      83.4 ± 0.5  82.7 ± 0.6
# ================ =========== ===========
#
# ``MMD()`` closes nine tenths of the gap to the ceiling, which has the other device's findings.
#
# What was tried beside it
# ------------------------
# - ``Method()`` differs from source-only only in its BatchNorm statistics, which come from both devices. That is two
#   thirds of the gain; ``CORAL()`` at its default weight adds nothing that could be told from chance.
# - ``DANN()`` at its defaults undoes most of what the statistics gain.
# - Three other devices were looked at, with two seeds: more exposure, less exposure, and less contrast with more noise.
#   On each of them ``MMD()`` gains 15 points or more, and nothing else does on all. This one was kept because it costs
#   the source-only network about twenty points and leaves it above chance; no setting of a method was chosen by it.
