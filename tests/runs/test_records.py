"""Records: what is written is what is read, and nothing else is."""

import copy
import io
import json
import math
import os
import pickle
import random
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_cases import LAYERS, parameters, random_layer
from run_cases import experiment
from task_cases import mnist_folder

from cbnlib import CNNConfig, TrainConfig, layer_spectrum, pre_activation_spectra, weight_spectra
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CoarseStage
from cbnlib.runs import store
from cbnlib.runs.compact import compact, expand
from cbnlib.runs.experiment import Experiment, TaskSpec, single
from cbnlib.runs.obtain import RECORD, failed, run_experiment
from cbnlib.runs.record import DOCUMENT, load_record, save_record
from cbnlib.runs.store import (
    ARRAYS,
    RecordError,
    json_bytes,
    npz_bytes,
    parse_json,
    parse_npz,
    read_sealed,
    refusing,
    write_sealed,
)

BUMP = experiment(steps=6)
TRAINING = BUMP.training


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    run_experiment(BUMP, folder=folder, progress=False)
    return folder / RECORD


@pytest.fixture
def sealed(record, tmp_path):
    return Path(shutil.copytree(record, tmp_path / "copy"))


# Sealed folders and what is in them

FILES = {"a.json": b"{}\n", ARRAYS: bytes(range(256))}


def test_sealed_folder_round_trip(tmp_path):
    (tmp_path / ".s.tmp").mkdir()  # of a process that was killed
    write_sealed(tmp_path / "s", FILES)
    assert read_sealed(tmp_path / "s", "a.json") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path / "s", capture_output=True, text=True, check=True)
    assert done.stdout == "a.json: OK\narrays.npz: OK\n"
    with pytest.raises(FileExistsError, match="exists already"):
        write_sealed(tmp_path / "s", FILES)


def test_failed_write_leaves_nothing_in_place(tmp_path, monkeypatch):
    def full(_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write_sealed(tmp_path / "s", FILES)
    assert [path.name for path in tmp_path.iterdir()] == [".s.tmp"]
    write_sealed(tmp_path / "s", FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_too_large_files(tmp_path, monkeypatch):
    write_sealed(tmp_path / "s", FILES)
    monkeypatch.setattr(store, "MAX_BYTES", 255)
    with pytest.raises(RecordError, match=r"s: arrays\.npz: 256 bytes, at most 255 are allowed"):
        read_sealed(tmp_path / "s", "a.json")
    with pytest.raises(ValueError, match=r"arrays\.npz: 256 bytes, at most 255"):
        write_sealed(tmp_path / "t", FILES)


def _edited(name, change):
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def _link(folder):
    (folder / "record.json").rename(folder.parent / "elsewhere")
    (folder / "record.json").symlink_to(folder.parent / "elsewhere")


def _pipe(folder):
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


NOT_ONE = "not one of the files SHA256SUMS, arrays.npz, record.json"
DAMAGE = [
    (lambda folder: (folder / "notes.txt").touch(), rf"copy: notes\.txt: {NOT_ONE}"),
    (lambda folder: (folder / ".hidden").touch(), rf"copy: \.hidden: {NOT_ONE}"),
    (lambda folder: (folder / "sub").mkdir(), f"copy: sub: {NOT_ONE}"),
    (lambda folder: (folder / "arrays.npz").unlink(), r"copy: arrays\.npz: missing"),
    (lambda folder: (folder / "SHA256SUMS").unlink(), "copy: SHA256SUMS: missing"),
    (_link, r"copy: record\.json: no plain file: links and folders are refused"),
    (_pipe, r"copy: record\.json: no plain file"),
    (_edited("arrays.npz", lambda data: data[:-1]), r"copy: arrays\.npz: not the bytes whose dig"),
    (_edited("arrays.npz", lambda data: data + b"\0"), r"copy: arrays\.npz: not the bytes"),
    (_edited("record.json", lambda _: b""), r"copy: record\.json: not the bytes"),
    (_edited("SHA256SUMS", lambda data: data * 2), "lists the right digests, but not as it was"),
    (_edited("SHA256SUMS", lambda data: data[:-1]), "copy: SHA256SUMS: lists the right"),
    (_edited("SHA256SUMS", lambda _: b""), r"copy: arrays\.npz: not the bytes"),
    (shutil.rmtree, "copy: no folder that can be read: No such file"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=range(len(DAMAGE)))
def test_damage(sealed, damage, message):
    damage(sealed)
    with pytest.raises(RecordError, match=message):
        load_record(sealed)


def test_every_changed_byte_is_refused(sealed):
    """500 positions, sampled over all bytes of all files: a flipped bit or another byte."""
    choose = random.Random(0)
    files = {path: path.read_bytes() for path in sorted(sealed.iterdir())}
    paths, sizes = list(files), [len(data) for data in files.values()]
    for trial in range(500):
        # A third of the samples in each file, so that the small ones are hit often enough.
        path = paths[trial % 3] if trial % 2 else choose.choices(paths, sizes)[0]
        data = bytearray(files[path])
        data[choose.randrange(len(data))] ^= choose.choice([1 << choose.randrange(8), 255])
        path.write_bytes(data)
        with pytest.raises(RecordError) as caught:
            load_record(sealed)
        assert caught.value.reason
        path.write_bytes(files[path])
    load_record(sealed)


def test_json_is_exact_and_strict():
    value = {"b": [0.1, 1 / 3, 1e-300, -0.0], "a": {"é": None, "t": True}, "n": 2**60}
    assert parse_json(json_bytes(value)) == value
    assert json_bytes(value) == json_bytes(dict(reversed(value.items())))
    with pytest.raises(ValueError, match="Out of range"):
        json_bytes({"a": float("nan")})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "Expecting"),
        (b"", "Expecting"),
        (b"[1]", "no object, or not as it was written"),
        (b'{"a": NaN}', "Out of range"),
        (b'{"a": -Infinity}', "Out of range"),
        (b'{"a": 1e999}', "Out of range"),
        (b'{\n "a": 1,\n "a": 1\n}\n', "not as it was written"),
        (b'{"a": ' + b"[" * 10**5, "recursion|Stack overflow"),
        (b'{"a": "\xff"}', "can't decode"),
    ],
    ids=range(9),
)
def test_bad_json(data, message):
    with pytest.raises(RecordError, match=message), refusing(Path("a"), "b"):
        parse_json(data)


