r"""
Spoken words: five speakers, then a sixth
=========================================

Deep Speech 2 learns to write down what five people say, the words "zero" to "nine", from sound and text alone. Then
comes a sixth, whose recordings have no text. The score is the error rate of characters: how many must be inserted,
deleted or replaced. Beside it a small wav2vec 2.0, from raw sound, names the digit.
"""

from tladapt import MMD, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import spoken_words

try:
    scenario = spoken_words("george").but(steps=8)
except ValueError as missing:
    scenario = None
    print(missing)

# %%
# All 250 steps of both stages take half a minute; here are eight, for the page to run in seconds. After those it is
# still silent, an error rate of 100 %: CTC first learns that most frames say nothing. Take away ``.but(steps=8)`` to
# see it write. Source-only:

if scenario:
    print(scenario.run(Method(), baseline="source-only"))

# %%
# With the features of the sixth speaker, the means over each recording, brought to those of the five:

if scenario:
    report = scenario.run(MMD())
    print(report)
    figure = heat_map(report)

# %%
# Our numbers
# -----------
# ``python benchmarks/field.py spoken-words``: all steps, three seeds, character error rate in %, mean ± standard
# deviation. A new speaker has 50 recordings to test on, about 200 characters, and 150 without text to learn from.
#
# ============ =========== =========== =========== =========== ===========
# New speaker  source-only Method()    DANN()      CORAL()     MMD()
# ============ =========== =========== =========== =========== ===========
# george       57.8 ± 2.5  52.7 ± 3.0  36.3 ± 9.0  50.7 ± 3.8  30.5 ± 4.4
# nicolas      33.0 ± 6.1  33.5 ± 3.9  28.2 ± 0.6  32.2 ± 3.2  24.3 ± 3.1
# theo         23.8 ± 4.1  23.5 ± 3.5  20.7 ± 1.5  24.3 ± 4.5  18.0 ± 1.0
# mean         38.2        36.6        28.4        35.7        24.3
# ============ =========== =========== =========== =========== ===========
#
# ============ =========== =========== =========== =========== ===========
# Old speakers source-only Method()    DANN()      CORAL()     MMD()
# ============ =========== =========== =========== =========== ===========
# but george   3.0 ± 1.0   4.5 ± 1.7   5.1 ± 1.7   4.0 ± 2.0   4.1 ± 1.3
# but nicolas  4.4 ± 0.7   4.5 ± 1.0   4.9 ± 1.0   5.1 ± 0.9   4.3 ± 1.0
# but theo     4.8 ± 0.1   4.9 ± 0.4   4.8 ± 0.5   5.2 ± 0.4   4.7 ± 0.9
# mean         4.1         4.6         4.9         4.8         4.4
# ============ =========== =========== =========== =========== ===========
#
# All weights are the methods' defaults. An alignment sees one vector per recording, the mean over its frames, which is
# enough: a voice colours all of them alike. ``CORAL()`` does little at its default weight.
