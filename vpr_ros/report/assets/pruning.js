// SPDX-License-Identifier: Apache-2.0
// The figures of pruning runs: recall over what it costs, and the widths of the layers.
'use strict';

const SIGNS = {
  map: ['square', 'fewer bits'], pca: ['diamond', 'PCA'], 'pca + map': ['diamond-open', 'PCA, fewer bits'],
  truncation: ['x', 'first numbers'], pq: ['triangle-up', 'product quantization'], 'int8 network': ['hexagon', 'int8 network'],
};
const PUBLISHED = {memory: .79, latency: .84};   // Grainge et al., RA-L 2025
const CONTROL = '#8d99a3';
const chosen = {set: 0, places: data.places, controls: true, step: data.layers.chosen};

const growth = () => chosen.places / data.places;
const COSTS = {
  memory: {title: 'network + map (MB)', of: one => (one.model_bytes + one.map_bytes * growth()) / 1e6},
  latency: {title: 'describe + search (ms)', of: one => one.describe_ms === null ? null : one.describe_ms + one.match_ms * growth()},
  parameters: {title: 'weights (M)', of: one => one.parameters / 1e6},
};

const percent = value => (100 * value).toFixed(1) + ' %';
const html = text => String(text).replace(/[<>&]/g, sign => ({'<': '&lt;', '>': '&gt;', '&': '&amp;'})[sign]);

function told(one, title) {
  const seeds = one.seeds > 1 ? ` (mean of ${one.seeds} seeds, ${percent(one.low[chosen.set])} to ${percent(one.high[chosen.set])})` : '';
  const ms = one.describe_ms === null ? 'not timed' : `${number(one.describe_ms)} ms + ${number(one.match_ms * growth())} ms search${one.engine ? ', ' + one.engine : ''}`;
  return [`<b>${html(title)}</b>`, ...data.sets.map((name, row) => `${row === chosen.set ? '<b>' : ''}recall@1 ${percent(one.recall[row])}, ${html(name)}${row === chosen.set ? '</b>' + seeds : ''}`),
    `${number(one.parameters / 1e6)} M weights, ${number(one.dim)} numbers`,
    `${number(one.model_bytes / 1e6)} MB + ${number(one.map_bytes * growth() / 1e6)} MB of map`, ms].join('<br>');
}

function titleOf(series, one) {
  if (one.step === 0) return series.name + ': dense';
  return `${series.name}: step ${one.step}${one.chosen ? ', to take' : ''}, ${Math.round(100 * one.sparsity)} % of channels gone`;
}

// A line, above the band of its seeds; under it what is dense, over it what is to be taken.
function ofSeries(series, cost) {
  const steps = series.steps.filter(one => cost.of(one) !== null), shared = {legendgroup: series.name, name: series.name};
  const traces = [], x = steps.map(cost.of), y = one => one.recall[chosen.set];
  if (steps.some(one => one.seeds > 1)) {
    traces.push({...shared, type: 'scatter', mode: 'lines', fill: 'toself', fillcolor: series.color + '2b', line: {width: 0}, hoverinfo: 'skip', showlegend: false,
      x: [...x, ...[...x].reverse()], y: [...steps.map(one => one.low[chosen.set]), ...steps.map(one => one.high[chosen.set]).reverse()]});
  }
  traces.push({...shared, type: 'scatter', mode: 'lines+markers', x, y: steps.map(y), text: steps.map(one => told(one, titleOf(series, one))),
    line: {color: series.color, dash: series.dash, width: 2.3}, hovertemplate: '%{text}<extra></extra>',
    marker: {color: series.color, line: {color: color('--card'), width: 1},
      size: steps.map(one => one.chosen ? 17 : one.step === 0 ? 11 : 8), symbol: steps.map(one => one.chosen ? 'star' : one.step === 0 ? 'square' : 'circle')}});
  return traces;
}

function ofControls(cost) {
  if (!chosen.controls) return [];
  return Object.entries(SIGNS).map(([kind, [symbol, name]]) => {
    const found = data.controls.filter(one => one.kind === kind && cost.of(one) !== null);
    return {type: 'scatter', mode: 'markers', name, x: found.map(cost.of), y: found.map(one => one.recall[chosen.set]),
      text: found.map(one => told(one, 'dense network, ' + one.label)), hovertemplate: '%{text}<extra></extra>',
      marker: {symbol, size: 9, color: CONTROL, line: {width: 1.4, color: symbol.endsWith('open') ? CONTROL : color('--ink')}}};
  }).filter(trace => trace.x.length);
}

