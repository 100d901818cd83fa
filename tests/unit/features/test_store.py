"""Opening and reading stores: what is wrong is refused with a sentence."""

from types import SimpleNamespace

import numpy as np
import pytest

from hms_pipeline.features import stage
from hms_pipeline.features.describe import describe_views
from hms_pipeline.features.store import FORMAT, FeatureStore, read_manifest
from hms_pipeline.features.views import VIEWS, build_view
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import write_sealed


@pytest.fixture
def folder(paths, params):
    stage.run(paths, params, "spec_multi")
    return paths.view("spec_multi")


def test_values_come_in_the_order_asked(folder):
    store = FeatureStore.open(folder)
    everything = store[store.label_ids]
    assert everything.dtype == np.float16
    assert everything.shape == (16, *store.shape)
    order = np.random.default_rng(0).permutation(16)
    assert np.array_equal(store[store.label_ids[order]], everything[order])
    assert np.array_equal(store[[store.label_ids[3]] * 2], everything[[3, 3]])
    assert len(store[[]]) == 0


def test_shards_are_memory_maps(folder):
    store = FeatureStore.open(folder)
    assert isinstance(store.shard(store.manifest["shards"][0]["shard"]), np.memmap)


def test_an_unknown_label_is_refused(folder):
    with pytest.raises(InputError, match=r"label_id 99999, but has none \(1 missing\)"):
        FeatureStore.open(folder)[[0, 99999]]


def test_an_absent_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="Run `hms features mel`"):
        FeatureStore.open(tmp_path / "mel")


def test_another_format_is_refused(folder):
    write_sealed(folder / "manifest.json", read_manifest(folder) | {"format": 99})
    with pytest.raises(InputError, match=f"needs format {FORMAT}, but was written in format 99"):
        FeatureStore.open(folder)


def test_a_missing_shard_is_refused(folder):
    (folder / "shard-0000.npy").unlink()
    with pytest.raises(InputError, match=r"needs shard-0000\.npy, but it is missing"):
        FeatureStore.open(folder)


@pytest.mark.parametrize("name", ["shard-0000.npy", "index.parquet", "keys.parquet"])
def test_a_changed_byte_is_refused(folder, name):
    changed = bytearray((folder / name).read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / name).write_bytes(changed)
    with pytest.raises(InputError, match=f"{name} needs the bytes .* Run `hms features"):
        FeatureStore.open(folder)


def test_a_broken_manifest_is_refused(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json cannot be read as JSON"):
        FeatureStore.open(folder)


def test_other_parameters_are_refused(folder, params):
    built = build_view(params, "spec_multi")
    FeatureStore.open(folder, view=built)
    other = VIEWS["spec_multi"].build({**params.views["spec_multi"], "height": 9})
    with pytest.raises(InputError, match="need parameters"):
        FeatureStore.open(folder, view=other)


def test_the_manifest_says_what_the_values_are(folder):
    manifest = FeatureStore.open(folder).manifest
    assert manifest["view"] == "spec_multi"
    assert manifest["mirror"] == [1, 0, 3, 2]
    assert manifest["n_windows"] == 16
    channels = manifest["statistics"]["channels"]
    values = FeatureStore.open(folder)
    values = values[values.label_ids].astype(float)
    assert [channel["name"] for channel in channels] == ["LL", "RL", "LP", "RP"]
    np.testing.assert_allclose([c["mean"] for c in channels], values.mean((0, 2, 3)), rtol=1e-9)


def test_views_are_described(folder, paths, params):
    member = SimpleNamespace(views=("spec_multi",))
    params = params.model_copy(update={"members": {"v2s": member}})
    rows = {row["view"]: row for row in describe_views(paths, params)}
    assert rows["spec_multi"]["shape"] == [4, 8, 12]
    assert rows["spec_multi"]["read_by"] == ["v2s"]
    assert rows["spec_multi"]["state"] == "stored"
    assert rows["spec_multi"]["bytes"] > 0
    assert rows["bipolar"]["state"] == "absent"
