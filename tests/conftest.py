"""Fixtures that are dear and therefore shared: Prefect's API and a Ray cluster start once for the whole suite."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def orchestration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect with a home of its own and its own local API, and a local Ray cluster of two cores."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        patch.setenv("PREFECT_PROFILES_PATH", str(home / "profiles.toml"))
        patch.delenv("PREFECT_API_URL", raising=False)
        from flows.environment import prepare_prefect, prepare_ray

        prepare_prefect()
        prepare_ray(local=True)
        import ray

        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=128 * 2**20,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return Path(__file__).resolve().parent.parent


os.environ.setdefault("MPLBACKEND", "agg")