function over(key) {
  const cost = COSTS[key], traces = [...(key === 'parameters' ? [] : ofControls(cost)), ...data.series.flatMap(one => ofSeries(one, cost))];
  const dense = data.series[0].steps.find(one => one.step === 0), best = dense.recall[chosen.set], at = cost.of(dense);
  const soft = {color: color('--soft'), width: 1.2}, across = {type: 'line', xref: 'paper', x0: 0, x1: 1};
  const shapes = [{...across, y0: best, y1: best, line: {...soft, dash: 'dash'}}, {...across, y0: best - .01, y1: best - .01, line: {...soft, dash: 'dot', width: .8}}];
  const note = {font: {size: 11, color: color('--soft')}, showarrow: false};
  const annotations = [{...note, xref: 'paper', x: 0, xanchor: 'left', y: best, yanchor: 'bottom', text: 'dense; dotted: one point less'}];
  if (PUBLISHED[key] && at) {
    const x = at * PUBLISHED[key];
    shapes.push({type: 'line', x0: x, x1: x, yref: 'paper', y0: 0, y1: 1, line: {...soft, dash: 'dot'}});
    annotations.push({...note, x, yref: 'paper', y: 0, yanchor: 'bottom', xanchor: 'right', text: `Grainge et al. −${Math.round(100 * (1 - PUBLISHED[key]))} %`, textangle: -90});
  }
  return {traces, layout: {shapes, annotations, xaxis: titled(cost.title, {rangemode: 'tozero'}), yaxis: titled('recall@1', {tickformat: '.0%'})}};
}

// All runs, named by their gamma where it tells them apart.
function gammas() {
  const alone = one => data.series.filter(other => other.gamma === one.gamma).length === 1;
  const traces = data.series.flatMap(one => ofSeries({...one, name: alone(one) ? `gamma ${one.gamma}` : one.name}, COSTS.parameters));
  return {traces, layout: {xaxis: titled('weights (M)', {rangemode: 'tozero'}), yaxis: titled('recall@1', {tickformat: '.0%'})}};
}

function widths() {
  const {names, steps} = data.layers, at = steps.find(one => one.step === chosen.step), dense = steps[0];
  const bar = (name, one, of) => ({type: 'bar', name, x: names, y: one.outputs, marker: {color: of}, customdata: names.map((_, row) => dense.outputs[row]),
    hovertemplate: '%{x}<br>%{y} of %{customdata} channels<extra></extra>'});
  return {traces: [bar('dense', dense, color('--place')), bar('step ' + at.step, at, data.series[0].color)],
    layout: {barmode: 'overlay', bargap: .25, xaxis: {tickangle: -60, tickfont: {size: 10, color: color('--soft')}, type: 'category', showgrid: false}, yaxis: titled('channels out')}};
}

function choice(id, options, value, take) {
  const place = document.getElementById(id);
  options.forEach(([key, text]) => place.append(el('option', {value: key}, text)));
  place.value = value;
  place.addEventListener('change', () => { take(place.value); Plots.redraw(); });
}

function start() {
  choice('choose-set', data.sets.map((name, row) => [row, name]), 0, value => { chosen.set = Number(value); });
  const places = [...new Set([1000, 10000, 100000, 1000000, data.places])].sort((a, b) => a - b);
  choice('choose-places', places.map(many => [many, spaced(many) + ' places' + (many === data.places ? '' : ' (scaled)')]), data.places, value => { chosen.places = Number(value); });
  choice('choose-step', data.layers.steps.map(one => [one.step, one.step === 0 ? 'nothing: dense' : `step ${one.step}, ${Math.round(100 * one.sparsity)} % of channels gone`]), chosen.step, value => { chosen.step = Number(value); });
  document.getElementById('choose-controls').addEventListener('change', event => { chosen.controls = event.target.checked; Plots.redraw(); });
  Plots.add('plot-memory', () => over('memory'));
  data.series.some(one => one.steps.some(step => step.describe_ms !== null)) ? Plots.add('plot-latency', () => over('latency'))
    : Plots.empty('plot-latency', 'These steps were not timed.');
  Plots.add('plot-parameters', () => over('parameters'));
  new Set(data.series.map(one => one.gamma)).size > 1 ? Plots.add('plot-gamma', gammas)
    : Plots.empty('plot-gamma', `There is one gamma here, ${data.series[0].gamma}. Prune again with another (--gamma 0, 0.5, 1) into other folders and give all of them to vpr report.`);
  Plots.add('plot-widths', widths);
  document.documentElement.dataset.ready = 'yes';
}

start();
