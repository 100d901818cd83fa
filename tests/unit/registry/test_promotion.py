"""Where a rollback goes."""

from __future__ import annotations

import pytest

from hms_pipeline.registry import api
from hms_pipeline.registry.promotion import predecessor
from hms_pipeline.schema import InputError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_version_promoted_again_by_hand_is_the_predecessor_again(shelf):
    for content in ("one", "two", "three"):
        shelf.add(content)
    shelf.promote(1)
    shelf.promote(2)
    assert shelf.rollback() == 1
    shelf.promote(2, "manual")
    shelf.promote(3)
    assert predecessor(shelf.registry) == 2
    assert api.gc(shelf.paths, keep=1) == [1]
    assert shelf.rollback() == 2


def test_rollbacks_go_back_one_by_one_and_never_to_what_was_rolled_back(shelf):
    for content in ("one", "two", "three"):
        shelf.add(content)
    for version in (2, 1, 2, 3):
        shelf.promote(version)
    assert [shelf.rollback(), shelf.rollback()] == [2, 1]
    with pytest.raises(InputError, match="none left"):
        shelf.rollback()
