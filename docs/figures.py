"""Lets sphinx-gallery find a page's figures: every matplotlib `Figure` that a block leaves under a name."""

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

SHOWN = "shown in the gallery"


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The new figures of this block, as reStructuredText."""
    figures = [value for value in block_vars["example_globals"].values() if isinstance(value, Figure)]
    paths = []
    for figure in figures:
        if figure.get_label() != SHOWN:
            figure.set_label(SHOWN)
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=150)
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> Any:
    return scrape
