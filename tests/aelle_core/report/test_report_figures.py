"""Figures, kept tables and `aelle paper`, from a small study that was really run."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from typer.testing import CliRunner

from aelle_core.aelle.estimator import AeLLE
from aelle_core.analysis.kept_tables import kept_tables
from aelle_core.analysis.prepare import prepare_analysis
from aelle_core.analysis.report import report_data
from aelle_core.analysis.saved import fit_aelle, save_analysis, saved_measurements
from aelle_core.cells import cells
from aelle_core.cli.main import app
from aelle_core.evaluation import classifiers, evaluate_split, summarise, verdicts
from aelle_core.foundation.errors import UserError
from aelle_core.pretrained import manifest
from aelle_core.report import ReportData
from aelle_core.report.figures import figures
from aelle_core.report.figures.early import Early
from aelle_core.report.page import picture, save_figures, write_report
from aelle_core.report.palette import cell_styles
from aelle_core.study import RunDirectory, Study, run_study

SETTINGS = {"splits": 2, "seed": 0, "regress": "log"}
STUDY = Study(
    cells=("rnn", "gru", "lem"), units=(4, 6, 8), networks=6, epochs=2, spectra=("hidden", "full"), pack_size=6
)

OF_FREE_RUNS = ("0_free_runs", "1_spectra_of_good_and_bad", "5_loss_against_free_runs")
DRAWN = [name for name in figures if name not in OF_FREE_RUNS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("runs") / "small")
    run_study(STUDY, directory, way="packed")
    analysis = prepare_analysis(directory.store, STUDY, splits=2, seed=0)
    parameters = {"steps": 5, "random_state": 0}
    measurements = [
        measurement
        for split in analysis.splits
        for measurement in evaluate_split(
            analysis.examples, split, threshold=analysis.threshold, aelle_parameters=parameters, seed=0
        )
    ]
    save_analysis(directory, measurements, fit_aelle(analysis, STUDY, parameters), SETTINGS)
    return directory


@pytest.fixture(scope="module")
def data(run: RunDirectory) -> ReportData:
    return report_data(run)


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_as_png_and_svg(name: str, data: ReportData, tmp_path: Path) -> None:
    drawn = picture(figures[name], data)
    assert not drawn.absent
    assert drawn.png.startswith(b"\x89PNG")
    assert ElementTree.fromstring(drawn.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert drawn.figure.title
    assert drawn.figure.caption
    files = save_figures([drawn], tmp_path)
    assert [path.name for path in files] == [f"{name}.png", f"{name}.svg"]


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_opaque_and_its_legends_are_whole(name: str, data: ReportData) -> None:
    """Dark text is read on a dark page too; a legend is not cut, however narrow the figure of a single cell is."""
    one_cell = dataclasses.replace(data, good_fraction_by_cell={"gru": 0.5})
    for shown in (data, one_cell):
        figure, stream = figures[name].draw(shown), io.BytesIO()
        figure.savefig(stream, format="png", dpi=60)
        pixels = imread(io.BytesIO(stream.getvalue()))
        assert pixels.shape[2] == 3 or pixels[..., 3].min() == 1
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1


def test_the_plane_says_what_rings_and_the_line_are(data: ReportData) -> None:
    """Without a word beside it, for pictures are shown alone."""
    for name in ("2_plane_by_accuracy", "3_plane_by_scale", "3_plane_by_size"):
        assert legend_of(figures[name].draw(data)) == ["not seen in the fit", "median of component 1"]
    seen = dataclasses.replace(data, test_networks=frozenset())
    assert legend_of(figures["3_plane_by_scale"].draw(seen)) == ["median of component 1"]
    assert legend_of(figures["9_embeddings"].draw(data)) == ["unseen by AeLLE"]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("epoch", [0, 2])
def test_all_that_the_verdict_names_is_in_the_early_figure(epoch: int, run: RunDirectory, data: ReportData) -> None:
    measurements = saved_measurements(run)
    for name, kind in classifiers.items():
        if kind.uses_loss and epoch:
            continue  # the outcome itself takes no part in the contest at the end
        ahead = [
            dataclasses.replace(measurement, f1=0.999)
            if (measurement.classifier, measurement.epoch) == (name, epoch)
            else measurement
            for measurement in measurements
        ]
        assert f"{name} (F1 0.999" in " ".join(verdicts(ahead, data.last_epoch))
        figure = Early.draw(dataclasses.replace(data, summaries=summarise(ahead)))
        legend = figure.axes[0].get_legend()
        assert legend is not None
        assert name in [text.get_text() for text in legend.get_texts()]


def test_panels_without_a_cell_are_hidden(data: ReportData) -> None:
    six = dataclasses.replace(data, good_fraction_by_cell=dict.fromkeys(["rnn", "gru", "lem", "x", "y", "z"], 0.5))
    drawn = figures["1_spectra_by_cell"].draw(six)
    assert [axes.get_visible() for axes in drawn.axes] == [True] * 6 + [False] * 4


def test_the_report_says_which_networks_choose_cuts(data: ReportData, tmp_path: Path) -> None:
    for task, part in (("digits", "validation"), ("charlm", "training")):
        other = dataclasses.replace(data, study=data.study | {"task": task})
        page = write_report(other, [], tmp_path / "report.html").read_text()
        assert f"The networks that choose cuts are here the {part} networks." in page


def test_aelle_paper_draws_the_figures_of_a_study(run: RunDirectory, tmp_path: Path) -> None:
    """Those of the report, measured in the same way, but for that of the task."""
    done = CliRunner().invoke(app, ["paper", str(run), "--splits", "2", "--figures", str(tmp_path / "pictures")])
    assert done.exit_code == 0, done.output
    drawn_files = {path.name for path in (tmp_path / "pictures" / STUDY.identity).iterdir()}
    assert drawn_files == {f"{name}.{suffix}" for name in DRAWN if name != "0_task" for suffix in ("png", "svg")}
    (tmp_path / "file").touch()
    refused = CliRunner().invoke(app, ["paper", str(run), "--splits", "2", "--figures", str(tmp_path / "file")])
    assert "--figures" in str(refused.exception)
    assert "expected a directory" in str(refused.exception)


def test_an_svg_is_the_same_every_time(data: ReportData) -> None:
    assert picture(figures["4_histograms"], data).svg == picture(figures["4_histograms"], data).svg


def test_what_cannot_be_drawn_is_left_out(data: ReportData, tmp_path: Path) -> None:
    lonely = dataclasses.replace(data, illustration="no data here")
    drawn = picture(figures["0_task"], lonely)
    assert drawn.absent == "no data here"
    assert save_figures([drawn], tmp_path) == []
    page = write_report(lonely, [drawn], tmp_path / "report.html").read_text()
    assert "no data here" not in page
    assert 'id="figure-0_task"' not in page


def test_every_cell_has_a_colour_and_a_mark_of_its_own() -> None:
    colours, marks = zip(*cell_styles(list(cells)[:12]).values(), strict=True)
    assert len(set(colours)) == len(set(marks)) == 12  # as many as people can tell apart
    assert len(set(cell_styles(list(cells)).values())) == len(cells)
    assert len(set(cell_styles([str(number) for number in range(100)]).values())) == 100


def test_stages_are_the_nearest_epochs(data: ReportData) -> None:
    assert data.stages(0, 0.1, 0.5, 1) == [0, 1, 2]
    assert data.known.isdisjoint(data.test_networks)
    assert data.groups is not None
    assert data.groups[0] == "cell"


def test_kept_tables_are_made_once_and_again_where_anything_differs(
    run: RunDirectory, data: ReportData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    origin = json.loads((run.analysis / "tables.json").read_text())["origin"]
    assert {"identity", "data", "makers", "libraries", *SETTINGS} < set(origin)
    settings = {name: value for name, value in origin.items() if name not in ("format", "makers", "libraries")}
    path = tmp_path / "tables.json"  # other tests make the run's own again, with other settings
    assert kept_tables(path, settings, lambda: data.tables) == data.tables

    def never() -> list:
        raise AssertionError

    held = kept_tables(path, settings, never)
    assert [table.name for table in held] == [table.name for table in data.tables]
    np.testing.assert_equal([dataclasses.astuple(e) for e in held[0].entries], [
        dataclasses.astuple(e) for e in data.tables[0].entries
    ])  # fmt: skip
    for other in ({"splits": 3}, {"data": "0" * 64}):
        with pytest.raises(AssertionError):
            kept_tables(path, settings | other, never)
    with monkeypatch.context() as patch:
        patch.setattr("aelle_core.analysis.kept_tables.MAKERS_VERSION", -1)
        with pytest.raises(AssertionError):
            kept_tables(path, settings, never)
    with monkeypatch.context() as patch:
        patch.setattr("aelle_core.analysis.kept_tables.version", lambda name: "99")
        with pytest.raises(AssertionError):
            kept_tables(path, settings, never)
    assert kept_tables(path, settings, never)
    broken = path.with_name("broken.json")
    broken.write_text("{}")
    with pytest.raises(UserError, match=r"broken\.json' cannot be read"):
        kept_tables(broken, settings, never)


def test_aelle_paper_prints_and_writes_every_table(run: RunDirectory, data: ReportData, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["paper", str(run), "--splits", "2", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Table 1: the pre-trained AeLLE" in done.output
    assert "The paper has numbers for charlm, smnist, target_learning; none for digits." in " ".join(
        done.output.split()
    )
    with (tmp_path / f"{STUDY.identity}.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["table"] for row in rows} == {table.name for table in data.tables if table.entries}
    assert "| LE mean |" in (tmp_path / f"{STUDY.identity}.md").read_text()


def test_aelle_paper_refuses_what_is_no_run(tmp_path: Path) -> None:
    other = CliRunner().invoke(app, ["paper", str(tmp_path)])
    assert isinstance(other.exception, UserError)
    assert "no study in" in str(other.exception)
    assert f"that ships with the package: {', '.join(manifest())}" in str(other.exception)
    assert "--regress 'x'" in str(CliRunner().invoke(app, ["paper", str(tmp_path), "--regress", "x"]).exception)


def test_the_model_of_the_tables_is_the_reports_plane(data: ReportData) -> None:
    """The first components do not depend on how many are kept."""
    few = AeLLE(steps=20, random_state=0).fit(data.final.spectra, data.final.final_loss)
    many = AeLLE(steps=20, random_state=0, components=10).fit(data.final.spectra, data.final.final_loss)
    np.testing.assert_allclose(few.transform(data.final.spectra), many.transform(data.final.spectra)[:, :2])
