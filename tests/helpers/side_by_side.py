"""Which tests are quick, which share a process where several run them (pytest -n), and which of them come first."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_CLUSTER = (
    "tests/aelle_core/integrations/test_ray_tune.py",
    "tests/faults/test_disk.py",
    "tests/faults/test_nodes.py",
    "tests/faults/test_packs.py",
    "tests/flows/test_study_flow.py",
    "tests/served/test_work_pools.py",
)
_FIRST = ("faults", "served", "deployments", "flows", "security", "benchmarks")


_WHOLE = ("fuzz", "served", "faults", "deployments", "security", "benchmarks", "package")
_WHOLE_FILES = (
    "tests/aelle_core/analysis/test_forecasters.py",
    "tests/aelle_core/analysis/test_joint.py",
    "tests/aelle_core/evaluation/test_protocol.py",
    "tests/aelle_core/foundation/test_plugins.py",
    "tests/aelle_core/lyapunov/test_householder_kernel.py",
    "tests/aelle_core/lyapunov/test_lyapunov_reference.py",
    "tests/aelle_core/study/test_without_plugins.py",
    "tests/aelle_core/systems/test_known_systems.py",
    "tests/aelle_core/store/test_store_on_gcs.py",
    "tests/aelle_core/store/test_store_on_s3.py",
    "tests/aelle_core/report/test_page_in_browser.py",
    "tests/docs/test_long_pages.py",
    "tests/docs/test_notebooks.py",
    "tests/aelle_core/report/test_free_run_figures.py",
    "tests/aelle_core/report/test_report_figures.py",
    "tests/aelle_core/evaluation/test_paper_tables.py",
    "tests/aelle_core/analysis/test_croissant.py",
    "tests/aelle_core/analysis/test_shipped.py",
    "tests/aelle_core/training/test_sparse_forcing.py",
    "tests/contracts/test_ways.py",
    "tests/aelle_core/integrations/test_ray_tune.py",
    "tests/flows/test_orphans.py",
    "tests/flows/test_server.py",
)


def is_whole(file: str) -> bool:
    """Return whether a file's tests belong to the whole (`make test-all`) and not to the quick ones (`make test`):
    those that start servers and clusters, except one study, those that wait, and those of many combinations or of many
    drawn inputs."""
    return PurePosixPath(file).parts[1] in _WHOLE or file in _WHOLE_FILES


def group(file: str) -> str:
    """What is run by one process, one after the other: the tests that share a server and a cluster; the other tests of
    faults, which kill what they start; those of `aelle serve`; those of deployments, whose hosts share a disk; any
    other file by itself."""
    directory = PurePosixPath(file).parent.name
    if file in _CLUSTER:
        return "cluster"
    return directory if directory in ("faults", "served", "deployments") else file


def file_of(test: str) -> str:
    """The file of a test, given its id."""
    return test.split("::")[0]


def place(file: str) -> int:
    """Where a file comes: those that wait for servers first, so that the rest fills the time."""
    directory = PurePosixPath(file).parent.name
    return _FIRST.index(directory) if directory in _FIRST else len(_FIRST)


class Scheduler(LoadScopeScheduling):
    """Gives groups to whichever process is free. (pytest-xdist's own way, a mark, does nothing under pytest 9.2:
    pytest-dev/pytest-xdist#1386.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(file_of(nodeid))
