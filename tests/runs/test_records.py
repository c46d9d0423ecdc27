"""Records: what is written is what is read, and nothing else is."""

import io
import json
import math
import os
import pickle
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_cases import LAYERS, random_layer

from cbnlib import CNNConfig, TrainConfig, activation_spectra, layer_spectrum, weight_spectra
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CoarseStage
from cbnlib.runs import sealed
from cbnlib.runs.compact import compact, expand
from cbnlib.runs.encoding import json_bytes, npz_files, parse_json, parse_npz
from cbnlib.runs.experiment import Experiment, TaskSpec, single
from cbnlib.runs.obtain import RECORD, Run, failed, run_experiment
from cbnlib.runs.record import load_record, save_record
from cbnlib.runs.sealed import (
    ForeignRecordError,
    RecordError,
    read_sealed,
    remove_leftovers,
    write_sealed,
)

TRAINING = TrainConfig(ridge=0.01, learning_rate=0.01, steps=6, batch_size=8, seed=3)
BUMP = single("bump", {"n": 8, "samples": 20}, CNNConfig(8, 3, 3), TRAINING, label="small")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    run_experiment(BUMP, folder=folder, progress=False)
    return folder / RECORD


@pytest.fixture
def copy(record: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(record, tmp_path / "copy"))


# Sealed folders


def test_sealed_folder_round_trip(tmp_path: Path) -> None:
    files = {"b.txt": b"two\n", "a.bin": bytes(range(256)), "empty": b""}
    write_sealed(tmp_path / "s", files)
    assert read_sealed(tmp_path / "s") == files
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path / "s", capture_output=True, text=True, check=True)
    assert done.stdout == "a.bin: OK\nb.txt: OK\nempty: OK\n"


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    write_sealed(tmp_path / "s", {"a": b"1"})
    with pytest.raises(FileExistsError, match="exists already"):
        write_sealed(tmp_path / "s", {"a": b"2"})
    assert read_sealed(tmp_path / "s") == {"a": b"1"}
    write_sealed(tmp_path / "s", {"a": b"2"}, replace=True)
    assert read_sealed(tmp_path / "s") == {"a": b"2"}
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("name", ["SHA256SUMS", "../a", "a/b", "", ".hidden", "a b", "a\n"])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a file of a sealed folder"):
        write_sealed(tmp_path / "s", {name: b""})
    assert not any(tmp_path.iterdir())


def test_failed_write_leaves_nothing_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write_sealed(tmp_path / "s", {"a": b"1"})
    assert not (tmp_path / "s").exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    (tmp_path / ".notes.tmp").write_text("mine")
    (tmp_path / ".mine.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", ".notes.tmp"]


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "MAX_FILES", 3)
    write_sealed(tmp_path / "s", {"a": b"", "b": b""})
    assert len(read_sealed(tmp_path / "s")) == 2
    with pytest.raises(ValueError, match="3 files and SHA256SUMS, at most 3 are allowed"):
        write_sealed(tmp_path / "t", {"a": b"", "b": b"", "c": b""})


def test_too_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sealed(tmp_path / "s", {"a": bytes(1000)})
    monkeypatch.setattr(sealed, "MAX_BYTES", 999)
    with pytest.raises(RecordError, match="s: a: 1000 bytes, at most 999 are allowed"):
        read_sealed(tmp_path / "s")
    with pytest.raises(ValueError, match="a: 1000 bytes, at most 999"):
        write_sealed(tmp_path / "t", {"a": bytes(1000)})