def test_arrays_round_trip():
    arrays = {
        "a.1": np.arange(6, dtype="float32").reshape(2, 3).T,
        "empty": np.zeros((0, 4), "int32"),
        "bytes": np.arange(5, dtype="uint8"),
        "half": np.ones(2, "float16"),
        "long": np.array([2**40]),
    }
    data = npz_bytes(arrays)
    assert npz_bytes(arrays) == data
    for name, array in parse_npz(data).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


class Evil:
    """Unpickling this would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("code of a record was run",))


def saved(save, *arrays, **named):
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


def zipped(name, data, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no npz file"),
        (b"PK\x03\x04" + bytes(100), "no npz file"),
        (pickle.dumps(Evil()), "contains pickled"),
        (saved(np.savez_compressed, a=np.array([Evil()])), "allow_pickle=False"),
        (saved(np.savez_compressed, a=np.zeros(2**26, "f4")), "bytes, at most 268435456 fit"),
        (zipped("a.npy", b"hello", zipfile.ZIP_BZIP2), "a.npy is packed in another way"),
        (zipped("a.npy", header("(10**12,)")), "Cannot parse header|malformed"),
        (zipped("a.npy", header("(1000000000000,)")), "EOF: reading array data|Unable to allocate"),
        (zipped("a.npy", header("(-1,)") + bytes(4)), "negative"),
        (saved(np.save, np.zeros(3)), "context manager"),
    ],
    ids=range(10),
)
def test_bad_arrays(data, message):
    with pytest.raises(RecordError, match=message), refusing(Path("a"), "b"):
        parse_npz(data)


# Weights


def rebuilt(packed, like):
    """The packed layer, put together in a copy of this one that has forgotten its weights."""
    again = copy.deepcopy(like)
    torch.nn.init.zeros_(again.weight)
    expand(packed, again)
    return again


@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_layers_at_random_stay_dense_and_exact(grid, window):
    layer = random_layer(grid, window).float()
    packed = compact(layer)
    assert packed.form == "dense"
    assert packed.discarded == 0
    assert torch.equal(rebuilt(packed, layer).weight, layer.weight)


def bottlenecked(grid, parametrization="pixel"):
    """Three directions in two modes near 1, all else small; double precision."""
    layer = CircularConv(6, 5, grid, parametrization=parametrization).double()
    with torch.no_grad():
        layer.weight.normal_(std=1e-6, generator=torch.Generator().manual_seed(1))
        blocks = layer.blocks()
        flat = blocks.flatten(2)
        flat[0, 1, 0] += 1.1
        flat[2, 3, 1] += 0.9
        flat[1, 2, 1] += 0.7j
        layer.set_blocks(flat.view_as(blocks))
    return layer


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize("grid", [(8,), (9,), (6, 8), (5, 7), (7, 4)], ids=str)
@pytest.mark.parametrize("budget", [1e-8, 0.5])
def test_bottlenecked_layers_keep_their_modes(grid, parametrization, budget):
    layer = bottlenecked(grid, parametrization)
    packed = compact(layer, budget=budget)
    assert packed.form == "factors"
    again = rebuilt(packed, layer)
    spectrum, expected = layer_spectrum(again).values, layer_spectrum(layer).values
    worst = float((spectrum - expected).abs().max() / expected.max())
    assert worst <= budget**0.5 + 1e-6
    norm = float(layer.weight.detach().square().sum())
    assert packed.norm == pytest.approx(norm, rel=1e-12)
    difference = float((again.weight - layer.weight).detach().square().sum())
    assert difference == pytest.approx(packed.discarded, rel=1e-4, abs=1e-12 * norm)
    assert 0 < packed.discarded <= budget * norm
    kept = len(packed.arrays["mode"])
    assert kept == 3 if budget < 0.1 else kept < 3


def test_large_layers_are_kept_in_16_bits():
    layer = CircularConv(16, 16, (9, 9), generator=torch.Generator().manual_seed(0))
    packed = compact(layer)
    assert packed.arrays["weight"].dtype == torch.float16
    weight = layer.weight.detach()
    difference = (rebuilt(packed, layer).weight.detach() - weight).norm() / weight.norm()
    assert 0 < float(difference) < 5e-4
    with torch.no_grad():
        layer.weight.mul_(1e5)  # more than 16 bits hold
    assert compact(layer).arrays["weight"].dtype == torch.float32


def test_an_ensemble_has_one_history(tmp_path):
    run_experiment(experiment(seeds=(0, 1)), folder=tmp_path, progress=False)
    record = tmp_path / RECORD
    entries = json.loads((record / "record.json").read_text())["networks"]
    assert ["history" in entry for entry in entries] == [True, False]
    first, second = load_record(record)[1]
    assert first.history == second.history
    reseal(record, lambda document, _: document["networks"][0].pop("history"))
    with pytest.raises(RecordError, match="a history is missing"):
        load_record(record)


DECAYED = [
    single("bump", {"n": 8}, CNNConfig(8, 4, 3), TRAINING),
    single(
        "shape_texture",
        {"grid": [4, 4], "carrier": [0, 2]},
        CNNConfig((4, 4), 3, 2, window=3),
        TRAINING,
    ),
]


@pytest.mark.parametrize("size", [0.0, 1e-45, 7e-45, 1e-40, 1e-20])
@pytest.mark.parametrize("what", DECAYED, ids=["1-D", "2-D"])
def test_weights_that_decayed_are_kept(size, what, tmp_path):
    [run] = run_experiment(what, progress=False)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.copy_(size * parameter.sign())
    run = replace(run, activations=pre_activation_spectra(run.model, run.examples[0]))
    save_record(tmp_path / "r", what, [run])
    [kept] = load_record(tmp_path / "r")[1]
    torch.testing.assert_close(parameters(kept.model), parameters(run.model), rtol=1e-3, atol=0)


def test_directions_are_put_together_in_parts(monkeypatch):
    """Memory is that of a part; the bits are those of all at once."""
    layer = bottlenecked((6, 8))
    packed = compact(layer)
    whole = rebuilt(packed, layer)
    monkeypatch.setattr("cbnlib.runs.compact._AT_ONCE", 1)
    assert torch.equal(rebuilt(packed, layer).weight, whole.weight)


def test_both_members_of_a_pair_come_back():
    """In 2-D, columns 0 and n/2 store both: the factors name one."""
    layer = CircularConv(4, 4, (6, 6)).double()
    with torch.no_grad():
        p = torch.arange(6).double().reshape(6, 1).expand(6, 6) * 2 * torch.pi / 6
        layer.weight.zero_()
        layer.weight[0, 0] = torch.cos(2 * p) / 3
        layer.weight[1, 2] = torch.sin(p) / 4
    packed = compact(layer)
    assert packed.form == "factors"
    torch.testing.assert_close(rebuilt(packed, layer).weight, layer.weight, rtol=0, atol=1e-7)


# Records

LABELS = TrainConfig(0.01, 0.01, 2, batch_size=8, loss="cross_entropy")
CLASSIFIER = CNNConfig((7, 7), 3, 3, head="pooling", c_out=10)
LOW_PASS = [{"supports": [[1, -1]], "grid": 8, "samples": 70, "relu": r} for r in (False, True)]
EXPERIMENTS = {
    "bump": BUMP,
    "ensemble": Experiment(
        tuple(TaskSpec("low_pass", options) for options in LOW_PASS),
        CNNConfig(8, 2, 2),
        TRAINING,
        (0, 5),
    ),
    "digits": single(
        "digits",
        {"digit": 1},
        CNNConfig((8, 8), 3, 3, window=3, coarse=CoarseStage((4, 4), 2, 2)),
        TRAINING,
    ),
    "spectral": single(
        "digits", {"digit": 1}, CNNConfig((8, 8), 3, 3, parametrization="spectral"), TRAINING
    ),
    "coarse": experiment(CNNConfig(8, 3, 3, coarse=CoarseStage(4, 2, 2))),
    "linear, untrained": experiment(CNNConfig(8, 3, 1, bias=False, nonlinearity="none"), steps=0),
    "labels": single("mnist", {"size": 7}, CLASSIFIER, LABELS),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_record_round_trip(name, tmp_path):
    what, data = EXPERIMENTS[name], mnist_folder(tmp_path)
    live = run_experiment(what, folder=tmp_path / "e", data_folder=data, progress=False)
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == [RECORD]
    found, runs = load_record(tmp_path / "e" / RECORD, what.digest())
    assert found == what
    for run, original in zip(runs, live, strict=True):
        assert_same(run, original)
    assert len(runs) == len(what.members)
    assert load_record(tmp_path / "e" / RECORD)[0] == what


def assert_same(run, original):
    for name in ("network", "training", "history", "fit", "norm", "loss", "task", "held_out"):
        assert getattr(run, name) == getattr(original, name)
    assert (run.provenance.source, original.provenance.source) == ("record", "live")
    assert run.provenance.environment == original.provenance.environment
    assert run.provenance.finished == original.provenance.finished
    for a, b in zip(run.examples, original.examples, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    output, expected = run.model(run.examples[0]), original.model(run.examples[0])
    torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-4)
    assert [s.step for s in run.spectra] == [s.step for s in original.spectra]
    for shot, other in zip(run.spectra, original.spectra, strict=True):
        assert len(shot.activations) == len(run.model.convs)
        assert_close([*shot.layers, *shot.activations], [*other.layers, *other.activations])
    assert len(run.activations) == len(run.model.convs)
    assert_close(run.activations, original.activations)


def assert_close(spectra, others):
    for a, b in zip(spectra, others, strict=True):
        assert a.grid == b.grid
        torch.testing.assert_close(a.values, b.values, rtol=5e-4, atol=1e-7)


def test_older_records_have_no_held_out_numbers(tmp_path):
    data = mnist_folder(tmp_path)
    run_experiment(EXPERIMENTS["labels"], folder=tmp_path, data_folder=data, progress=False)
    reseal(tmp_path / RECORD, lambda document, _: document["networks"][0].pop("held_out"))
    assert load_record(tmp_path / RECORD)[1][0].held_out is None


def without_amplitudes(_, arrays):
    for name in [name for name in arrays if ".amplitudes." in name]:
        del arrays[name]


def test_older_records_have_no_activations_over_training(sealed, tmp_path):
    reseal(sealed, without_amplitudes)
    what, runs = load_record(sealed)
    assert all(shot.layers and shot.activations == [] for shot in runs[0].spectra)
    save_record(tmp_path / "again", what, runs)
    assert read_sealed(tmp_path / "again", DOCUMENT).keys() == read_sealed(sealed, DOCUMENT).keys()
    assert load_record(tmp_path / "again")[1][0].spectra[0].activations == []


def test_amplitudes_too_large_for_16_bits(record, tmp_path):
    what, runs = load_record(record)
    runs[0].spectra[-1].activations[1].values[0] = 1e5
    save_record(tmp_path / "a", what, runs)
    arrays = parse_npz(read_sealed(tmp_path / "a", DOCUMENT)["arrays.npz"])
    kinds = [arrays[f"0.amplitudes.{layer}"].dtype.name for layer in range(3)]
    assert kinds == ["float16", "float32", "float16"]


def test_same_run_gives_the_same_bytes(record, tmp_path):
    what, runs = load_record(record)
    save_record(tmp_path / "a", what, runs)
    save_record(tmp_path / "b", what, runs)
    assert read_sealed(tmp_path / "a", DOCUMENT) == read_sealed(tmp_path / "b", DOCUMENT)


def test_environment_is_complete(record):
    environment = load_record(record)[1][0].provenance.environment
    wanted = {"python", "torch", "numpy", "cbnlib", "processor", "machine", "threads"}
    assert wanted <= environment.keys()
    assert all(environment.values())
    assert environment["torch"] == torch.__version__


def test_what_a_load_refuses_is_not_written(record, tmp_path):
    what, [run] = load_record(record)
    x, y = run.examples
    where = {**run.provenance.environment, "processor": "<b>"}
    with_nan = copy.deepcopy(run.model)
    torch.nn.init.constant_(with_nan.convs[0].bias, math.nan)
    for changes, message in [
        ({"examples": (x.double(), y.double())}, r"array 'examples\.0\.x' has dtype float64"),
        ({"spectra": []}, "non-empty TensorList"),
        ({"activations": run.activations[:1]}, r"array '0\..*1' is missing"),
        ({"fit": float("inf")}, "Out of range float"),
        ({"model": with_nan}, r"array '0\.convs\.0\.bias' holds NaN"),
        ({"provenance": replace(run.provenance, environment=where)}, "is no plain text"),
        ({"task": replace(run.task, loss="cross_entropy")}, "does not fit the network"),
    ]:
        with pytest.raises((ValueError, RuntimeError), match=message):
            save_record(tmp_path / "a", what, [replace(run, **changes)])
    assert not any(tmp_path.iterdir())


def test_small_files_of_large_networks_are_refused(sealed):
    """Before memory is taken: the layer would have 40 GB."""
    wide = replace(BUMP, network=replace(BUMP.network, width=100_000))
    deep = replace(BUMP, network=replace(BUMP.network, depth=10**9))
    fine = replace(BUMP, network=replace(BUMP.network, grid=10**9))
    files = read_sealed(sealed, DOCUMENT)

    def claim(experiment, **entry):
        def change(document, arrays):
            arrays.clear()
            document |= {"experiment": experiment.facts(), "digest": experiment.digest()}
            document["tasks"][0]["grid"] = list(experiment.network.grid)
            document["networks"][0] |= entry

        return change

    modes = [{"form": "factors", "norm": 1.0, "discarded": 0.0}] * 3
    failure = {"failure": "f", "fit": None, "norm": None, "snapshots": [], "layers": []}
    for change, message in [
        (claim(wide, layers=modes), "too large.*the weights of 1 networks have 320007200004 bytes"),
        (claim(fine, layers=modes), "too large.*the grid's frequencies have 64000000000 bytes"),
        (claim(deep, **failure), "1000000000 layers, at most 65536 fit a record"),
    ]:
        shutil.rmtree(sealed)
        write_sealed(sealed, files)
        reseal(sealed, change)
        with pytest.raises(RecordError, match=message):
            load_record(sealed)


def test_numbers_come_from_stored_spectra_and_not_from_rebuilt_weights():
    """The second value of a layer with one kept direction is what the weights lack."""
    records = Path(__file__).parents[2] / "records"
    stored, rebuilt = [], []
    for digest in ("7eef78ac72bb", "7c37ef99bc0d", "1b62d6ce61e9"):  # those of chapter 2
        [sealed_folder] = records.glob(f"*-{digest}")
        [run] = load_record(sealed_folder)[1]
        assert run.weight_spectra is run.spectra[-1].layers
        for ours, theirs in zip(run.weight_spectra, weight_spectra(run.model), strict=True):
            stored.append(float(ours.values.min() / ours.values.max()))
            rebuilt.append(float(theirs.values.min() / theirs.values.max()))
    assert stored
    assert max(abs(a - b) for a, b in zip(stored, rebuilt, strict=True)) < 3e-3
    assert (
        max(max(a, b) / max(min(a, b), 1e-12) for a, b in zip(stored, rebuilt, strict=True)) > 100
    )


def test_weight_spectra_of_every_kind_of_run(record):
    live = run_experiment(BUMP, progress=False)[0]
    assert live.weight_spectra is live.spectra[-1].layers
    without = replace(live, spectra=live.spectra[:-1])
    for ours, theirs in zip(without.weight_spectra, weight_spectra(live.model), strict=True):
        assert torch.equal(ours.values, theirs.values)
    assert failed(load_record(record)[1][0], "it failed").weight_spectra == []


@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=str)
def test_a_failed_run_has_a_record(seeds, tmp_path):
    options = {"ridge": 0.0, "learning_rate": 1e9, "steps": 9, "optimizer": "sgd"}
    wild = experiment(seeds=seeds, **options)
    live = run_experiment(wild, folder=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    kept = run_experiment(wild, folder=tmp_path, progress=False)
    for run, original in zip(kept, live, strict=True):
        assert (run.provenance.source, original.provenance.source) == ("record", "live")
        assert run.failure == original.failure != ""
        assert run.history.step == original.history.step
        assert run.task == original.task
        assert torch.equal(run.examples[0], original.examples[0])
        assert all(map(math.isnan, (run.fit, run.norm, run.loss)))
        assert all(p.isnan().all() for p in run.model.parameters())
        assert (run.spectra, run.activations, run.held_out) == ([], [], None)
    save_record(tmp_path / "again", wild, kept)
    assert read_sealed(tmp_path / "again", DOCUMENT) == read_sealed(tmp_path / RECORD, DOCUMENT)
    reseal(tmp_path / RECORD, put("networks", 0, "failure", value=""))
    with pytest.raises(RecordError, match="no failure says why"):
        load_record(tmp_path / RECORD)


def test_one_of_an_ensemble_may_have_failed(tmp_path):
    runs = run_experiment(EXPERIMENTS["ensemble"], progress=False)
    runs[0] = failed(runs[0], "it failed")
    save_record(tmp_path / "a", EXPERIMENTS["ensemble"], runs)
    kept = load_record(tmp_path / "a")[1]
    assert [run.failure for run in kept] == ["it failed", "", "", ""]
    assert_same(kept[1], runs[1])


def reseal(folder, change):
    """Change a record's contents and seal it again, with right checksums."""
    files = read_sealed(folder, DOCUMENT)
    document, arrays = json.loads(files[DOCUMENT]), parse_npz(files[ARRAYS])
    change(document, arrays)
    shutil.rmtree(folder)
    write_sealed(folder, {DOCUMENT: json_bytes(document), ARRAYS: npz_bytes(arrays)})


