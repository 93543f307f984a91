"""The known data sets: their files, hashes, licences and addresses, and how they are fetched."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import data_formats as formats
from .data_formats import Blobs, Raw

Scale = Literal["unit", "standard", "minmax", "none"]


@dataclass(frozen=True)
class Known:
    """A set that is known by name.

    `files` are paths below the data directory; `full_scale` is what "unit" divides by; `url` is
    the folder that holds the files, or None where no official one does. scikit-learn's embedded
    sets have no `read` and no files.
    """

    read: Callable[[Blobs], Raw] | None
    files: tuple[str, ...]
    licence: str
    source: str
    scale: Scale = "standard"
    full_scale: float | None = None
    url: str | None = None


def data_directory() -> Path:
    """Return where data files lie: HWLOOP_DATA_DIR, else ../shared/data, else pooch's cache."""
    named = os.environ.get("HWLOOP_DATA_DIR")
    if named:
        return Path(named).expanduser()
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    if shared.is_dir():
        return shared
    import pooch

    return Path(pooch.os_cache("hwloop"))


def fetch(name: str, directory: Path | None, download: bool) -> tuple[Raw, str]:
    """Return the set `name` and its fingerprint: lines of sha256sum, or scikit-learn's version.

    Raises ValueError where a file is missing or is not the one that is known, and where a
    download fails.
    """
    known = KNOWN[name]
    if known.read is None:
        raw, version = _embedded_in_sklearn(name)
        return raw, f"scikit-learn {version}"
    folder = data_directory() if directory is None else Path(directory)
    if download and known.url is not None:
        for file in known.files:
            _download(f"{known.url}/{Path(file).name}", folder / file, SHA256[file])
    blobs = [(file, _verified(name, folder, file)) for file in known.files]
    return known.read(blobs), "\n".join(f"{SHA256[file]}  {file}" for file in known.files)


def _embedded_in_sklearn(name: str) -> tuple[Raw, str]:
    """Return one of scikit-learn's embedded sets, and the version of scikit-learn."""
    import sklearn
    from sklearn import datasets

    found: Any = getattr(datasets, f"load_{name}")()
    shape = (1, *found.images.shape[1:]) if "images" in found else found.data.shape[1:]
    classes = tuple(str(title) for title in found.target_names)
    return formats.in_order(found.data, found.target, shape, classes, 0), str(sklearn.__version__)


def _download(url: str, target: Path, digest: str) -> None:
    import pooch

    try:
        pooch.retrieve(url, f"sha256:{digest}", target.name, target.parent)
    except (OSError, ValueError) as error:
        raise ValueError(f"{url} could not be fetched to {target}: {error}") from error


def _verified(name: str, folder: Path, file: str) -> bytes:
    known = KNOWN[name]
    again = (
        f"set [data] download = true (download=True in Python), which fetches it from {known.url}"
        if known.url is not None
        else f"get it from {known.source}, or load a copy of your own by its path, as 'csv' or "
        "'npz'"
    )
    try:
        blob = (folder / file).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name} needs the file {file}, which cannot be read in {folder} ({error.strerror}); "
            f"set HWLOOP_DATA_DIR to the folder that holds it, or {again}"
        ) from None
    found = hashlib.sha256(blob).hexdigest()
    if found != SHA256[file]:
        raise ValueError(
            f"{folder / file} is cut short or is another file: {len(blob)} bytes of sha256 "
            f"{found}, expected sha256 {SHA256[file]}; delete it and {again}"
        )
    return blob


