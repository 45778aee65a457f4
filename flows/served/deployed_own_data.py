"""The form of one's own data: `study` on sequences from a file."""

from typing import Any

from flows.jobs import form_of
from flows.parameters import AnalysisParameters
from flows.served.changes import Training, TrainingGroup
from flows.served.fields import Count
from flows.served.forms import AnalysisGroup, PackResources, PacksGroup, ResultsName, as_submitted
from flows.served.own_sequences import SUGGESTED, Columns, ColumnsGroup, DataName, Learn, OwnCell, Target, own_study
from flows.served.settings import ServedSettings
from flows.study import study as flow


@form_of(flow)
def own_data(
    data: DataName,
    learn: Learn = SUGGESTED,
    target: Target = "",
    cells: tuple[OwnCell, ...] = (),
    networks: Count = 16,
    results: ResultsName = "",
    columns: ColumnsGroup = Columns(),
    training: TrainingGroup = Training(),
    analysis: AnalysisGroup = AnalysisParameters(),
    packs: PacksGroup = PackResources(),
) -> Any:
    """Train networks on your own sequences, analyse their Lyapunov spectra, and write a report.

    Args:
        data: By its name below the server's data: .csv, .parquet, .npz or .npy, or a folder of these.
        learn: Classes, numbers, or the next step.
        target: By its name; empty for target or label, if there is one.
        cells: Which cells to compare; empty for rnn, gru, lstm and lem.
        networks: How many networks of each cell, each with its own learning rate and initial scale.
        results: Letters, digits, - and _; empty for the name of the data.
        columns: Which column names the sequence, which one orders its rows, and which are left out.
        training: How long and how large: epochs, units, mini-batches, ranges.
        analysis: How spectra are turned into predictions.
        packs: Cores and GPUs for the networks that are trained side by side, and what happens when they fail.
    """
    settings = ServedSettings()
    options = {"learn": "" if learn == SUGGESTED else learn, "target": target}
    study = own_study("arrays", data, options, columns, {"cells": cells, "networks": networks}, training, settings)
    asked = as_submitted(study, results, packs, settings)
    return flow.fn(asked.study, asked.directory, analysis, asked.resources)
