"""Measures of each window's signal against the limits of the cleaning rules."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from .. import rules  # noqa: F401 - registers the rules
from ..expectation import expect
from ..rule import RULES, Limit


class ExpectAtMost(gxe.ExpectColumnValuesToBeBetween):
    """A measure does not exceed its threshold; windows without a signal are left out."""


def _expect_at_most(name: str, rule: str, limit: Limit) -> None:
    @expect("windows", rule=rule, name=name)
    def at_most(params: ValidationParams) -> ExpectAtMost:
        most = limit.most(params)
        what = limit.what.format(params)
        return ExpectAtMost(
            column=limit.column, max_value=most, description=f"{what}: at most {most:g}."
        )


for _rule in RULES.values():
    for _name, _limit in _rule.limits.items():
        _expect_at_most(_name, _rule.name, _limit)
