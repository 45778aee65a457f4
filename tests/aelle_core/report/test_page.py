"""The page of a report: its structure, what it offers, and names that are no markup."""

import base64
import csv
import dataclasses
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from aelle_core.report import ReportData, save_networks
from aelle_core.report.conclusion import headline
from aelle_core.report.figures import figures
from aelle_core.report.inline.axes import Axis
from aelle_core.report.inline.by_epoch import epoch_picture
from aelle_core.report.inline.plane import MOST_POINTS, plane_picture
from aelle_core.report.networks import network_rows
from aelle_core.report.notable import notable
from aelle_core.report.page import picture, rendered
from tests.helpers.reports import random_report

HOSTILE = '<script>alert("1")</script>\'"&'


class Page(HTMLParser):
    """What a page consists of: ids, links, sources, elements, and its text."""

    EMPTY = ("meta", "img", "br", "path", "rect", "circle")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.elements: list[str] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        attributes = {name: value or "" for name, value in attrs}
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def html(report: ReportData) -> str:
    """The page with one figure and files beside it."""
    return rendered(report, [picture(figures["4_histograms"], report)], ["analysis/networks.csv"])


def test_every_anchor_leads_somewhere_and_nothing_leads_outside(html: str) -> None:
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert {"result", "pictures", "networks", "downloads", "details"} <= anchors <= set(page.ids)
    others = {link for link in page.links if not link.startswith(("#", "data:text/csv;base64,"))}
    assert others == {"analysis/networks.csv"}
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    for fetched in ("http://", "https://", "url(", "@import", "fetch(", "XMLHttpRequest"):
        assert fetched not in html
    assert page.elements.count("script") == 1
    assert "link" not in page.elements


def test_the_conclusion_comes_first_and_is_one_sentence(html: str, report: ReportData) -> None:
    sentence = headline(report)
    assert html.index('class="conclusion"') < html.index("<svg") < html.index("<table") < html.index("<img")
    assert sentence in html
    assert sentence.count(". ") == 0
    assert sentence.startswith("From the spectrum alone")
    few = dataclasses.replace(report, summaries=[])
    assert headline(few).startswith("The 60 networks ended with losses from 0.2")


def test_nothing_only_says_that_nothing_was_made(html: str) -> None:
    assert "A table without numbers" not in html
    assert "Not made" not in html
    assert "Cell by cell" in html


