"""What lies beside the members' predictions is held against them, whoever wrote it."""

from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.ensemble import stage
from hms_pipeline.ensemble.check import check_ensemble
from hms_pipeline.schema import CLASSES
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import read_sealed, read_table, write_sealed, write_table

from .panel import make_panel, write_artifacts


@pytest.fixture
def paths(tmp_path, tiny):
    paths = write_artifacts(tmp_path, tiny, make_panel(40, 2, (0.6, 0.9), votes=(1, 20)))
    stage.run(paths, tiny)
    return paths


def test_what_the_stage_wrote_is_given_back(paths, tiny):
    made = check_ensemble(paths, tiny)
    stored = read_table(paths.ensemble / "oof.parquet")
    np.testing.assert_allclose(made.table.to_numpy(float), stored.to_numpy(float), atol=1e-6)


def as_the_experts(paths, tiny):
    path, oof = paths.ensemble / "oof.parquet", stage.read_oof(paths, tiny)
    table = read_table(path)
    table[list(CLASSES)] = oof.target
    write_table(path, table)


def one_window_less(paths, tiny):
    path = paths.ensemble / "oof.parquet"
    write_table(path, read_table(path).iloc[1:])


def other_weights(paths, tiny):
    path = paths.ensemble / "weights.json"
    weights = read_sealed(path, "x")
    write_sealed(path, weights | {"temperature": weights["temperature"] + 0.01})


def other_kl(paths, tiny):
    path = paths.ensemble / "metrics.json"
    metrics = read_sealed(path, "x")
    metrics["ensemble"][">=10"]["kl"] = 0.012
    write_sealed(path, metrics)


@pytest.mark.parametrize(
    ("replace", "name"),
    [
        (as_the_experts, "oof.parquet"),
        (one_window_less, "oof.parquet"),
        (other_weights, "weights.json"),
        (other_kl, "metrics.json"),
    ],
)
def test_a_replaced_file_is_refused(paths, tiny, replace, name):
    replace(paths, tiny)
    with pytest.raises(InputError, match=f"{name} must be what the members"):
        check_ensemble(paths, tiny)


@pytest.mark.parametrize("name", ["weights.json", "metrics.json", "oof.parquet"])
def test_a_flipped_bit_is_refused(paths, tiny, name):
    path = paths.ensemble / name
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        check_ensemble(paths, tiny)


def test_predictions_that_no_manifest_names_are_refused(paths, tiny):
    path = paths.fold("eegnet", 0) / "oof.parquet"
    write_table(path, read_table(path).assign(gpd=0.5))
    with pytest.raises(InputError, match=r"fold-0/oof\.parquet is not as its training wrote it"):
        check_ensemble(paths, tiny)
