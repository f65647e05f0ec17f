"""Configuration of the site; built from the repository's root by ``python -m sphinx -W -b html docs docs/_build/html``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import fastnet  # noqa: E402

project = "fastnet"
author = "the fastnet developers"
copyright = "the fastnet developers"
version = release = fastnet.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say the types
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "thumbnail_size": (400, 280),
    "write_computation_times": False,
    "backreferences_dir": None,
    "remove_config_comments": True,
}


def shorten_inherited(app, what, name, obj, options, lines) -> None:
    """Of methods that scikit-learn documents, keep the first line without its references: the rest is for scikit-learn's site."""
    if what == "method" and not (getattr(obj, "__module__", None) or "").startswith("fastnet"):
        lines[:] = [re.sub(r":ref:`(.+?) <.+?>`", r"\1", lines[0]), "", "Inherited from scikit-learn, and documented there."]


def setup(app) -> None:
    app.connect("autodoc-process-docstring", shorten_inherited, priority=100)


html_theme = "pydata_sphinx_theme"
html_title = "fastnet"
html_static_path = ["_static"]
html_css_files = ["fastnet.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_align": "left",
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "quickstart": [], "mathematics": [], "api": [], "gallery/*": []}
