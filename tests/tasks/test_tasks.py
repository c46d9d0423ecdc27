"""Data sets: what they hold, and files that are not what they should be."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from task_cases import idx, mnist_folder

from cbnlib.tasks import bump, digits, filtered_noise, low_pass, mnist, mnist_files, reshaped_bump
from cbnlib.tasks.mnist_files import MD5, read_idx


def test_bump_copies_images_of_its_seed():
    task = bump(8, samples=3, sharpness=2.0, seed=5)
    assert torch.equal(task.x, task.y)
    assert not torch.equal(task.x, bump(8, samples=3, sharpness=2.0, seed=6).x)


def test_digits_ship_with_the_package():
    task = digits(0)
    assert task.x.shape == (178, 1, 8, 8)
    assert task.grid == (8, 8)
    assert (float(task.x.min()), float(task.x.max())) == (0.0, 1.0)
    assert task.variance == pytest.approx(float(task.y.var(dim=0, unbiased=False).sum()))


def test_all_digits_are_split_in_equal_shares():
    task = digits()
    assert task.loss == "cross_entropy"
    assert task.held_out is not None
    x, y = task.held_out
    assert (x.shape, task.x.shape) == ((497, 1, 8, 8), (1300, 1, 8, 8))
    everything = torch.cat([task.y, y]).bincount()
    assert everything.sum() == 1797
    shares = y.bincount() / everything
    assert float((shares - 497 / 1797).abs().max()) < 1 / everything.min()
    assert digits(3).held_out is None
    assert digits(margin=2).x.shape == (1300, 1, 12, 12)
    assert torch.equal(digits(3, margin=2).x[:, :, 2:-2, 2:-2], digits(3).x)
    assert torch.equal(digits(3, margin=2).x.sum(), digits(3).x.sum())
    assert torch.equal(task.x, digits().x)
    zeros = torch.cat([x[y == 0], task.x[task.y == 0]]).flatten(1).sum(dim=1)
    torch.testing.assert_close(zeros.sort()[0], digits(0).x.flatten(1).sum(dim=1).sort()[0])


@pytest.mark.parametrize("relu", [False, True])
def test_low_pass_is_its_projector(relu):
    task = low_pass([[(0, 1), (0, -1)], [(2, 2)]], (4, 4), samples=3, relu=relu, seed=1)
    y = np.zeros((3, 2, 4, 4))
    for channel, omegas in enumerate([[(0, 1), (0, 3)], [(2, 2)]]):
        x_hat = np.fft.fft2(task.x[:, channel].double().numpy())
        for omega in omegas:
            kept = np.zeros((4, 4))
            kept[omega] = 1
            y[:, channel] += np.fft.ifft2(x_hat * kept).real
    np.testing.assert_allclose(task.y, np.maximum(y, 0) if relu else y, atol=1e-6)
    assert torch.equal(task.x, low_pass([[(0, 0)]] * 2, (4, 4), samples=3, seed=1).x)


def test_reshaped_bump_keeps_place_and_scale():
    narrow = bump(16, 20, sharpness=9.0, seed=2)
    task = reshaped_bump(16, 20, sharpness=2.0, target_sharpness=9.0, scale=0.5, seed=2)
    assert torch.equal(task.x, bump(16, 20, sharpness=2.0, seed=2).x)
    torch.testing.assert_close(task.y, 0.5 * narrow.y)
    unit = reshaped_bump(16, 20, target_sharpness=9.0, scale=3.0, unit_energy=True, seed=2)
    energy = unit.y.var(dim=2, unbiased=False).sum(dim=1).mean() * 16
    assert float(energy) == pytest.approx(9.0, rel=1e-5)


def test_filtered_noise_is_white_and_its_target_the_filter():
    gains = [2.0, 1.0, 0.5, 0.0]
    task = filtered_noise(gains, 7, samples=9, seed=3)
    x = task.x[:, 0].double()
    torch.testing.assert_close(x.T @ x / 9, torch.eye(7).double(), rtol=0, atol=1e-5)
    expected = np.fft.irfft(np.fft.rfft(x.numpy()) * gains, n=7)
    np.testing.assert_allclose(task.y[:, 0], expected, atol=1e-5)


@pytest.fixture
def folder(tmp_path):
    return mnist_folder(tmp_path)


def test_mnist_from_a_folder(folder):
    zeros = mnist(0, size=14, folder=folder)
    assert zeros.x.shape == (3, 1, 14, 14)
    torch.testing.assert_close(zeros.x[:, 0, 0, 0], torch.tensor([0.0, 20.0, 40.0]) / 255)
    everything = mnist(split="test", folder=folder)
    assert everything.loss == "cross_entropy"
    assert everything.y.tolist() == [0, 1, 0, 7]
    assert everything.x.shape == (4, 1, 28, 28)
    assert everything.held_out is zeros.held_out is None


def test_mnist_holds_its_test_images_out(folder):
    task, test = mnist(size=7, folder=folder), mnist(size=7, split="test", folder=folder)
    assert task.held_out is not None
    assert torch.equal(task.held_out[0], test.x)
    assert torch.equal(task.held_out[1], test.y)
    assert len(task.x) == 5


def test_mnist_is_pooled_by_averages(folder):
    image = np.arange(28 * 28, dtype=np.uint32).astype(np.uint8).reshape(1, 28, 28)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(image))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(1, np.uint8)))
    x = mnist(0, size=7, split="test", folder=folder).x[0, 0]
    expected = image[0].reshape(7, 4, 7, 4).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(x, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "expected 3920 for shape .*truncated"),
        (lambda data: data + b"\0", "3921 bytes of data, expected 3920"),
        (lambda data: b"\0\0\x09\x03" + data[4:], "magic number 00000903, expected 00000803"),
        (lambda _: b"", "magic number , expected 00000803"),
        (lambda data: data[:10], "truncated in its header, 10 of 16 bytes"),
        (lambda data: data[:4] + b"\xff" * 12 + data[16:], "truncated or damaged"),
    ],
    ids=["truncated", "too long", "magic", "empty", "header", "shape"],
)
def test_damaged_idx_files(folder, damage, message):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(damage(gzip.decompress(path.read_bytes()))))
    with pytest.raises(ValueError, match=f"train-images-idx3-ubyte.gz: .*{message}"):
        mnist(folder=folder)


@pytest.mark.parametrize("where", ["start", "middle", "end", "cut"])
def test_damaged_gzip_files(folder, where):
    path = folder / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    if where == "cut":
        del data[len(data) // 2 :]
    else:
        data[{"start": 0, "middle": len(data) // 2, "end": len(data) - 6}[where]] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: damaged gzip file"):
        mnist(folder=folder)


def test_labels_file_in_place_of_images(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    with pytest.raises(ValueError, match="magic number 00000801, expected 00000803"):
        read_idx(path, axes=3)


def test_images_that_do_not_fit_the_labels(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(4, np.uint8))))
    with pytest.raises(ValueError, match="do not fit 4 labels"):
        mnist(folder=folder)


def test_download_is_checked_and_cached(folder, tmp_path, monkeypatch):
    """The download's whole path against a mirror on disk: right checksum, then a wrong one."""
    cache = tmp_path / "cache"
    source = {name: (folder / name).read_bytes() for name in MD5 if "train" in name}
    fetched = []

    def fetch(url, output_file, *_):
        fetched.append(url.rsplit("/", 1)[1])
        Path(output_file).write_bytes(source[fetched[-1]])

    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)
    monkeypatch.setattr("pooch.core.choose_downloader", lambda *_, **__: fetch)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in source.items()}
    monkeypatch.setattr(mnist_files, "MD5", sums)
    assert len(mnist(0).x) == 3
    assert len(mnist(0).x) == 3
    assert sorted(fetched) == sorted(source)  # once each
    monkeypatch.setattr(mnist_files, "MD5", MD5)
    with pytest.raises(ValueError, match=r"(?i)hash of downloaded file .* does not match"):
        mnist(0)
