"""The form for forecasters: `study` on a known system, or on series of one's own."""

from typing import Any

from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.changes import Training, TrainingGroup
from flows.served.fields import Count
from flows.served.forms import AnalysisGroup, PackResources, PacksGroup, ResultsName, as_submitted
from flows.served.known_systems import ForecastCell, SystemName, study_of_system
from flows.served.own_sequences import Columns, ColumnsGroup, OptionalDataName, own_study
from flows.served.settings import ServedSettings
from flows.study import study as flow


@form_of(flow)
def forecast(
    system: SystemName = "lorenz63",
    data: OptionalDataName = "",
    cells: tuple[ForecastCell, ...] = (),
    networks: Count = 40,
    results: ResultsName = "",
    columns: ColumnsGroup = Columns(),
    training: TrainingGroup = Training(),
    analysis: AnalysisGroup = AnalysisParameters(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Train forecasters, analyse their Lyapunov spectra, and write a report.

    Forecasters are judged by how well they keep the statistics of the system, or of the end of your own series, which
    none was trained on, when they run on their own output.

    Args:
        system: The dynamical system whose next step networks learn.
        data: In place of the system: a file or directory by its name below the server's data.
        cells: Which cells to compare; empty for gru, lstm, plrnn and esn.
        networks: How many networks of each cell, each with its own learning rate and initial scale.
        results: Letters, digits, - and _; empty for forecast- and the system, or the name of the data.
        columns: Of your own series: which column names the series, which one orders its rows, and which are left out.
        training: How long and how large: epochs, units, mini-batches, ranges.
        analysis: How spectra are turned into predictions.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    settings = ServedSettings()
    changes = {"cells": cells, "networks": networks}
    study = (
        own_study("own-series", data, {}, columns, changes, training, settings)
        if data
        else study_of_system(system, changes, training)
    )
    asked = as_submitted(study, results, packs, settings)
    return flow.fn(asked.study, asked.directory, analysis, asked.resources)