def _extra(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _hidden(folder: Path) -> None:
    (folder / ".hidden").touch()


def _folder(folder: Path) -> None:
    (folder / "sub").mkdir()


def _missing(folder: Path) -> None:
    (folder / "arrays.npz").unlink()


def _no_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def _link(folder: Path) -> None:
    (folder / "record.json").rename(folder.parent / "elsewhere")
    (folder / "record.json").symlink_to(folder.parent / "elsewhere")


def _pipe(folder: Path) -> None:
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


def _truncated(folder: Path) -> None:
    data = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(data[:-1])


def _emptied(folder: Path) -> None:
    (folder / "record.json").write_bytes(b"")


def _longer(folder: Path) -> None:
    with (folder / "arrays.npz").open("ab") as stream:
        stream.write(b"\0")


def _other_order(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_bytes().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_bytes(b"".join(reversed(lines)))


def _twice(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes() * 2)


def _no_end(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes()[:-1])


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_extra, r"copy: notes\.txt: not listed in SHA256SUMS"),
        (_hidden, r"copy: \.hidden: not listed in SHA256SUMS"),
        (_folder, "copy: sub: no plain file: links and folders are refused"),
        (_missing, r"copy: arrays\.npz: missing, although SHA256SUMS lists it"),
        (_no_sums, "copy: SHA256SUMS: missing"),
        (_link, r"copy: record\.json: no plain file"),
        (_pipe, r"copy: record\.json: no plain file"),
        (_truncated, r"copy: arrays\.npz: not the bytes whose digest SHA256SUMS has"),
        (_emptied, r"copy: record\.json: not the bytes"),
        (_longer, r"copy: arrays\.npz: not the bytes"),
        (_other_order, "copy: SHA256SUMS: lists the right digests, but not as it was written"),
        (_twice, "copy: SHA256SUMS: no list of one SHA-256 digest per file"),
        (_no_end, "copy: SHA256SUMS: no list"),
        (_gone, "copy: no folder that can be read: No such file"),
    ],
)
def test_damage(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)
    with pytest.raises(RecordError, match=message):
        load_record(copy)


def test_errors_reach_other_processes() -> None:
    error = ForeignRecordError(Path("a"), "b", "c")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ForeignRecordError)
    assert (str(again), again.file) == ("a: b: c", "b")


def test_every_changed_byte_is_refused(copy: Path) -> None:
    """500 positions, sampled over all bytes of all files: a flipped bit or another byte."""
    choose = random.Random(0)
    files = {path: path.read_bytes() for path in sorted(copy.iterdir())}
    paths, sizes = list(files), [len(data) for data in files.values()]
    reasons = []
    for trial in range(500):
        # A third of the samples in each file, so that the small ones are hit often enough.
        path = paths[trial % 3] if trial % 2 else choose.choices(paths, sizes)[0]
        data = bytearray(files[path])
        place = choose.randrange(len(data))
        data[place] ^= choose.choice([1 << choose.randrange(8), choose.randrange(1, 256)])
        path.write_bytes(data)
        with pytest.raises(RecordError) as caught:
            load_record(copy)
        reasons.append(caught.value.reason)
        path.write_bytes(files[path])
    assert all(reasons)
    load_record(copy)


# Bytes


