"""Fixtures that are dear and therefore shared: Prefect's API, a Ray cluster and files of MNIST's shapes are made once
for the whole suite."""

import gzip
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.object_store import ObjectStore, running_object_store
from tests.helpers.side_by_side import Scheduler, file_of, group, is_whole, place

torch.set_num_threads(1)
os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported, by whichever test comes first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_whole(file_of(item.nodeid)):
            item.add_marker("whole")
        for shared, name in (("prefect_server", "cluster"), ("served", "served")):
            if shared in getattr(item, "fixturenames", ()) and group(file_of(item.nodeid)) != name:
                raise pytest.UsageError(f"{item.nodeid} uses {shared!r}: expected its file in the group {name!r}")
    items.sort(key=lambda item: place(file_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduler:
    config.option.loadscopereorder = False
    return Scheduler(config, log)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with a home of its own, named in PREFECT_API_URL; its address."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        patch.setenv("PREFECT_PROFILES_PATH", str(home / "profiles.toml"))
        patch.delenv("PREFECT_API_URL", raising=False)
        from flows.processes.server import prefect_server

        with prefect_server() as url:
            yield url


@pytest.fixture(scope="session")
def orchestration(prefect_server: str) -> Iterator[None]:
    """A Prefect server, and a local Ray cluster of two cores."""
    from flows.processes.environment import prepare_ray

    prepare_ray(local=True)
    import ray

    from flows.processes.local_cluster import LocalCluster

    # As commands do it: on a machine with much else to do, Ray gives up on its own slow parts.
    LocalCluster.start(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=128 * 2**20,
        _node_ip_address="127.0.0.1",
    )
    LocalCluster.running = None  # to the flows it is a cluster that was there before
    yield
    ray.shutdown()


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=1))


@pytest.fixture(scope="session")
def mnist_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of MNIST's shapes, whose images tell their own index."""
    directory = tmp_path_factory.mktemp("mnist")
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        index = np.arange(count)
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        images[:, 0, 0], images[:, 0, 1], images[:, 0, 2] = index // 256, index % 256, name == "train"
        write_idx(directory / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(directory / f"{name}-labels-idx1-ubyte.gz", index % 10)
    return directory


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3 server on loopback, and credentials for it in the environment."""
    with running_object_store() as server, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield server


@pytest.fixture
def bucket(object_store: ObjectStore) -> Iterator[str]:
    """A bucket of that server for one test."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    object_store.make_bucket(name)
    yield name
    object_store.fault = None


os.environ.setdefault("MPLBACKEND", "agg")
