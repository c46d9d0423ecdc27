"""`python -m cbnlib.xray`: what it writes about networks, and what it says of bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracles import dense_matrix_of
from PIL import Image
from torch import nn

import cbnlib.xray.analyse
from cbnlib.spectra.activations import activation_spectra
from cbnlib.spectra.alignment import alignment
from cbnlib.spectra.modules import module_spectra
from cbnlib.spectra.response import frequency_response
from cbnlib.xray import __main__ as command
from cbnlib.xray.analyse import xray
from cbnlib.xray.images import Images
from cbnlib.xray.load import load
from cbnlib.xray.page import page

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings(
        "ignore:`torch.jit.* is (deprecated|not supported):DeprecationWarning"
    ),
]
SHAPE = (3, 12, 8)
SOURCE = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
    last = nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.ConvTranspose2d(8, 4, 2, stride=2)
    return nn.Sequential(*first, *last)

text = "no network"
def nothing():
    return text
def nan():
    made = network()
    torch.nn.init.constant_(made[3].weight, float("nan"))
    return made
def complex_weights():
    return nn.Sequential(Cast(), nn.Conv2d(3, 1, 1, dtype=torch.cfloat))
def quantised():
    return nn.Sequential(Quantise(), torch.ao.nn.quantized.Conv2d(3, 1, 3))
def narrow():
    return nn.Sequential(nn.Conv2d(3, 1, 3), nn.Conv2d(2, 1, 3))
def dense():
    return nn.Flatten()

class Cast(nn.Module):
    def forward(self, x):
        return x + 0j

class Quantise(nn.Module):
    def forward(self, x):
        return torch.quantize_per_tensor(x, 1.0, 0, torch.quint8)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same network in three forms, and a pickle."""
    made = tmp_path_factory.mktemp("xray")
    (made / "networks_to_xray.py").write_text(SOURCE, encoding="utf-8")
    names = {}
    exec(SOURCE, names)
    network = names["network"]().eval()
    x = torch.zeros(1, *SHAPE)
    torch.export.save(torch.export.export(network, (x,)), made / "exported.pt2")
    torch.jit.script(network).save(made / "scripted.pt")
    torch.save(network, made / "pickled.pt")
    return made


