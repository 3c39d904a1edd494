# SPDX-License-Identifier: Apache-2.0
"""What is printed: one line first, groups of numbers, a next step; never a crash for a dash."""

import io

import pytest
from rich.console import Console

from vpr_ros.bags.recording import Recording
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.print_evaluation import print_next, print_report
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.write_evaluation import write_evaluation


@pytest.fixture
def said(road, describer):
    """Evaluate a bag and return what is printed of it."""
    def say(bag, brief=False):
        with Recording([bag]) as recording:
            report = evaluate(recording, PlaceMap.load(road), describer, LocalizerConfig(),
                              QuerySource(odom='/odom'), Tolerance(1.2, 45.0)).report
        console = Console(width=150, record=True, file=io.StringIO())
        print_report(report, console, brief)
        return console.export_text()
    return say


def test_the_first_line_is_in_plain_words(drive, halves, said):
    text = said(drive('query', halves(10.3, 40)))
    first = text.strip().splitlines()[0]
    assert 'of frames got a pose, all of them right, median 0.' in first
    assert first.endswith('ms a frame; right is within 1.2 m and 45 deg')
    groups = ['pictures alone', 'decisions', 'errors of the poses', 'drive', 'latency', 'memory',
              'protocol:']
    places = [text.index(group) for group in groups]
    assert places == sorted(places)
    assert said(drive('again', halves(10.3, 40)), brief=True).strip().count('\n') == 0


def test_nothing_to_divide_by_is_no_crash(drive, halves, said):
    text = said(drive('elsewhere', halves(4000, 4010)))
    assert 'None of the 20 frames got a pose' in text
    assert 'The map has no place near any of the 20 frames' in text
    assert 'no pose was given' in text
    assert 'never' in text
    assert 'nan' not in text.lower()


def test_the_next_step_speaks_of_the_file_and_not_of_a_page_below(
        drive, halves, road, describer, tmp_path):
    out = tmp_path / 'run2.eval'
    write_evaluation([drive('query', halves(10.3, 20))], road, out, describer, LocalizerConfig(),
                     QuerySource(odom='/odom'), Tolerance(1.2, 45.0), False, False)
    console = Console(width=400, record=True, file=io.StringIO())
    print_next(out, console)
    text = console.export_text()
    assert text.startswith(f'written: {out}')
    assert 'next: ' in text
    assert 'below' not in text
    (out / 'report.html').write_text('')
    print_next(out, console)
    assert f'open {out / "report.html"}' in console.export_text()
