// SPDX-License-Identifier: Apache-2.0
// The figures of a comparison: one line a run.
'use strict';

const lineOf = run => ({color: run.color, dash: run.dash, width: 2.3});

function overlaid(curve, x, y) {
  return data.runs.filter(run => run.curves[curve]).map(run => ({
    type: 'scatter', mode: 'lines', name: run.name, legendgroup: run.name, line: lineOf(run),
    x: run.curves[curve][x], y: run.curves[curve][y], hovertemplate: '%{x:.3~g}, %{y:.1%}',
  }));
}

function shareAxes(x, y, traces) {
  const least = Math.min(1, ...traces.flatMap(trace => Array.from(trace.y).slice(Math.floor(trace.y.length * .02))));
  return {xaxis: titled(x, {range: [0, 1.02], tickformat: '.0%'}), yaxis: titled(y, {range: [Math.max(0, least - .08), 1.02], tickformat: '.0%'})};
}

function coverage() {
  const traces = overlaid('decision', 'coverage', 'precision');
  for (const run of data.runs.filter(run => run.curves.operating)) {
    traces.push({type: 'scatter', mode: 'markers', name: run.name + ', as it ran', legendgroup: run.name, showlegend: false,
      x: [run.curves.operating.coverage], y: [run.curves.operating.precision],
      marker: {size: 13, symbol: 'circle-open', color: run.color, line: {width: 3}}, hovertemplate: '%{x:.1%}, %{y:.1%}'});
  }
  return {traces, layout: shareAxes('coverage', 'precision', traces)};
}

function recall() {
  const traces = overlaid('retrieval', 'recall', 'precision');
  return {traces, layout: shareAxes('recall', 'precision', traces)};
}

function errors() {
  return {traces: overlaid('error', 'error_m', 'share'), layout: {
    xaxis: titled('position error (m)', {type: 'log', dtick: 1, exponentformat: 'none'}),
    yaxis: titled('share of poses', {range: [0, 1.03], tickformat: '.0%'}),
    shapes: data.tolerance_m ? [{type: 'line', x0: data.tolerance_m, x1: data.tolerance_m, yref: 'paper', y0: 0, y1: 1,
      line: {color: color('--soft'), width: 1.2, dash: 'dash'}}] : [],
  }};
}

function latency() {
  const names = data.runs.map(run => run.name), colors = {decode: '#e69f00', describe: '#0072b2', search: '#009e73', judge: '#cc79a7', all: '#8d99a3'};
  const known = run => Object.values(run.latency.stages).some(Number.isFinite);
  const traces = Object.keys(data.runs[0].latency.stages).map(stage => ({
    type: 'bar', orientation: 'h', name: stage, y: names, x: data.runs.map(run => run.latency.stages[stage]), marker: {color: colors[stage]},
    hovertemplate: stage + ' %{x:.1f} ms<extra></extra>'})).filter(trace => trace.x.some(Number.isFinite));
  if (!data.runs.every(known)) traces.push({type: 'bar', orientation: 'h', name: 'all stages', y: names,
    x: data.runs.map(run => known(run) ? null : run.latency.p50), marker: {color: colors.all}, hovertemplate: '%{x:.1f} ms<extra></extra>'});
  traces.push({type: 'scatter', mode: 'markers', name: '95 %', y: names, x: data.runs.map(run => run.latency.p95),
    marker: {symbol: 'line-ns-open', size: 18, color: color('--ink'), line: {width: 3}}, hovertemplate: '95 % within %{x:.1f} ms<extra></extra>'});
  return {traces, layout: {barmode: 'stack', bargap: .45, xaxis: titled('ms', {rangemode: 'tozero'}),
    yaxis: {autorange: 'reversed', type: 'category', showgrid: false}}};
}

// A heatmap with a color for each verdict; slices may lie at other times in each run.
function overTime() {
  const count = data.verdicts.length;
  const scale = data.verdicts.flatMap(({color: of}, index) => [[index / count, of], [(index + 1) / count, of]]);
  const traces = data.runs.map((run, row) => ({
    type: 'heatmap', z: [Array.from(run.gravest)], x: Array.from(run.times), y: [row - .5, row + .5], zmin: -.5, zmax: count - .5, colorscale: scale,
    showscale: false, ygap: 8, text: [Array.from(run.gravest, index => data.verdicts[index].name)],
    hovertemplate: '%{text} at %{x:.1f} s<extra>' + '</extra>'}));
  for (const {name, color: of} of data.verdicts) {
    traces.push({type: 'scatter', mode: 'markers', name, x: [null], y: [null], marker: {color: of, symbol: 'square', size: 10}});
  }
  return {traces, layout: {xaxis: titled('time (s)'), yaxis: {range: [data.runs.length - .5, -.5], showgrid: false, zeroline: false,
    tickvals: data.runs.map((_, row) => row), ticktext: data.runs.map(run => run.name)}}};
}

function start() {
  document.getElementById('plot-time').style.height = 130 + 42 * data.runs.length + 'px';
  const any = curve => data.runs.some(run => run.curves[curve]), none = 'There is no curve of these runs.';
  for (const [id, there, build] of [
    ['plot-coverage', any('decision'), coverage], ['plot-recall', any('retrieval'), recall], ['plot-error', any('error'), errors],
    ['plot-latency', true, latency], ['plot-time', true, overTime],
  ]) there ? Plots.add(id, build) : Plots.empty(id, none);
  document.documentElement.dataset.ready = 'yes';
}

start();
