"""Validation: a quality table of every file, expectation suites, cleaning rules, quarantine."""
