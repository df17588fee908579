r"""
Reviews: from one site to another
=================================

A thousand sentences each of shoppers at Amazon, of film lovers at IMDb and of restaurant guests at Yelp, half of them
good and half bad. Those of one site come with their opinion, those of another without. Two systems read them, both
trained here: the mean of word vectors, which Word2Vec learns from the first site's sentences alone, and a small BERT,
whose pieces of words are those of both sites.
"""

from tladapt import MMD, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import reviews
from tladapt.streams import domains_of

try:
    scenario = reviews("amazon", "yelp")
except ValueError as missing:
    scenario = None
    print(missing)

# %%
# Source-only: Amazon's sentences, and nothing of Yelp's.

if scenario:
    print(scenario.run(Method(), baseline="source-only"))

# %%
# With the features of Yelp's unlabelled sentences brought to those of Amazon's:

if scenario:
    report = scenario.run(MMD())
    print(report)
    figure = heat_map(report)

# %%
# A part of the shift is in words that the first site's sentences do not have, and the network has no vector for:

if scenario:
    x = domains_of(scenario.stream)[1].train.x
    unknown = x["input_ids"][x["attention_mask"] == 1] == 0
    print(f"unknown words in Yelp's sentences: {unknown.float().mean():.0%}")

# %%
# Our numbers
# -----------
# ``python benchmarks/field.py reviews``: word vectors, three seeds, accuracy in %, mean ± standard deviation, no
# opinion of the new site read. The new site:
#
# ============== =========== =========== =========== =========== ======================
# \              source-only DANN()      MMD()       WiSEFT()    MMD() + WiSEFT()
# ============== =========== =========== =========== =========== ======================
# amazon-imdb    66.4 ± 0.5  66.2 ± 1.2  68.6 ± 1.1  68.0 ± 0.7  68.8 ± 1.2
# amazon-yelp    66.0 ± 1.5  67.6 ± 1.8  68.0 ± 1.0  65.3 ± 2.3  69.6 ± 0.2
# imdb-amazon    72.8 ± 0.5  72.2 ± 1.4  70.7 ± 0.7  72.9 ± 0.7  72.1 ± 0.5
# imdb-yelp      67.8 ± 0.7  68.2 ± 1.8  68.6 ± 1.9  68.4 ± 0.4  68.4 ± 0.2
# yelp-amazon    73.6 ± 1.4  73.4 ± 1.0  73.6 ± 2.1  73.2 ± 0.4  72.0 ± 1.2
# yelp-imdb      70.6 ± 0.8  71.0 ± 0.6  68.8 ± 1.2  71.6 ± 1.5  70.4 ± 0.8
# ============== =========== =========== =========== =========== ======================
#
# The gains are small. From Amazon, MMD and the mean of old and new weights gain two to four points on either site; from
# the two others no method gains on every pair. In the mean over the pairs ``MMD() + WiSEFT()`` has 70.2 against 69.5 on
# the new site, and 78.6 against 78.2 on the old one.
