"""A hook of mkdocs: puts the published figures where the pages of the built site look for them.

Pages name them as they lie in the repository, `../results/tables/v1/figures`, so that they show
wherever the repository is read, too.
"""

import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

FIGURES = Path("results") / "tables" / "v1" / "figures"


def on_post_build(config: MkDocsConfig) -> None:
    """Copy them into the site."""
    root = Path(config.config_file_path).parent
    shutil.copytree(root / FIGURES, Path(config.site_dir) / FIGURES, dirs_exist_ok=True)