def test_json_is_exact_and_strict() -> None:
    value = {"b": [0.1, 1 / 3, 1e-300, -0.0], "a": {"é": None, "t": True}, "n": 2**60}
    assert parse_json(json_bytes(value)) == value
    assert json_bytes(value) == json_bytes(dict(reversed(value.items())))
    for bad, message in [
        (b"{", "Expecting"),
        (b"", "Expecting"),
        (b"[1]", "no object but a list"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": {"b": 1, "b": 2}}', "a key stands twice"),
        (b'{"a": ' + b"[" * 10**5, "nested too deeply"),
        (b'{"a": "\xff"}', "can't decode"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_json(bad)
    with pytest.raises(ValueError, match="Out of range"):
        json_bytes({"a": float("nan")})


def test_arrays_round_trip() -> None:
    arrays = {
        "a.1": np.arange(6, dtype="float32").reshape(2, 3).T,
        "scalar": np.float64(3.5) * np.ones(()),
        "empty": np.zeros((0, 4), "int32"),
        "bytes": np.arange(5, dtype="uint8"),
        "half": np.ones(2, "float16"),
        "long": np.array([2**40]),
    }
    files = npz_files(arrays)
    assert list(files) == ["arrays.npz"]
    assert npz_files(arrays) == files
    read = parse_npz(files["arrays.npz"])
    with np.load(io.BytesIO(files["arrays.npz"]), allow_pickle=False) as loaded:
        for name, array in arrays.items():
            for other in (read[name], loaded[name]):
                assert other.dtype == array.dtype
                np.testing.assert_array_equal(other, array)


def test_large_arrays_are_spread_over_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbnlib.runs.encoding.MAX_ARRAY", 1000)
    arrays = {str(i): np.full(400, i, "uint8") for i in range(5)}
    files = npz_files(arrays)
    assert list(files) == ["arrays.npz", "arrays-2.npz", "arrays-3.npz"]
    assert [list(parse_npz(data)) for data in files.values()] == [["0", "1"], ["2", "3"], ["4"]]
    with pytest.raises(ValueError, match="array 'a' has 1001 bytes, at most 1000 fit"):
        npz_files({"a": np.zeros(1001, "uint8")})


def test_other_kinds_of_numbers_are_not_written() -> None:
    for array in (np.zeros(2, "complex64"), np.zeros(2, bool), np.array([None])):
        with pytest.raises(ValueError, match="array 'a' has dtype"):
            npz_files({"a": array})


class Evil:
    """Unpickling this would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a record was run",))


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def zipped(name: str, data: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no npz file"),
        (b"PK" + bytes(100), "no npz file"),
        (npz(a=np.array([Evil()])), r"array 'a' has dtype \|O"),
        (npz(a=np.zeros(3, "complex64")), "array 'a' has dtype <c8"),
        (npz(a=np.zeros(3, ">f4")), "array 'a' has dtype >f4"),
        (npz(a=np.zeros((2, 3), "f4", order="F")), "array 'a' has dtype <f4"),
        (npz(a=np.zeros(2**24, "f4")), "bytes, at most 67108864 fit"),
        (zipped("a.npy", b"hello", zipfile.ZIP_BZIP2), "a.npy is encrypted, or packed in another"),
        (zipped("a.txt", b"hello"), "a.txt is no array"),
        (zipped("a.npy", b"hello"), "array 'a' has a bad header"),
        (zipped("a.npy", header("(10**12,)")), "array 'a' has a bad header"),
        (zipped("a.npy", header("(1000000000000,)")), "has 0 bytes, which do not fit shape"),
        (zipped("a.npy", header("(-1,)") + bytes(4)), "do not fit shape"),
        (zipped("a.npy", header("(1,)") + bytes(5)), "5 bytes, which do not fit shape"),
    ],
    ids=range(14),
)
def test_bad_arrays(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_npz(data)


# Weights


def fresh(layer: CircularConv) -> CircularConv:
    other = CircularConv(
        layer.c_in, layer.c_out, layer.grid, window=layer.window,
        parametrization=layer.parametrization,
    )  # fmt: skip
    return other.to(layer.weight.dtype)


@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_layers_at_random_stay_dense_and_exact(grid: Any, window: Any) -> None:
    layer = random_layer(grid, window).float()
    packed = compact(layer)
    assert packed.form == "dense"
    assert packed.discarded == 0
    again = fresh(layer)
    expand(packed, again)
    assert torch.equal(again.weight, layer.weight)


def bottlenecked(grid: tuple[int, ...], parametrization: Any = "pixel") -> CircularConv:
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
def test_bottlenecked_layers_keep_their_modes(
    grid: tuple[int, ...], parametrization: str, budget: float
) -> None:
    layer = bottlenecked(grid, parametrization)
    packed, again = compact(layer, budget=budget), fresh(layer)
    assert packed.form == "factors"
    expand(packed, again)
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


def test_large_layers_are_kept_in_16_bits() -> None:
    layer = CircularConv(16, 16, (9, 9), generator=torch.Generator().manual_seed(0))
    packed, again = compact(layer), CircularConv(16, 16, (9, 9))
    assert packed.arrays["weight"].dtype == torch.float16
    expand(packed, again)
    difference = (again.weight - layer.weight).detach().norm() / layer.weight.detach().norm()
    assert 0 < float(difference) < 5e-4
    with torch.no_grad():
        layer.weight.mul_(1e5)  # more than 16 bits hold
    assert compact(layer).arrays["weight"].dtype == torch.float32


def test_an_ensemble_has_one_history(tmp_path: Path) -> None:
    network, training = CNNConfig(8, width=3, depth=3), TrainConfig(1e-2, 1e-3, 5, batch_size=8)
    several = Experiment((TaskSpec("bump", {"n": 8, "samples": 20}),), network, training, (0, 1))
    run_experiment(several, folder=tmp_path, progress=False)
    record = tmp_path / RECORD
    entries = json.loads((record / "record.json").read_text())["networks"]
    assert ["history" in entry for entry in entries] == [True, False]
    first, second = load_record(record)[1]
    assert first.history == second.history
    reseal(record, lambda document, _: document["networks"][0].pop("history"))
    with pytest.raises(RecordError, match="the first network has no history"):
        load_record(record)


@pytest.mark.parametrize("size", [0.0, 1e-45, 7e-45, 1e-40, 1e-20])
@pytest.mark.parametrize(
    "network", [CNNConfig(8, 4, 3), CNNConfig((4, 4), 3, 2, window=3)], ids=str
)
def test_weights_that_decayed_are_kept(size: float, network: CNNConfig, tmp_path: Path) -> None:
    task = "bump" if network.grid == (8,) else "shape_texture"
    options = {"n": 8} if task == "bump" else {"grid": [4, 4], "carrier": [0, 2]}
    experiment = single(task, options, network, TRAINING)
    [run] = run_experiment(experiment, progress=False)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.copy_(size * parameter.sign())
    run = replace(run, activations=activation_spectra(run.model, run.examples[0]))
    save_record(tmp_path / "r", experiment, [run])
    [kept] = load_record(tmp_path / "r")[1]
    for a, b in zip(kept.model.parameters(), run.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=0)


def test_directions_are_put_together_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of a part; the bits are those of all at once."""
    layer = bottlenecked((6, 8))
    packed, whole, parts = compact(layer), fresh(layer), fresh(layer)
    expand(packed, whole)
    monkeypatch.setattr("cbnlib.runs.compact._AT_ONCE", 1)
    expand(packed, parts)
    assert torch.equal(whole.weight, parts.weight)


def test_both_members_of_a_pair_come_back() -> None:
    """In 2-D, columns 0 and n/2 store both: the factors name one."""
    layer = CircularConv(4, 4, (6, 6)).double()
    with torch.no_grad():
        p = torch.arange(6).double().reshape(6, 1).expand(6, 6) * 2 * torch.pi / 6
        layer.weight.zero_()
        layer.weight[0, 0] = torch.cos(2 * p) / 3
        layer.weight[1, 2] = torch.sin(p) / 4
    again = fresh(layer)
    packed = compact(layer)
    expand(packed, again)
    assert packed.form == "factors"
    torch.testing.assert_close(again.weight, layer.weight, rtol=0, atol=1e-7)


def test_bad_budget() -> None:
    with pytest.raises(ValueError, match="budget must be finite and >= 0, got -1"):
        compact(bottlenecked((8,)), budget=-1)


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
    "coarse": single(
        "bump", {"n": 8, "samples": 20}, CNNConfig(8, 3, 3, coarse=CoarseStage(4, 2, 2)), TRAINING
    ),
    "linear, untrained": single(
        "bump",
        {"n": 9, "samples": 2},
        CNNConfig(9, 3, 1, bias=False, nonlinearity="none"),
        TrainConfig(0, 0.1, 0),
    ),
    "labels": single("mnist", {"size": 7}, CLASSIFIER, LABELS),
}


def mnist_folder(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    labels = np.arange(30, dtype=np.uint8) % 10
    for kind, array in {"images-idx3": images, "labels-idx1": labels}.items():
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        data = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
        for split in ("train", "t10k"):
            (folder / f"{split}-{kind}-ubyte").write_bytes(data)
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_record_round_trip(name: str, tmp_path: Path) -> None:
    experiment = EXPERIMENTS[name]
    data = mnist_folder(tmp_path)
    live = run_experiment(experiment, folder=tmp_path / "e", data_folder=data, progress=False)
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == [RECORD]
    found, runs = load_record(tmp_path / "e" / RECORD, experiment.digest())
    assert found == experiment
    assert len(runs) == len(live) == len(experiment.members)
    for run, original in zip(runs, live, strict=True):
        assert_same(run, original)
    assert load_record(tmp_path / "e" / RECORD)[0] == experiment


def assert_same(run: Run, original: Run) -> None:
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
        ours, theirs = [*shot.layers, *shot.activations], [*other.layers, *other.activations]
        for a, b in zip(ours, theirs, strict=True):
            assert a.grid == b.grid
            torch.testing.assert_close(a.values, b.values, rtol=5e-4, atol=1e-7)
    assert len(run.activations) == len(run.model.convs)
    for a, b in zip(run.activations, original.activations, strict=True):
        assert a.grid == b.grid
        torch.testing.assert_close(a.values, b.values, rtol=5e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("accuracy", 1.01, "impossible numbers"),
        ("accuracy", -0.1, "impossible numbers"),
        ("samples", 0, "impossible numbers"),
        ("fit", -1.0, "impossible numbers"),
        ("samples", 1.5, r"networks\[0\]\.held_out\.samples must be int"),
        ("more", 1, r"networks\[0\]\.held_out must have the keys"),
    ],
)
def test_impossible_held_out_numbers(tmp_path: Path, key: str, value: Any, message: str) -> None:
    data = mnist_folder(tmp_path)
    classifier = EXPERIMENTS["labels"]
    [run] = run_experiment(classifier, folder=tmp_path, data_folder=data, progress=False)
    assert run.held_out is not None
    assert run.held_out.samples == 30
    reseal(tmp_path / RECORD, put("networks", 0, "held_out", key, value=value))
    with pytest.raises(RecordError, match=f"record.json: .*{message}"):
        load_record(tmp_path / RECORD)


def test_older_records_have_no_held_out_numbers(tmp_path: Path) -> None:
    data = mnist_folder(tmp_path)
    run_experiment(EXPERIMENTS["labels"], folder=tmp_path, data_folder=data, progress=False)
    reseal(tmp_path / RECORD, lambda document, _: document["networks"][0].pop("held_out"))
    assert load_record(tmp_path / RECORD)[1][0].held_out is None


def without_amplitudes(_: Any, arrays: dict[str, np.ndarray]) -> None:
    for name in [name for name in arrays if ".amplitudes." in name]:
        del arrays[name]


def test_older_records_have_no_activations_over_training(copy: Path, tmp_path: Path) -> None:
    reseal(copy, without_amplitudes)
    experiment, runs = load_record(copy)
    assert all(shot.layers and shot.activations == [] for shot in runs[0].spectra)
    save_record(tmp_path / "again", experiment, runs)
    assert read_sealed(tmp_path / "again").keys() == read_sealed(copy).keys()
    assert load_record(tmp_path / "again")[1][0].spectra[0].activations == []


def test_amplitudes_too_large_for_16_bits(record: Path, tmp_path: Path) -> None:
    experiment, runs = load_record(record)
    runs[0].spectra[-1].activations[1].values[0] = 1e5
    save_record(tmp_path / "a", experiment, runs)
    arrays = parse_npz(read_sealed(tmp_path / "a")["arrays.npz"])
    kinds = [arrays[f"0.amplitudes.{layer}"].dtype.name for layer in range(3)]
    assert kinds == ["float16", "float32", "float16"]


def test_same_run_gives_the_same_bytes(record: Path, tmp_path: Path) -> None:
    experiment, runs = load_record(record)
    save_record(tmp_path / "a", experiment, runs)
    save_record(tmp_path / "b", experiment, runs)
    assert read_sealed(tmp_path / "a") == read_sealed(tmp_path / "b")


def test_environment_is_complete(record: Path) -> None:
    environment = load_record(record)[1][0].provenance.environment
    wanted = {"python", "torch", "numpy", "cbnlib", "processor", "machine", "threads"}
    assert wanted <= environment.keys()
    assert all(environment.values())


def test_another_experiment_is_refused(record: Path) -> None:
    with pytest.raises(ForeignRecordError, match=f"experiment {BUMP.digest()}, not of {'0' * 64}"):
        load_record(record, "0" * 64)


def test_what_a_load_refuses_is_not_written(record: Path, tmp_path: Path) -> None:
    experiment, [run] = load_record(record)
    x, y = run.examples
    where = {**run.provenance.environment, "processor": "<b>"}
    for changes, message in [
        ({"examples": (x.double(), y.double())}, r"array 'examples\.0\.x' has dtype float64"),
        ({"spectra": []}, "non-empty TensorList"),
        ({"activations": run.activations[:1]}, r"array '0\..*1' is missing"),
        ({"fit": float("inf")}, "Out of range float"),
        ({"provenance": replace(run.provenance, environment=where)}, "is no plain text"),
        ({"task": replace(run.task, loss="cross_entropy")}, "does not fit the network"),
    ]:
        with pytest.raises((ValueError, RuntimeError), match=message):
            save_record(tmp_path / "a", experiment, [replace(run, **changes)])
    assert not any(tmp_path.iterdir())


def test_small_files_of_large_networks_are_refused(copy: Path) -> None:
    """Before memory is taken: the layer would have 40 GB."""
    wide = replace(BUMP, network=replace(BUMP.network, width=100_000))
    deep = replace(BUMP, network=replace(BUMP.network, depth=10**9))
    fine = replace(BUMP, network=replace(BUMP.network, grid=10**9))
    files = read_sealed(copy)

    def claim(experiment: Experiment, **entry: Any) -> Callable[[dict[str, Any], Any], None]:
        def change(document: dict[str, Any], arrays: dict[str, Any]) -> None:
            arrays.clear()
            document |= {"experiment": experiment.facts(), "digest": experiment.digest()}
            document["tasks"][0]["grid"] = list(experiment.network.grid)
            document["networks"][0] |= entry

        return change

    modes = [{"form": "factors", "norm": 1.0, "discarded": 0.0}] * 3
    failure = {"failure": "f", "fit": None, "norm": None, "snapshots": [], "layers": []}
    for change, message in [
        (
            claim(wide, layers=modes),
            r"too large.*convs\.1\.weight of 1 networks has 320000000000 byt",
        ),
        (claim(fine, layers=modes), "too large.*one channel of a signal has 4000000000 bytes"),
        (claim(deep, **failure), "1000000000 layers, at most 65536 fit a record"),
    ]:
        write_sealed(copy, files, replace=True)
        reseal(copy, change)
        with pytest.raises(RecordError, match=message):
            load_record(copy)


def test_numbers_come_from_stored_spectra_and_not_from_rebuilt_weights() -> None:
    """The second value of a layer with one kept direction is what the weights lack."""
    records = Path(__file__).parents[2] / "records" / "02_digit0"
    stored, rebuilt = [], []
    for sealed_folder in sorted(records.glob(f"*/{RECORD}")):
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


def test_weight_spectra_of_every_kind_of_run(record: Path) -> None:
    live = run_experiment(BUMP, progress=False)[0]
    assert live.weight_spectra is live.spectra[-1].layers
    without = replace(live, spectra=live.spectra[:-1])
    for ours, theirs in zip(without.weight_spectra, weight_spectra(live.model), strict=True):
        assert torch.equal(ours.values, theirs.values)
    assert failed(load_record(record)[1][0], "it failed").weight_spectra == []


WILD = TrainConfig(0.0, 1e9, 9, optimizer="sgd", seed=3)


@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=str)
def test_a_failed_run_has_a_record(seeds: tuple[int, ...], tmp_path: Path) -> None:
    tasks = (TaskSpec("bump", {"n": 8, "samples": 20}),)
    wild = Experiment(tasks, CNNConfig(8, 3, 3), WILD, seeds)
    live = run_experiment(wild, folder=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    kept = run_experiment(wild, folder=tmp_path, progress=False)
    for run, original in zip(kept, live, strict=True):
        assert (run.provenance.source, original.provenance.source) == ("record", "live")
        assert run.failure == original.failure != ""
        assert run.history.step == original.history.step
        assert run.task == original.task
        assert torch.equal(run.examples[0], original.examples[0])
        for nothing in (
            run.fit,
            run.norm,
            run.loss,
            *(p.detach().sum() for p in run.model.parameters()),
        ):
            assert math.isnan(nothing)
        assert (run.spectra, run.activations, run.held_out) == ([], [], None)
    save_record(tmp_path / "again", wild, kept)
    assert read_sealed(tmp_path / "again") == read_sealed(tmp_path / RECORD)
    reseal(tmp_path / RECORD, put("networks", 0, "failure", value=""))
    with pytest.raises(RecordError, match="failed without a reason"):
        load_record(tmp_path / RECORD)


def test_one_of_an_ensemble_may_have_failed(tmp_path: Path) -> None:
    experiment = EXPERIMENTS["ensemble"]
    runs = run_experiment(experiment, progress=False)
    runs[0] = failed(runs[0], "it failed")
    save_record(tmp_path / "a", experiment, runs)
    kept = load_record(tmp_path / "a")[1]
    assert [run.failure for run in kept] == ["it failed", "", "", ""]
    assert_same(kept[1], runs[1])


def test_runs_with_nan_are_not_written(record: Path, tmp_path: Path) -> None:
    experiment, runs = load_record(record)
    with torch.no_grad():
        runs[0].model.convs[0].bias[0] = float("nan")  # type: ignore[index]
    with pytest.raises(ValueError, match=r"array '0\.convs\.0\.bias' holds NaN"):
        save_record(tmp_path / "a", experiment, runs)
    assert not any(tmp_path.iterdir())


def reseal(folder: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Change a record's contents and seal it again, with right checksums."""
    files = read_sealed(folder)
    document, arrays = json.loads(files["record.json"]), parse_npz(files["arrays.npz"])
    change(document, arrays)
    document_bytes = json.dumps(document).encode()
    write_sealed(folder, {"record.json": document_bytes} | npz_files(arrays), replace=True)


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(document: dict[str, Any], _: Any) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def array(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[Any, dict[str, Any]], None]:
    def apply(_: Any, arrays: dict[str, Any]) -> None:
        arrays[name] = change(arrays[name])

    return apply


def hole(values: np.ndarray) -> np.ndarray:
    values.flat[1] = np.nan
    return values


NETWORK = ("networks", 0)
FORGED: list[tuple[Any, str]] = [
    (put("kind", value="something else"), "kind 'something else', expected 'cbnlib record'"),
    (put("format", value=2), "format 2, expected 1"),
    (put("digest", value="0" * 64), "digest '0000.*, but its experiment has"),
    (put("experiment", "seeds", value=[4]), "but its experiment has"),
    (put("experiment", value=None), "no experiment, or no label"),
    (put("experiment", value={}), "facts of format None"),
    (put("experiment", "network", "width", value="3"), "width must be an integer"),
    (put("experiment", "extra", value=1), "not in their canonical form"),
    (put("extra", value=1), "record must have the keys"),
    (put("provenance", "seconds", value="1"), r"provenance\.seconds must be float, got str"),
    (put("provenance", "environment", "host", value=3), r"environment\.host must be str, got int"),
    (put("tasks", value=[]), "0 tasks and 1 networks, not the experiment's"),
    (put("tasks", 0, "grid", value=[9]), "does not fit the network"),
    (put("tasks", 0, "samples", value=0), "0 samples"),
    (put("tasks", 0, "samples", value=True), r"tasks\[0\]\.samples must be int, got bool"),
    (put(*NETWORK, "fit", value=None), r"networks\[0\]\.fit must be float, got NoneType"),
    (put(*NETWORK, "failure", value="it failed"), r"networks\[0\]\.fit must be NoneType"),
    (put("provenance", "environment", "processor", value='<img src=x onerror="alert(1)">'),
     "is no plain text"),
    (put("provenance", "environment", "&lt;", value=""), "is no plain text"),
    (put("provenance", "finished", value="<script>"), "is no plain text"),
    (put("tasks", 0, "name", value="<b>"), "is no plain text"),
    (put(*NETWORK, "fit", value=float("nan")), "NaN is no number of JSON"),
    (put(*NETWORK, "history", "fit", value=[]), "columns of a history differ in length"),
    (put(*NETWORK, "history", "step", 0, value=6), "steps of the history do not grow, or exceed 6"),
    (put(*NETWORK, "snapshots", value=[]), "no snapshot"),
    (put(*NETWORK, "snapshots", -1, value=7), "snapshots do not grow, or exceed 6"),
    (put(*NETWORK, "layers", value=[]), "0 layers"),
    (put(*NETWORK, "held_out", value={"samples": 1, "fit": 1.0, "accuracy": 1.0}),
     "no classification"),
    (put(*NETWORK, "layers", 0, "form", value="pickle"), "unknown form 'pickle'"),
    (put(*NETWORK, "layers", 0, "form", value="factors"), r"array '0\.convs\.0\.left' is missing"),
    (put(*NETWORK, "layers", 0, "discarded", value=1e9), "lacks"),
    (array("0.convs.1.weight", lambda a: a[:1]), r"has dtype float32 and shape \(1, 3, 8\)"),
    (array("0.convs.1.weight", lambda a: a.astype("f8")), "float64 and .* float16 or float32"),
    (array("0.convs.1.weight", hole), r"array '0\.convs\.1\.weight' holds NaN"),
    (array("0.spectra.2", hole), "holds NaN"),
    (array("0.spectra.2", lambda a: a[:-1]), "shape"),
    (array("0.activations.0", lambda a: a[:, :2]), r"\(5, 2\), expected .* and \(5, 3\)"),
    (array("0.amplitudes.1", lambda a: a[1:]), r"\(6, 5, 1\), expected .* and \(7, 5, 1\)"),
    (array("0.amplitudes.1", hole), "holds NaN"),
    (lambda _, arrays: arrays.pop("0.amplitudes.2"), r"array '0\.amplitudes\.2' is missing"),
    (lambda _, arrays: arrays.pop("0.amplitudes.0"), r"unknown array '0\.amplitudes\.1'"),
    (array("examples.0.x", lambda a: a[:5]), r"expected float32 and \(20, 1, 8\)"),
    (lambda _, arrays: arrays.pop("0.convs.2.bias"), r"array '0\.convs\.2\.bias' is missing"),
    (lambda _, arrays: arrays.update(more=np.zeros(1)), "unknown array 'more'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORGED, ids=range(len(FORGED)))
def test_sealed_but_wrong(copy: Path, change: Any, message: str) -> None:
    reseal(copy, change)
    with pytest.raises(RecordError, match=f"copy: (record.json|arrays): .*{message}"):
        load_record(copy)


def test_factors_of_no_mode_are_refused(tmp_path: Path) -> None:
    _, runs = load_or_run(tmp_path)
    layer = runs.model.convs[1]
    layer.set_blocks(bottlenecked_blocks(layer))
    save_record(tmp_path / "a", BUMP, [runs])
    assert load_record(tmp_path / "a")[1][0].model.convs[1].weight.abs().max() > 0
    reseal(tmp_path / "a", array("0.convs.1.mode", lambda a: a + 99))
    with pytest.raises(RecordError, match="names a frequency that is no mode"):
        load_record(tmp_path / "a")


def load_or_run(folder: Path) -> tuple[Experiment, Run]:
    return BUMP, run_experiment(BUMP, folder=folder / "own", progress=False)[0]


def bottlenecked_blocks(layer: CircularConv) -> torch.Tensor:
    blocks = torch.zeros_like(layer.blocks())
    blocks[0, 0, 0] = 1
    return blocks


def test_pickled_objects_and_other_files_are_refused(copy: Path) -> None:
    files = read_sealed(copy)
    write_sealed(copy, files | {"arrays.npz": npz(a=np.array([Evil()]))}, replace=True)
    with pytest.raises(RecordError, match=r"copy: arrays\.npz: array 'a' has dtype \|O"):
        load_record(copy)
    write_sealed(copy, files | {"model.pt": b"PK"}, replace=True)
    with pytest.raises(RecordError, match=r"copy: model\.pt: a record has no such file"):
        load_record(copy)
    write_sealed(copy, files | {"arrays-2.npz": files["arrays.npz"]}, replace=True)
    with pytest.raises(RecordError, match="stands in two files"):
        load_record(copy)
    write_sealed(copy, {"arrays.npz": files["arrays.npz"]}, replace=True)
    with pytest.raises(RecordError, match=r"copy: record\.json: Expecting value"):
        load_record(copy)
