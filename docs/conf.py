"""How the documentation is built: `sphinx-build -W -b html docs docs/_build`, with the extra `docs` installed."""

import sys
from pathlib import Path

import tladapt

sys.path.insert(0, str(Path(__file__).parent))  # for figures.py

project = "tladapt"
copyright = "the authors of tladapt"
version = release = tladapt.__version__
extensions = [
    "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon", "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery", "sphinxcontrib.bibtex",
]  # fmt: skip
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"tladapt {version}"
default_role = "code"  # docstrings put code between single backticks

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstring says it in words
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # types as text: "shape" is no reference to a property of that name
napoleon_use_ivar = True

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

sphinx_gallery_conf = {
    "examples_dirs": "../methods",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",  # run every page
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures",),
    "capture_repr": (),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}
