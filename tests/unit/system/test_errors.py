"""Sentences for a user are bounded, whatever they repeat."""

import pickle

import pytest

from hms_pipeline.catalogue import Catalogue
from hms_pipeline.cli.app import refuse
from hms_pipeline.system.errors import LONGEST, InputError, one_line


def test_a_sentence_keeps_its_beginning_and_its_advice():
    said = InputError(f"members.m needs text, but is {'x' * 10**6}. Correct it.")
    assert len(str(said)) <= LONGEST
    assert str(said).startswith("members.m needs text")
    assert str(said).endswith("Correct it.")
    assert str(pickle.loads(pickle.dumps(said))) == str(said)


def test_a_password_at_the_cut_is_hidden():
    for n in range(900, 1100):
        address = "postgresql://hms:TopSecretPassword@db/mlflow"
        said = str(InputError(f"A store {'x' * n} {address} {'y' * 1500}"))
        assert "Secret" not in said
        assert len(said) <= LONGEST


def test_an_unknown_name_is_repeated_in_part():
    with pytest.raises(InputError) as error:
        Catalogue("view")["x" * 10**6]
    assert len(str(error.value)) < 200


def test_the_statement_of_a_database_is_no_part_of_a_line():
    error = "(sqlite3.OperationalError) disk is full\n[SQL: INSERT ('x')]\n[parameters: ()]\n"
    about = "(Background on this error at: https://sqlalche.me/e/20/e3q8)"
    said = one_line(f"Tracking failed ({error}{about}); training goes on without.")
    assert said == (
        "Tracking failed ((sqlite3.OperationalError) disk is full); training goes on without."
    )


def test_a_line_of_the_terminal_is_bounded(capsys):
    refuse("a store said " + "x" * 10**6, 1)
    assert len(capsys.readouterr().err) < LONGEST + 20
