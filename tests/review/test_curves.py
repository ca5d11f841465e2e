"""Training curves on the page of a request."""

import re
from pathlib import Path

import pytest
from tests.review.made import BEN, NAME, House

from trace_retriever.cards.curves import Curve
from trace_retriever.review import views
from trace_retriever.review.curves import HEIGHT, MOST, WIDTH, plots
from trace_retriever.review.dossier import Dossier


def _dossier(**curves: list[float]) -> Dossier:
    found = Dossier(Path(), {})
    made = {name: Curve(name, list(range(1, len(v) + 1)), v) for name, v in curves.items()}
    found.__dict__["curves"] = made  # as if it had been read
    return found


def test_both_lines_are_on_one_scale_within_their_box() -> None:
    [plot], rest = plots(_dossier(loss=[4.0, 2.0, 1.0]), _dossier(loss=[8.0, 3.0], val_hit=[0.5]))
    assert rest == []
    assert (plot.low, plot.high, plot.end) == (1.0, 8.0, 3)
    assert plot.champion is not None
    assert (plot.own.last, plot.champion.last) == (1.0, 3.0)
    assert plot.own.points.split()[-1] == f"{WIDTH:.1f},{HEIGHT:.1f}"
    assert plot.champion.points.split()[0].endswith(",0.0")


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    [plot], [lr] = plots(_dossier(loss=[4.0, float("nan"), float("inf")], lr=[0.1]), None)
    assert (plot.own.lost, plot.own.last, plot.champion) == (2, 4.0, None)
    assert len(lr.own.points.split()) == 2
    assert plots(_dossier(loss=[float("nan")]), _dossier(loss=[1.0])) == ([], [])


def test_a_long_training_is_thinned_and_keeps_its_end() -> None:
    [plot], _ = plots(_dossier(loss=[float(value) for value in range(10_000)]), None)
    points = plot.own.points.split()
    assert len(points) <= MOST + 1
    assert points[-1] == f"{WIDTH:.1f},0.0"


def test_the_page_shows_them_beside_the_champions(house: House) -> None:
    with house.browser(BEN) as browser:
        page = browser.get(f"/requests/{house.request}").text
    [section] = re.findall(r'<section id="training">.*?</section>', page, re.DOTALL)
    assert section.count("<figure") == 3
    assert section.index("<b>loss</b>") < section.index("<b>val_hit</b>") < section.index("<b>ce</b>")
    assert "champion 1.0.0" in section
    assert section.count("<polyline") == 5  # the champion logged no `ce`


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_a_package_without_curves_says_so(own_house: House, version: str) -> None:
    found = own_house.registry.version(NAME, version)
    both = views.beside(own_house.app.state.desk, found)
    assert both.own is not None
    both.own.__dict__["curves"] = {}
    with own_house.browser(BEN) as browser:
        page = browser.get(f"/versions/{NAME}/{version}").text
    assert "The package holds no training curves" in page
