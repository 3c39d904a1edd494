# SPDX-License-Identifier: Apache-2.0
"""How the numbers of a report are called, in which group each stands, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
import re

from vpr_ros.core.run_report import Report

FIXES, ACCURACY, TRUST, LOOKS, COST, JUDGED, OTHER = (
    'Poses', 'Accuracy of the poses', 'Trust', 'Recognition', 'Time and memory',
    'What was judged', 'More')
GROUPS = (FIXES, ACCURACY, TRUST, LOOKS, COST, JUDGED, OTHER)


@dataclass(frozen=True)
class Meaning:
    """`better` is 1 where more is better, -1 where less is, 0 where neither is."""

    label: str
    group: str
    better: int = 0
    unit: str = ''
    text: str = ''


_KNOWN = {
    'accepted': Meaning('frames with a pose', FIXES),
    'coverage': Meaning('coverage', FIXES, 1, '%'),
    'coverage_of_all': Meaning('coverage of all frames', FIXES, 0, '%'),
    'precision': Meaning('precision', FIXES, 1, '%'),
    'wrong_fixes': Meaning('wrong poses', FIXES, -1),
    'wrong_stretches': Meaning('wrong stretches', FIXES, -1),
    'fixes_off_map': Meaning('poses off the map', FIXES, -1),
    'wrong_fixes_per_km': Meaning('wrong poses per km', FIXES, -1, '/km'),
    'wrong_stretches_per_km': Meaning('wrong stretches per km', FIXES, -1, '/km'),
    'wrong_fixes_per_h': Meaning('wrong poses per hour', FIXES, -1, '/h'),
    'first_fix_s': Meaning('time to first fix', FIXES, -1, 's'),
    'first_fix_m': Meaning('way to first fix', FIXES, -1, 'm'),
    'position_error_m_median': Meaning('position error, median', ACCURACY, -1, 'm'),
    'position_error_m_p95': Meaning('position error, 95 %', ACCURACY, -1, 'm'),
    'heading_error_deg_median': Meaning('heading error, median', ACCURACY, -1, '°'),
    'heading_error_deg_p95': Meaning('heading error, 95 %', ACCURACY, -1, '°'),
    'calibration_error': Meaning('calibration error', TRUST, -1),
    'coverage_at_95_precision': Meaning('coverage at 95 % precision', TRUST, 1, '%'),
    'coverage_at_99_precision': Meaning('coverage at 99 % precision', TRUST, 1, '%'),
    'decision_average_precision': Meaning('average precision, belief', TRUST, 1, '%'),
    'decision_auc': Meaning('area under the curve, belief', TRUST, 1),
    'decision_recall_at_100_precision': Meaning('recall at 100 % precision, belief', TRUST, 1,
                                                '%'),
    'retrieval_average_precision': Meaning('average precision, one picture', LOOKS, 1, '%'),
    'retrieval_auc': Meaning('area under the curve, one picture', LOOKS, 1),
    'retrieval_recall_at_100_precision': Meaning('recall at 100 % precision, one picture', LOOKS,
                                                 1, '%'),
    'model_bytes': Meaning('network', COST, -1, 'MB'),
    'map_bytes': Meaning('map', COST, -1, 'MB'),
    'process_peak_bytes': Meaning('whole process', COST, 0, 'MB'),
    'frames': Meaning('frames judged', JUDGED),
    'frames_with_match': Meaning('frames with a place', JUDGED),
    'frames_without_truth': Meaning('frames without truth', JUDGED),
    'frames_not_decoded': Meaning('frames not decoded', JUDGED),
    'frames_dropped': Meaning('frames dropped', JUDGED, -1),
    'places': Meaning('places of the map', JUDGED),
    'driven_m': Meaning('way driven', JUDGED, 0, 'm'),
    'elapsed_s': Meaning('time', JUDGED, 0, 's'),
    'tolerance_m': Meaning('tolerance', JUDGED, 0, 'm'),
    'tolerance_deg': Meaning('tolerance of the heading', JUDGED, 0, '°'),
    'interval_blocks': Meaning('stretches behind the intervals', JUDGED),
}
_RECALL = re.compile(r'recall_at_(\d+)(_of_all)?$')
_STOP = re.compile(r'(latency|decode|describe|search|judge)_ms_p(\d+)$')
_PERCENTILES = {'50': 'median'}


def meaning(key: str) -> Meaning:
    """Return what is to be said of a number; one that nobody knows is called by its key."""
    text = _TEXTS.get(key, '')
    if known := _KNOWN.get(key):
        return Meaning(known.label, known.group, known.better, known.unit, text)
    if found := _RECALL.match(key):
        of_all = ' of all frames' if found[2] else ''
        return Meaning(f'recall@{found[1]}{of_all}', LOOKS, 0 if of_all else 1, '%', text)
    if found := _STOP.match(key):
        percentile = _PERCENTILES.get(found[2], f'{found[2]} %')
        return Meaning(f'{found[1]}, {percentile}', COST, -1, 'ms', text)
    if key.startswith('reasons_'):
        return Meaning(f'verdict: {key.removeprefix("reasons_")}', OTHER)
    return Meaning(key.replace('_', ' '), OTHER, 0, '', text)


_TEXTS = Report.meanings()
