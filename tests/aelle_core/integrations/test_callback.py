"""Spectra during training: plain loops, Lightning, skorch, and the trackers, each with the real library."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aelle_core import SpectrumCallback
from aelle_core.foundation.errors import UserError

INPUTS = torch.randn(8, 12, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 2


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(3, 5, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.readout = nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.readout(self.dropout(self.layer(inputs)[0][:, -1]))


def trained(watch: Callable[[nn.Module], object], steps: int = 6) -> nn.Module:
    torch.manual_seed(0)
    model = Classifier()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(INPUTS), LABELS).backward()
        optimiser.step()
        watch(model)
    return model


def test_a_plain_loop_gets_a_spectrum_every_so_many_steps() -> None:
    kept: list[Any] = []
    watch = SpectrumCallback(INPUTS, every=2, log=kept, budget=None)
    model = trained(watch)
    assert [step for step, _ in kept] == [0, 2, 4]
    assert kept == watch.history
    assert not np.allclose(kept[0][1].exponents, kept[-1][1].exponents)
    assert model.training


def test_training_is_the_same_with_and_without_it() -> None:
    watched = trained(SpectrumCallback(INPUTS, every=1, budget=None))
    alone = trained(lambda model: None)
    for weight, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(weight, other)


def test_what_would_exceed_the_budget_is_skipped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0.0, 1e4))
    monkeypatch.setattr("aelle_core.integrations.callback.time.perf_counter", lambda: float(next(clock)))
    watch = SpectrumCallback(INPUTS, every=1, budget=0.25)
    model = Classifier()
    for _ in range(40):
        watch(model)
    assert len(watch.history) + watch.skipped == 40
    assert watch.skipped > len(watch.history) > 2


def test_lines_of_json_hold_every_exponent(tmp_path: Path) -> None:
    path = tmp_path / "spectra.jsonl"
    trained(SpectrumCallback(INPUTS, every=3, log=path, budget=None))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 3]
    assert len(lines[0]["exponents"]) == 5


def test_lightning_calls_it_after_batches(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="needs the extra 'development'")

    class Module(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = Classifier()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.model(inputs)

        def training_step(self, batch: Any, _: int) -> Tensor:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    watch = SpectrumCallback(INPUTS, every=2, budget=None)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(INPUTS, LABELS), batch_size=2)
    trainer = lightning.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[watch.lightning()],
    )
    trainer.fit(Module(), loader)
    assert [step for step, _ in watch.history] == [0, 2]


def test_skorch_calls_it_after_batches() -> None:
    skorch = pytest.importorskip("skorch", reason="needs the extra 'development'")
    watch = SpectrumCallback(INPUTS, every=2, budget=None)
    net = skorch.NeuralNetClassifier(
        Classifier,
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        batch_size=2,
        train_split=None,
        verbose=0,
        callbacks=[watch.skorch()],
    )
    net.fit(INPUTS.numpy(), LABELS.numpy())
    assert [step for step, _ in watch.history] == [0, 2]


def test_tensorboard_gets_scalars(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'development'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        watch = SpectrumCallback(INPUTS, every=2, log=writer, budget=None)
        trained(watch)
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Scalars("lyapunov/largest")
    assert [scalar.step for scalar in scalars] == [0, 2, 4]
    assert scalars[0].value == pytest.approx(watch.history[0][1].maximum)


def test_mlflow_gets_metrics(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra 'development'")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with mlflow.start_run() as run:
        watch = SpectrumCallback(INPUTS, every=3, log="mlflow", budget=None)
        trained(watch)
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "lyapunov/largest")
    assert [metric.step for metric in history] == [0, 3]
    assert history[0].value == pytest.approx(watch.history[0][1].maximum)


def test_weights_and_biases_gets_numbers_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="needs the extra 'development'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(dir=str(tmp_path), project="aelle")
    watch = SpectrumCallback(INPUTS, every=3, log=run, budget=None)
    trained(watch)
    assert run.summary["lyapunov/largest"] == pytest.approx(watch.history[-1][1].maximum)
    assert run.summary["lyapunov/step"] == 3
    run.finish()


def test_what_is_no_destination_is_refused() -> None:
    with pytest.raises(UserError, match=r"log=3: expected a list, a function"):
        SpectrumCallback(INPUTS, log=3)
    with pytest.raises(UserError, match=r"every=0"):
        SpectrumCallback(INPUTS, every=0)
    with pytest.raises(UserError, match=r"budget=2"):
        SpectrumCallback(INPUTS, budget=2)