_SHA256SUMS = """\
3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84  fashion-mnist/train-images-idx3-ubyte.gz
a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845  fashion-mnist/train-labels-idx1-ubyte.gz
346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073  fashion-mnist/t10k-images-idx3-ubyte.gz
67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5  fashion-mnist/t10k-labels-idx1-ubyte.gz
440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  mnist/train-images-idx3-ubyte.gz
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c  mnist/train-labels-idx1-ubyte.gz
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6  mnist/t10k-images-idx3-ubyte.gz
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6  mnist/t10k-labels-idx1-ubyte.gz
d5de7683d3f827a5b44cc75966e019999d0781c69e5bfecaa9de8f927fc9b821  cifar10/data_batch_1.bin.xz
6f98fa4aa6bc45118bc106e07a8e07eb403609364ddaca1ee739d9127c68b291  cifar10/test_batch.bin.xz
ed61db0c277963578a61626244dc832eedb5107250096a9aca714a7064a5def4  uci/breast_cancer_wisconsin_original.csv
204b8ed70b0943e810f0fb0c2b493cf88a221141d55126d55f46d76a6693e281  uci/cardiotocography.csv
c0e8a55265827127789aae55250ef4a7e1e2efee2ca2f31da9f0a3349299b16c  uci/pendigits_train.csv
6bb015945288925e74b312be8edeb869b71559947eebfebe12214c9314b23c3a  uci/pendigits_test.csv
228372b9c106bcbb50ce14bb616873495975bd761d2641cfd02900427f1ff8be  uci/winequality_red.csv
0f9b72c6f593bd8b91edc4f5584f0939849e843c3584a4a2fa5b6f2e25be5277  uci/winequality_white.csv
0872be7277a69fcabd9f3170dc390618c0779c3ae85133cd9b6faae709994d5e  uci/seeds.csv
542bbca391219a2c104e501f76bfc2768840240de7cc98c128bbece505e5db9d  uci/vertebral_column_2C.csv
6c2ad5c883548336407be017627316c5350dc62f4b2b512baf64fcca398fcada  uci/vertebral_column_3C.csv
3c08ae3b5fe139068b9410a9804ca4cdd15bb776353efa4ae4b4ef2e7118966e  graphs/cora.npz
"""  # noqa: E501

SHA256: dict[str, str] = {file: sha for sha, file in map(str.split, _SHA256SUMS.splitlines())}
"""The sha256 of each known file, by its path below the data directory."""


def _images(folder: str, classes: tuple[str, ...], licence: str, source: str, url: str) -> Known:
    ends = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
    files = tuple(f"{folder}/{part}-{end}" for part in ("train", "t10k") for end in ends)
    read = functools.partial(formats.idx, classes=classes)
    return Known(read, files, licence, source, "unit", 255, url)


def _uci(title: str, *files: str, column: str | None = None, drop: tuple[str, ...] = ()) -> Known:
    return Known(
        functools.partial(formats.table, column=column, drop=drop),
        tuple(f"uci/{file}.csv" for file in files),
        "CC BY 4.0 (UCI)",
        f"UCI Machine Learning Repository, {title} (as CSV: header line, class last)",
    )


def _embedded(title: str, scale: Scale = "standard", full_scale: float | None = None) -> Known:
    return Known(None, (), "BSD-3-Clause (as part of scikit-learn)", title, scale, full_scale)


_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CIFAR = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

KNOWN: dict[str, Known] = {
    "digits": _embedded("scikit-learn load_digits: 8 x 8 digits, the UCI test part", "unit", 16),
    "iris": _embedded("scikit-learn load_iris"),
    "wine": _embedded("scikit-learn load_wine"),
    "breast_cancer": _embedded("scikit-learn load_breast_cancer: Wisconsin, diagnostic"),
    "mnist": _images(
        "mnist",
        tuple("0123456789"),
        "CC BY-SA 3.0",
        "LeCun, Cortes, Burges: the MNIST database of handwritten digits",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
    ),
    "fashion_mnist": _images(
        "fashion-mnist",
        _FASHION,
        "MIT",
        "Xiao, Rasul, Vollgraf (Zalando): Fashion-MNIST",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    "cifar10": Known(
        functools.partial(formats.cifar, classes=_CIFAR),
        ("cifar10/data_batch_1.bin.xz", "cifar10/test_batch.bin.xz"),
        "none stated",
        "Krizhevsky: CIFAR-10, binary version (each .bin packed by xz)",
        "unit",
        255,
    ),
    "cora": Known(
        functools.partial(formats.planetoid, classes=tuple("0123456")),
        ("graphs/cora.npz",),
        "none stated for the underlying LINQS data",
        "Yang, Cohen, Salakhutdinov: Planetoid's ind.cora files (as npz without pickles)",
        "none",
        1,
    ),
    "pendigits": _uci(
        "Pen-Based Recognition of Handwritten Digits", "pendigits_train", "pendigits_test"
    ),
    "breast_cancer_wisconsin": _uci(
        "Breast Cancer Wisconsin (Original)", "breast_cancer_wisconsin_original"
    ),
    "cardiotocography": _uci("Cardiotocography", "cardiotocography", column="NSP", drop=("CLASS",)),
    "winequality_red": _uci("Wine Quality, red", "winequality_red"),
    "winequality_white": _uci("Wine Quality, white", "winequality_white"),
    "seeds": _uci("Seeds", "seeds"),
    "vertebral_2c": _uci("Vertebral Column, two classes", "vertebral_column_2C"),
    "vertebral_3c": _uci("Vertebral Column, three classes", "vertebral_column_3C"),
}
