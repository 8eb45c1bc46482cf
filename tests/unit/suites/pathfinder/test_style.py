"""The settings of the published sets."""

from tests.unit.suites.pathfinder.styles import STYLES


def test_styles_are_whole_at_the_fine_scale() -> None:
    """The published script refuses a thickness that is no whole number of fine pixels."""
    for style in STYLES.values():
        assert (style.thickness * style.antialias) % 1 == 0