@pytest.mark.parametrize("source", ["networks_to_xray:network", "scripted.pt", "exported.pt2"])
def test_the_command_writes_the_values_of_module_spectra(folder, source, tmp_path):
    options = [] if source == "exported.pt2" else ["--input", "3x12x8"]
    done = subprocess.run(
        [sys.executable, "-m", "cbnlib.xray", source, "--out", tmp_path / "out", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "layer 3 of 3: 4" in done.stderr
    written = json.loads((tmp_path / "out" / "xray.json").read_text(encoding="utf-8"))
    assert (written["schema"], written["facts"]["input"]) == (1, list(SHAPE))
    assert [layer["batch_norm"] for layer in written["layers"]] == [True, False, False]
    sys.path.insert(0, str(folder))
    try:
        spectra, left_out = module_spectra(
            load(f"{folder / source}" if ":" not in source else source).model,
            torch.zeros(1, *SHAPE),
        )
    finally:
        sys.path.remove(str(folder))
    assert written["left_out"] == left_out == {}
    for layer, (name, spectrum) in zip(written["layers"], spectra.items(), strict=True):
        values = spectrum.operator_values()
        assert (layer["name"], layer["kind"]) == (name, spectrum.kind)
        assert (layer["grid"], layer["stride"]) == (list(spectrum.grid), list(spectrum.stride))
        assert layer["dimensions"] == len(values)
        assert layer["kept"] == spectrum.real_dimensions()
        assert layer["largest"] == pytest.approx(float(values[0]), rel=1e-6)
        assert layer["smallest"] == pytest.approx(float(values[-1]), rel=1e-4)
        assert max(layer["curve"]["largest"]) == pytest.approx(layer["largest"], rel=1e-5)
        assert layer["curve"]["degree"][-1] == int(spectrum.degree.max())
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert html.count("<svg") == html.count('<th scope="row"') == 3
    assert "http" not in html


BAD = {
    "pickled.pt": "reading one can run any code",
    "networks_to_xray.py": "is no file of torch.export.save or torch.jit.save",
    "nowhere.pt2": "there is no file 'nowhere.pt2'",
    "no_such_module:network": "there is no module 'no_such_module'",
    "networks_to_xray:missing": "module 'networks_to_xray' has no 'missing'",
    "networks_to_xray:text": "is no callable but str",
    "networks_to_xray:nothing": "returned no torch.nn.Module but str",
    "networks_to_xray:nan": "layer '3': weight: 288 of 288 entries are NaN",
    "networks_to_xray:complex_weights": "(1: the weight is complex)",
    "networks_to_xray:quantised": "of any layer of this network (other operations: quantized",
    "networks_to_xray:narrow": "last convolution called: '1'",
    "builtins:hasattr": "xray: builtins:hasattr was called without arguments",
    "networks_to_xray:dense": "the pass through Flatten met no convolution",
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("source", BAD)
def test_what_is_wrong_is_said(folder, source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert command.main([source, "--input", "3x8x8", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert BAD[source] in told
    assert all(line.startswith(("xray: ", "layer ")) for line in told.splitlines())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ("10", "argument --input"),
        ("3x0x8", "argument --input"),
        ("1x2x3x4x5", "argument --input"),
        ("axb", "'axb' must be channels and pixels per axis, such as 3x224x224"),
    ],
)
def test_an_input_without_spatial_axes_is_refused(shape, told, capsys):
    with pytest.raises(SystemExit):
        command.main(["a:b", "--input", shape])
    assert told in capsys.readouterr().err


def test_a_pickle_inside_an_exported_program_is_not_read(folder, tmp_path, monkeypatch):
    network = torch.export.load(folder / "exported.pt2")

    class Harm:
        def __reduce__(self):
            return exec, ("raise SystemExit('a pickle was run')",)

    network._example_inputs = ((Harm(),), {})
    with (tmp_path / "harm.pt2").open("wb") as file:
        torch.export.save(network, file)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load(str(tmp_path / "harm.pt2"))


def test_numbers_of_known_layers():
    blur = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    nn.init.constant_(blur.weight, 1 / 3)
    (layer,) = xray(blur, (1, 8), dtype=torch.float64).layers
    values = torch.tensor([1 + 2 * torch.cos(torch.tensor(torch.pi * k / 4)) for k in range(8)]) / 3
    squares = values.double().square()
    assert layer.low == pytest.approx(float(squares[[0, 1, 2, 6, 7]].sum() / squares.sum()))
    assert layer.low_if_flat == pytest.approx(5 / 8)
    assert layer.effective == pytest.approx(float(squares.sum() ** 2 / squares.square().sum()))
    assert layer.curve.largest == pytest.approx([1, 0.804738, 1 / 3, 0.138071, 1 / 3], abs=1e-5)
    pick = nn.Conv1d(1, 1, 1, stride=2, bias=False)
    nn.init.ones_(pick.weight)
    (layer,) = xray(pick, (1, 8)).layers
    assert (layer.kind, layer.flatness, layer.condition) == ("exact", pytest.approx(1), 1)
    assert layer.low == pytest.approx(5 / 8)


def test_extremes_are_the_layers_own(monkeypatch):
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)).double()
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2)
    exact = torch.linalg.svdvals(dense_matrix_of(model.eval(), 2, (6, 7)))
    (layer,) = xray(model, (2, 6, 7), dtype=torch.float64).layers
    assert layer.kind == "bound"
    assert layer.largest > layer.exact_largest == pytest.approx(float(exact[0]), rel=1e-8)
    assert layer.exact_smallest == pytest.approx(float(exact[-1]), rel=1e-8)
    assert layer.condition == pytest.approx(layer.exact_largest / layer.exact_smallest)
    monkeypatch.setattr(cbnlib.xray.analyse, "_PRODUCTS", 100)
    found = xray(model, (2, 6, 7))
    assert found.layers[0].exact_largest is found.layers[0].condition is None
    assert "with --extremes (extremes=True) (0)" in found.left_out["exact largest of 1 layers"]
    assert "--extremes" in page(found)
    found = xray(model, (2, 6, 7), extremes=True)
    assert found.layers[0].exact_largest == pytest.approx(layer.exact_largest)
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    found = xray(model, (2, 6, 7), extremes=True)
    assert 'pip install "cbnlib[xray]"' in found.left_out["exact largest of 1 layers"]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2))


