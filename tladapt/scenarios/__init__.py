"""Named streams with everything that a fair comparison must hold fixed: network, optimiser, steps."""

import inspect
from collections.abc import Callable

from tladapt.scenarios.baselines import from_scratch, joint, source_only
from tladapt.scenarios.credit import credit_default, german_credit
from tladapt.scenarios.digit_images import (
    digit_stream,
    mnist_mnistm,
    mnist_usps,
    permuted_mnist,
    rotated_mnist,
    split_mnist,
    usps_mnist,
)  # fmt: skip
from tladapt.scenarios.features import amazon_reviews, office_caltech
from tladapt.scenarios.handwriting import digits, few_digits, picture, slant, split_digits
from tladapt.scenarios.objects import office_images, split_cifar10
from tladapt.scenarios.radiographs import chest_x_rays
from tladapt.scenarios.records import adult, bank_marketing, heart
from tladapt.scenarios.retina import vessels
from tladapt.scenarios.scenario import Scenario
from tladapt.scenarios.sentences import intents, reviews, reviews_bert
from tladapt.scenarios.speech import five_clips, spoken_digits, spoken_wav2vec2, spoken_words
from tladapt.scenarios.splits import by_class

SCENARIOS: dict[str, Callable[..., Scenario]] = {  # those that need no files first
    function.__name__.replace("_", "-"): function
    for function in (
        digits, split_digits, mnist_usps, usps_mnist, mnist_mnistm, digit_stream, split_mnist, permuted_mnist,
        rotated_mnist, split_cifar10, office_caltech, office_images, amazon_reviews, spoken_digits, heart,
        bank_marketing, adult, german_credit, credit_default, chest_x_rays, vessels, reviews, reviews_bert, intents,
        spoken_words, spoken_wav2vec2, five_clips,
    )
}  # fmt: skip


def named(text: str) -> Scenario:
    """The scenario of this name; what it can be told follows a colon, as in "heart:cleveland-va".

    Raises
    ------
    ValueError
        If there is no such scenario, it cannot be told that, or its files are missing.
    """
    name, _, rest = text.partition(":")
    if name not in SCENARIOS:
        raise ValueError(f"SCENARIO {text!r}: expected one of {', '.join(SCENARIOS)}")
    make, told = SCENARIOS[name], rest.split("-") if rest else []
    if len(told) > (known := len(inspect.signature(make).parameters)):
        raise ValueError(f"SCENARIO {text!r}: {name} takes at most {known} words after a colon, parted by hyphens")
    return make(*told)


__all__ = [
    "SCENARIOS", "Scenario", "adult", "amazon_reviews", "bank_marketing", "by_class", "chest_x_rays", "credit_default",
    "digit_stream", "digits", "few_digits", "five_clips", "from_scratch", "german_credit", "heart", "intents", "joint",
    "mnist_mnistm", "mnist_usps", "named", "office_caltech", "office_images", "permuted_mnist", "picture", "reviews",
    "reviews_bert", "rotated_mnist", "slant", "source_only", "split_cifar10", "split_digits", "split_mnist",
    "spoken_digits", "spoken_wav2vec2", "spoken_words", "usps_mnist", "vessels",
]  # fmt: skip