def test_a_way_to_flatten_spectra_that_is_not_installed_has_no_panel(
    report: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aelle_core.report.figures.embeddings.find_spec", lambda name: None)
    axes = figures["9_embeddings"].draw(report).axes
    assert [panel.get_title() for panel in axes if panel.collections and panel.get_title()] == ["PCA", "t-SNE", "AeLLE"]
    assert not any(text.get_text() for panel in axes for text in panel.texts)


def test_every_point_names_its_network_its_cell_settings_and_losses(html: str, report: ReportData) -> None:
    titles = [text for text in Page(html).texts["title"] if "in the fit" in text]
    assert len(titles) == len(report.final)
    row = network_rows(report)[0]
    (title,) = [text for text in titles if text.startswith(f"{row.network}:")]
    assert f"{row.cell}, 6 units" in title
    assert f"scale {report.final.hyperparameters['scale'][0]:.3g}, gain 1.5" in title
    before = report.examples_by_epoch[0].loss[0]
    assert f"before training {before:.3f}, final {row.final_loss:.3f}, predicted {row.predicted:.3f}" in title
    assert title.endswith("not seen in the fit")
    assert "gain" not in network_rows(report)[1].settings  # which that cell does not have


def test_names_are_text_and_never_markup(report: ReportData) -> None:
    """Cells, networks and titles come from plug-ins and from whoever starts a study."""
    names = {"cells": np.where(report.final.cells == "gru", HOSTILE, report.final.cells)}
    names["networks"] = np.array([f"{HOSTILE}{number}" for number in range(len(report.final))])
    examples = {epoch: dataclasses.replace(known, **names) for epoch, known in report.examples_by_epoch.items()}
    hostile = dataclasses.replace(
        report,
        title=HOSTILE,
        study=report.study | {"identity": HOSTILE, "cells": [HOSTILE]},
        examples_by_epoch=examples,
        test_networks=frozenset(map(str, names["networks"][:12])),
        good_fraction_by_cell={HOSTILE if cell == "gru" else cell: 0.5 for cell in report.good_fraction_by_cell},
        verdicts=[HOSTILE],
        classifier_descriptions=dict.fromkeys(report.classifier_descriptions, HOSTILE),
        command=HOSTILE,
        loss_name=HOSTILE,
    )
    html = rendered(hostile, [], [f"{HOSTILE}.csv"])
    assert "<script>alert" not in html
    assert Page(html).elements.count("script") == 1
    assert HOSTILE in "".join(Page(html).texts["h1"])


def test_networks_to_look_at_are_those_that_the_numbers_say(report: ReportData) -> None:
    rows = network_rows(report)
    best = notable(rows, report.threshold)[0]
    unseen = [row for row in rows if not row.seen]
    assert [row.predicted for row in best.rows] == sorted(row.predicted for row in unseen)[:4]
    made = [
        dataclasses.replace(row, predicted=predicted, final_loss=final, good=final < 1)
        for row, (predicted, final) in zip(unseen, [(0.1, 0.2), (0.2, 3), (0.3, 1.5), (2, 0.1), (3, 4)], strict=False)
    ]
    best, disappointing, underrated = notable(made, 1.0)
    assert [row.final_loss for row in best.rows] == [0.2, 3, 1.5, 0.1]
    assert [row.final_loss for row in disappointing.rows] == [3, 1.5]
    assert [row.final_loss for row in underrated.rows] == [0.1]
    assert [row.anchor for row in notable(made[:1], 1.0)] == ["best"]


def test_what_looks_at_the_loss_says_nothing_at_the_end(report: ReportData) -> None:
    drawn = epoch_picture(report)
    assert drawn is not None
    lengths = {line.name: len(line.points) for line in drawn.lines}
    assert lengths["current loss"] == 3
    assert lengths["AeLLE predictor"] == 4
    assert [epoch for _, epoch in drawn.epochs] == [0, 1, 2, 4]
    final = dataclasses.replace(report.final, goal="climate")
    running_free = dataclasses.replace(report, examples_by_epoch=report.examples_by_epoch | {4: final})
    assert (report.outcome_epoch, running_free.outcome_epoch) == (4, None)
    drawn = epoch_picture(running_free)
    assert drawn is not None
    assert {line.name: len(line.points) for line in drawn.lines}["current loss"] == 4
    alone = dataclasses.replace(report, examples_by_epoch={4: report.final})
    assert epoch_picture(alone) is None
    assert 'id="by-epoch"' not in rendered(alone, [])


def test_downloads_hold_the_numbers(html: str, report: ReportData, tmp_path: Path) -> None:
    addresses = [link.split(",")[1] for link in Page(html).links if link.startswith("data:")]
    metrics, tables = (list(csv.DictReader(io.StringIO(base64.b64decode(address).decode()))) for address in addresses)
    assert len(metrics) == len(report.summaries)
    assert float(metrics[0]["mean"]) == pytest.approx(report.summaries[0].mean)
    assert [row["row"] for row in tables] == ["rnn", "gru", "lstm"]
    parquet, flat = save_networks(report, tmp_path)
    held = pq.read_table(parquet)
    np.testing.assert_array_equal(np.array(held["spectrum"].to_pylist()), report.final.spectra)
    assert held["gain"].to_pylist()[:2] == [1.5, None]
    assert pyarrow.csv.read_csv(flat)["final_loss"].to_pylist() == report.final.final_loss.tolist()


def test_a_page_of_many_networks_stays_below_three_megabytes() -> None:
    many = random_report(4000, tuple(f"cell{number}" for number in range(12)))
    html = rendered(many, [picture(figure, many) for name, figure in figures.items() if name.startswith(("1", "2"))])
    assert len(html) < 2_500_000
    drawn = plane_picture(many, network_rows(many), {3999: "A"})
    assert MOST_POINTS <= len(drawn.points) <= MOST_POINTS + 1
    assert drawn.points[-1].mark == "A"
    assert drawn.left_out == 4000 - len(drawn.points)
    assert " networks are not drawn, chosen evenly" in html


def test_letters_cover_neither_each_other_nor_marked_networks(report: ReportData) -> None:
    """All networks to look at in one place, in the plane's corner: each letter finds room."""
    rows = network_rows(report)
    letters = dict(zip(range(8), "ABCDEFGH", strict=True))
    crowded = np.array(report.final.spectra)
    crowded[:8] = crowded[0]
    together = dataclasses.replace(report.final, spectra=crowded)
    drawn = plane_picture(
        dataclasses.replace(report, examples_by_epoch=report.examples_by_epoch | {4: together}), rows, letters
    )
    places = [(point.letter_x, point.letter_y) for point in drawn.points if point.mark]
    assert len(places) == 8
    for index, (x, y) in enumerate(places):
        assert 0 < x < drawn.width and 0 < y < drawn.height
        assert all(max(abs(x - other), abs(y - down)) > 9 for other, down in places[:index])


def test_numbers_have_their_place_on_an_axis() -> None:
    straight = Axis(0, 10, 100, 0)
    assert [straight.position(value) for value in (0, 5, 10, 20)] == [100, 50, 0, 0]
    assert [text for _, text in straight.ticks()] == ["0", "2", "4", "6", "8", "10"]
    bent = Axis(-100, 1, 0, 4, "symlog")  # -100 lies two decades below -1, and 1 is as far from -1 as they are
    assert [bent.position(value) for value in (-100, -10, -1, 0, 1)] == [0, 1, 2, 3, 4]
    assert [text for _, text in bent.ticks()] == [
        label.replace("-", "\N{MINUS SIGN}") for label in ("-100", "-30", "-10", "-3", "-1", "0", "1")
    ]
    assert Axis.around([3.0], 0, 1).position(3.0) == 0.5


def test_settings_are_listed(html: str, report: ReportData) -> None:
    assert "aelle study random" in html
    assert json.dumps(report.study["cells"]).replace('"', "&#34;") in html
