import pytest

from hms_pipeline.catalogue import Catalogue
from hms_pipeline.system.errors import InputError


def test_registered_entries_are_found_in_order() -> None:
    shapes: Catalogue = Catalogue("shape")
    shapes.register("square")(4)
    shapes.register("line")(2)
    assert list(shapes) == ["line", "square"]
    assert shapes["square"] == 4


def test_unknown_name_lists_the_choices() -> None:
    shapes: Catalogue = Catalogue("shape")
    shapes.register("line")(2)
    with pytest.raises(InputError, match=r"Unknown shape 'banana'. Choose one of \['line'\]"):
        shapes["banana"]


def test_second_entry_of_a_name_is_refused() -> None:
    shapes: Catalogue = Catalogue("shape")
    shapes.register("line")(2)
    with pytest.raises(ValueError, match="registered twice"):
        shapes.register("line")(3)