def test_with_images_activations_and_response_are_measured(tmp_path):
    for i in range(3):
        pixels = np.random.default_rng(i).integers(256, size=(9 + i, 16), dtype=np.uint8)
        (tmp_path / str(i)).mkdir()
        Image.fromarray(pixels).save(tmp_path / str(i) / "noise.PNG")
    images = Images(tmp_path, (3, 8, 10))
    (batch,) = images
    assert batch.shape == (3, 3, 8, 10)
    assert float(batch.min()) < 0.2
    assert 0.8 < float(batch.max()) <= 1
    found = xray(network(), (3, 8, 10), data=images)
    aligned = {one.name: one.strongest() for one in alignment(network(), [batch])}
    for mine, one in zip(found.activations, activation_spectra(network(), [batch]), strict=True):
        assert (mine.name, mine.end, mine.samples) == (one.name, one.kind, 3)
        squares = one.spectrum.operator_values().square()
        assert mine.rms**2 * mine.dimensions == pytest.approx(float(squares.sum()), rel=0.4)
        assert mine.curve.largest[0] == pytest.approx(float(one.spectrum.values[0, 0]), rel=1e-5)
        assert mine.aligned == (None if mine.end == "output" else aligned[mine.name])
    (received, *_) = found.activations
    assert received.rms == pytest.approx(float(batch.square().mean().sqrt()))
    response = frequency_response(network(), batch)
    assert found.response.exact
    assert found.response.value[0] == pytest.approx(float(response.values[0]), rel=1e-5)
    html = page(found)
    assert html.count("<svg") == 2 + 1 + 4
    written = json.loads(json.dumps(found.to_json()))
    assert written["response"]["samples"] == 3
    scripted = torch.jit.script(network().eval())
    found = xray(scripted, (3, 8, 10), data=images)
    assert found.response.value[0] == pytest.approx(float(response.values[0]), rel=1e-5)
    assert "is a module of torch.nn" in found.left_out["activations"]


def test_a_folder_without_images_is_refused(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    options = ["networks_to_xray:network", "--data", str(tmp_path)]
    assert command.main([*options, "--input", "3x8x8"]) == 1
    assert command.main([*options, "--input", "2x8x8"]) == 1
    assert command.main([*options[:2], f"{tmp_path}/none", "--input", "3x8x8"]) == 1
    told = capsys.readouterr().err
    assert f"no image in the folder {tmp_path}" in told
    assert f"there is no folder {tmp_path}/none" in told
    assert "images have 1 or 3 channels and 2 axes, the input is 2x8x8" in told


def test_zero_weights_and_none_that_can_be_measured():
    conv = nn.Conv1d(1, 1, 1)
    nn.init.zeros_(conv.weight)
    (layer,) = xray(conv, (1, 4)).layers
    assert (layer.largest, layer.effective, layer.condition, layer.low) == (0, 0, None, None)
    page(xray(conv, (1, 4)))
    twice = nn.Conv1d(1, 1, 1)
    twice.forward = lambda x: x
    with pytest.raises(ValueError, match=r"nothing can be said of any layer.*0 convolutions act"):
        xray(twice, (1, 4))


def test_names_cannot_break_the_page():
    model = nn.Sequential()
    model.add_module("<script>alert(1)</script>", nn.Conv1d(1, 1, 1))
    html = page(xray(model, (1, 4), name="<b>"))
    assert "<script>alert" not in html
    assert "X-ray of &lt;b&gt;" in html
