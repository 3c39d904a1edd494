// SPDX-License-Identifier: Apache-2.0
// The figures of a compression: recall over the file's size, where its bytes go, what layers bear.
'use strict';

const RUN = '#0072b2', SIGNS = ['diamond', 'triangle-up', 'x', 'hexagon', 'pentagon', 'cross', 'star-diamond', 'bowtie'];
const PARTS = [['indices', 'which value', '#0072b2'], ['gaps', 'where', '#56b4e9'], ['codebooks', 'the values', '#009e73'],
  ['plain', 'numbers that share none', '#e69f00'], ['rest', 'graph and card', '#8d99a3']];
const chosen = {set: 0};

const percent = value => (100 * value).toFixed(1) + ' %';
const html = text => String(text).replace(/[<>&]/g, sign => ({'<': '&lt;', '>': '&gt;', '&': '&amp;'})[sign]);
const megabytes = bytes => bytes / 1e6;

function told(one, title) {
  return [`<b>${html(title)}</b>`, ...data.sets.map((name, row) => `recall@1 ${percent(one.recall[row])}, ${html(name)}`),
    `${number(megabytes(one.packed_bytes))} MB packed, 1/${number(one.weights_bytes / one.packed_bytes)} of its float weights`].join('<br>');
}

function titleOf(step) {
  if (step.step === 0) return 'dense';
  const what = step.kind === 'shared' ? 'weights shared' : `${Math.round(100 * step.sparsity)} % of weights zero`;
  return `step ${step.step}, ${what}${step.chosen ? ', to take' : ''}`;
}

function overSize() {
  const recall = one => one.recall[chosen.set], steps = data.steps;
  const traces = [{type: 'scatter', mode: 'lines+markers', name: data.name, x: steps.map(one => megabytes(one.packed_bytes)), y: steps.map(recall),
    text: steps.map(one => told(one, titleOf(one))), hovertemplate: '%{text}<extra></extra>', line: {color: RUN, width: 2.3},
    marker: {color: RUN, line: {color: color('--card'), width: 1}, size: steps.map(one => one.chosen ? 17 : one.step === 0 ? 11 : 8),
      symbol: steps.map(one => one.chosen ? 'star' : one.step === 0 ? 'square' : 'circle')}}];
  data.beside.forEach((one, row) => traces.push({type: 'scatter', mode: 'markers', name: one.label, x: [megabytes(one.packed_bytes)], y: [recall(one)],
    text: [told(one, `${one.label}: ${one.kind}`)], hovertemplate: '%{text}<extra></extra>',
    marker: {symbol: SIGNS[row % SIGNS.length], size: 11, color: color('--soft'), line: {width: 1.4, color: color('--ink')}}}));
  const best = recall(steps[0]), soft = {color: color('--soft'), width: 1.2}, across = {type: 'line', xref: 'paper', x0: 0, x1: 1};
  return {traces, layout: {
    shapes: [{...across, y0: best, y1: best, line: {...soft, dash: 'dash'}}, {...across, y0: best - .01, y1: best - .01, line: {...soft, dash: 'dot', width: .8}}],
    annotations: [{xref: 'paper', x: 1, xanchor: 'right', y: best, yanchor: 'bottom', showarrow: false, text: 'dense; dotted: one point less', font: {size: 11, color: color('--soft')}}],
    xaxis: titled('packed file (MB)', {rangemode: 'tozero'}), yaxis: titled('recall@1', {tickformat: '.0%'})}};
}

function parts() {
  const names = data.steps.map(one => one.step === 0 ? 'dense' : `step ${one.step}`);
  const traces = PARTS.map(([key, name, of]) => ({type: 'bar', name, x: names, y: data.steps.map(one => megabytes(one.parts[key])), marker: {color: of},
    hovertemplate: '%{x}: %{y:.3f} MB<extra>' + name + '</extra>'}));
  return {traces, layout: {barmode: 'stack', bargap: .3, xaxis: {type: 'category', showgrid: false}, yaxis: titled('MB', {rangemode: 'tozero'})}};
}

function scanned() {
  const {names, columns, turned} = data.scan, floor = 1e-6;
  const shown = turned.map(row => row.map(value => Math.log10(Math.max(value, floor))));
  return {traces: [{type: 'heatmap', x: columns, y: names, z: shown, colorscale: 'Cividis', zmin: Math.log10(floor), zmax: 0, customdata: turned,
    hovertemplate: '%{y}<br>%{x}<br>1 − cosine %{customdata:.2g}<extra></extra>',
    colorbar: {title: {text: '1 − cosine', font: {color: color('--soft')}}, tickvals: [-6, -4, -2, 0], ticktext: ['10⁻⁶', '10⁻⁴', '.01', '1'], tickfont: {color: color('--soft')}, thickness: 12}}],
  layout: {xaxis: {type: 'category', side: 'top', showgrid: false}, yaxis: {type: 'category', autorange: 'reversed', showgrid: false, tickfont: {size: 9, color: color('--soft')}}, margin: {l: 150, r: 14, t: 34, b: 12}}};
}

function start() {
  const place = document.getElementById('choose-set');
  data.sets.forEach((name, row) => place.append(el('option', {value: row}, name)));
  place.addEventListener('change', () => { chosen.set = Number(place.value); Plots.redraw(); });
  Plots.add('plot-size', overSize);
  Plots.add('plot-parts', parts);
  if (data.scan.names.length) document.getElementById('plot-scan').style.height = `${Math.max(260, 14 * data.scan.names.length + 60)}px`;
  data.scan.names.length ? Plots.add('plot-scan', scanned)
    : Plots.empty('plot-scan', 'No layer was tried alone. Give the command of vpr compress again with --scan; the steps that are there are not made again.');
  document.documentElement.dataset.ready = 'yes';
}

start();