def put(*path, value):
    def change(document, _):
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def array(name, change):
    def apply(_, arrays):
        arrays[name] = change(arrays[name])

    return apply


def hole(values):
    values.flat[1] = np.nan
    return values


NETWORK = ("networks", 0)
FORGED = [
    (put("kind", value="something else"), "kind 'something else', expected 'cbnlib record'"),
    (put("format", value=2), "format 2, expected 1"),
    (put("digest", value="0" * 64), f"digest '0000.*, expected '{BUMP.digest()}'"),
    (put("experiment", "seeds", value=[4]), f"digest '{BUMP.digest()}', expected"),
    (put("experiment", value=None), r"record\.experiment must be dict.*, got None"),
    (put("experiment", "extra", value=1), "not in their canonical form"),
    (put("extra", value=1), "record must have the keys"),
    (put("provenance", "seconds", value="1"), r"provenance\.seconds must be float, got '1'"),
    (put("provenance", "source", value="live"), r"record\.provenance must have the keys"),
    (put("provenance", "environment", "host", value=3), r"environment\.host must be str, got 3"),
    (put("tasks", value=[]), "0 tasks and 1 networks, not the experiment's"),
    (put("tasks", 0, "grid", value=[9]), "does not fit the network"),
    (put("tasks", 0, "samples", value=0), "does not fit the network"),
    (put("tasks", 0, "samples", value=True), r"tasks\[\]\.samples must be int, got True"),
    (put(*NETWORK, "fit", value=None), "no fit or no norm, and no failure says why"),
    (put(*NETWORK, "failure", value="it failed"), r"array '0\.activations\.0' is unknown"),
    (put("provenance", "environment", "processor", value='<img src=x onerror="alert(1)">'),
     "is no plain text"),
    (put("provenance", "environment", "&lt;", value=""), "is no plain text"),
    (put("provenance", "finished", value="<script>"), "is no plain text"),
    (put("tasks", 0, "name", value="<b>"), "is no plain text"),
    (put(*NETWORK, "history", "fit", value=[]), "its columns differ in length"),
    (put(*NETWORK, "history", "more", value=[1.0] * 6), "unexpected keyword argument 'more'"),
    (put(*NETWORK, "snapshots", value=[]), "no snapshot"),
    (put(*NETWORK, "snapshots", value=[0]), r"shape \(7, 5, 1\), expected .* and \(1, 5, 1\)"),
    (put(*NETWORK, "layers", value=[]), "0 layers"),
    (put(*NETWORK, "held_out", value={"samples": 1}), r"held_out must have the keys"),
    (put(*NETWORK, "layers", 0, "form", value="pickle"), r"form must be .*, got 'pickle'"),
    (put(*NETWORK, "layers", 0, "form", value="factors"), r"array '0\.convs\.0\.left' is missing"),
    (array("0.convs.1.weight", lambda a: a[:1]), r"has dtype float32 and shape \(1, 3, 8\)"),
    (array("0.convs.1.weight", lambda a: a.astype("f8")), "float64 and .* float16 or float32"),
    (array("0.convs.1.weight", hole), r"array '0\.convs\.1\.weight' holds NaN"),
    (array("0.convs.1.weight", lambda a: a.astype(">f4")), "byte order"),
    (array("0.convs.1.weight", lambda a: a.astype("c8")), "has dtype complex64"),
    (array("0.spectra.2", hole), "holds NaN"),
    (array("0.spectra.2", lambda a: a[:-1]), "shape"),
    (array("0.activations.0", lambda a: a[:, :2]), r"\(5, 2\), expected .* and \(5, 3\)"),
    (array("0.amplitudes.1", lambda a: a[1:]), r"\(6, 5, 1\), expected .* and \(7, 5, 1\)"),
    (lambda _, arrays: arrays.pop("0.amplitudes.2"), r"array '0\.amplitudes\.2' is missing"),
    (lambda _, arrays: arrays.pop("0.amplitudes.0"), r"array '0\.amplitudes\.1' is unknown"),
    (array("examples.0.x", lambda a: a[:5]), r"expected float32 and \(20, 1, 8\)"),
    (lambda _, arrays: arrays.pop("0.convs.2.bias"), r"array '0\.convs\.2\.bias' is missing"),
    (lambda _, arrays: arrays.update(more=np.zeros(1)), "array 'more' is unknown"),
    (lambda _, arrays: arrays.update(a=np.array([Evil()])), "allow_pickle=False"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORGED, ids=range(len(FORGED)))
def test_sealed_but_wrong(sealed, change, message):
    reseal(sealed, change)
    with pytest.raises(RecordError, match=f"copy: (record.json|arrays.npz): .*{message}"):
        load_record(sealed)


def test_factors_of_no_mode_are_refused(tmp_path):
    [run] = run_experiment(BUMP, progress=False)
    layer = run.model.convs[1]
    blocks = torch.zeros_like(layer.blocks())
    blocks[0, 0, 0] = 1
    layer.set_blocks(blocks)
    save_record(tmp_path / "a", BUMP, [run])
    assert load_record(tmp_path / "a")[1][0].model.convs[1].weight.abs().max() > 0
    reseal(tmp_path / "a", array("0.convs.1.mode", lambda a: a + 99))
    with pytest.raises(RecordError, match="names a frequency that is no mode"):
        load_record(tmp_path / "a")
