"""train.csv as a table: what must hold before any row can be looked at."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from ...schema import TRAIN_COLUMNS
from ..expectation import expect
from ..train_table import ID_COLUMNS


class ExpectWholeNumberIds(gxe.ExpectColumnValuesToMatchRegex):
    """A column of ids holds whole numbers only."""

    regex: str = r"^-?\d+(\.0)?$"


@expect("train_csv", severity="critical")
def has_rows(params: ValidationParams) -> gxe.ExpectTableRowCountToBeBetween:
    return gxe.ExpectTableRowCountToBeBetween(
        min_value=1, description="train.csv has at least one row."
    )


@expect("train_csv", severity="critical")
def has_columns(params: ValidationParams) -> gxe.ExpectTableColumnsToMatchSet:
    return gxe.ExpectTableColumnsToMatchSet(
        column_set=list(TRAIN_COLUMNS),
        exact_match=False,
        description=f"train.csv has the columns {', '.join(TRAIN_COLUMNS)}.",
    )


def _expect_ids(name: str) -> None:
    @expect("train_csv", severity="critical", name=f"whole_{name}")
    def whole(params: ValidationParams) -> ExpectWholeNumberIds:
        return ExpectWholeNumberIds(column=name, description=f"{name} is a whole number.")

    @expect("train_csv", severity="critical", name=f"present_{name}")
    def present(params: ValidationParams) -> gxe.ExpectColumnValuesToNotBeNull:
        return gxe.ExpectColumnValuesToNotBeNull(
            column=name, description=f"{name} is never missing."
        )


for _name in ID_COLUMNS:
    _expect_ids(_name)
