from hms_pipeline import schema


def test_columns_are_the_competitions() -> None:
    assert len(schema.EEG_COLUMNS) == 20
    assert schema.EEG_COLUMNS[0] == "Fp1"
    assert schema.EEG_COLUMNS[-1] == "EKG"
    assert len(schema.SPECTROGRAM_COLUMNS) == 401
    assert schema.SPECTROGRAM_COLUMNS[1] == "LL_0.59"
    assert schema.SPECTROGRAM_COLUMNS[-1] == "RP_19.92"
    assert {"LL_3.13", "RL_4.1", "LP_9.38"} <= set(schema.SPECTROGRAM_COLUMNS)
    assert len(set(schema.SPECTROGRAM_COLUMNS)) == 401
    assert len(schema.TRAIN_COLUMNS) == 15


def test_double_banana_has_18_derivations_of_known_electrodes() -> None:
    assert len(set(schema.DOUBLE_BANANA)) == 18
    assert {name for pair in schema.DOUBLE_BANANA for name in pair} == set(schema.ELECTRODES)


def test_mirror_swaps_sides_and_maps_every_montage_onto_itself() -> None:
    assert all(schema.MIRROR[schema.MIRROR[name]] == name for name in schema.EEG_COLUMNS)
    for montage in (schema.DOUBLE_BANANA, schema.DIFFERENTIAL):
        mirrored = {tuple(schema.MIRROR[name] for name in pair) for pair in montage}
        assert mirrored == set(montage)


def test_slices_cover_every_count_once() -> None:
    parts = [schema.VOTE_SLICES[name] for name in ("1-2", "3-9", ">=10")]
    for n_votes in range(1, 29):
        inside = [low <= n_votes and (high is None or n_votes <= high) for low, high in parts]
        assert sum(inside) == 1
