// SPDX-License-Identifier: Apache-2.0
// The figures of one evaluation. What is drawn is thinned to LIMIT points; what is counted is not.
'use strict';

const LIMIT = 5000, PLACES = 1500;
const ROWS = Array.from({length: COUNT}, (_, row) => row);

// The frames of one plot: all failures first, then the others evenly, within its view.
function drawnFrames(id, limit, inView, score = null) {
  const rows = ROWS.filter(inView);
  const failed = rows.filter(row => data.verdicts[F.verdict[row]].dangerous);
  const others = rows.filter(row => !data.verdicts[F.verdict[row]].dangerous);
  const kept = thinned(failed, limit / 2, row => F.probability[row]);
  kept.push(...thinned(others, limit - kept.length, score));
  Plots.drawn[id] = kept.length;
  const note = document.querySelector(`.drawn[data-of=${id}]`);
  if (note) note.textContent = kept.length < rows.length
    ? `Drawn: ${spaced(kept.length)} of ${spaced(rows.length)} frames, all counted; zoom in to see more.` : '';
  return kept.sort((a, b) => a - b);
}

function traceOf(verdict, rows, x, y, more = {}) {
  const mine = rows.filter(row => F.verdict[row] === verdict.index);
  return {
    type: 'scatter', mode: 'markers', name: `${verdict.name} (${spaced(verdict.count)})`,
    x: mine.map(x), y: mine.map(y), customdata: mine, legendgroup: verdict.name,
    marker: {color: verdict.color, symbol: verdict.marker, size: verdict.size,
      line: {width: verdict.marker === 'x' || verdict.marker === 'diamond' ? 0 : 1.4, color: verdict.color}},
    hovertemplate: 'frame %{customdata}<extra>' + verdict.name + '</extra>', ...more,
  };
}

// The last zoom of a plot, or null for all of it.
const views = {};

function trajectory() {
  const view = views['plot-trajectory'];
  const inView = row => Number.isFinite(F.x[row]) && (!view || (
    F.x[row] >= view.x[0] && F.x[row] <= view.x[1] && F.y[row] >= view.y[0] && F.y[row] <= view.y[1]));
  const rows = drawnFrames('plot-trajectory', LIMIT - PLACES, inView), P = data.places;
  const places = thinned(Array.from(P.x, (_, row) => row), PLACES);
  const wrong = rows.filter(row => data.verdicts[F.verdict[row]].dangerous);
  const traces = [{
    type: 'scatter', mode: 'markers', name: `places of the map (${spaced(P.x.length)})`,
    x: places.map(row => P.x[row]), y: places.map(row => P.y[row]), hoverinfo: 'skip',
    marker: {color: color('--place'), size: 11, line: {width: 0}}, opacity: .55,
  }, {
    type: 'scatter', mode: 'lines', showlegend: false, hoverinfo: 'skip',
    x: wrong.flatMap(row => [F.x[row], F.pose_x[row], null]), y: wrong.flatMap(row => [F.y[row], F.pose_y[row], null]),
    line: {color: data.verdicts[1].color, width: 1.2, dash: 'dot'},
  }];
  for (const index of [4, 3, 0, 2, 1]) {
    if (data.verdicts[index].count) traces.push(traceOf(data.verdicts[index], rows, row => F.x[row], row => F.y[row]));
  }
  const [first, second] = data.axes;
  return {traces, layout: {
    xaxis: titled(`${first} (m)`), yaxis: titled(`${second} (m)`, {scaleanchor: 'x', scaleratio: 1}),
    dragmode: 'pan',
  }};
}

// Three bands on one axis of time: position error, the verdict's reasons, latency by stage.
function overTime() {
  const view = views['plot-time'], inView = row => !view || (F.t[row] >= view.x[0] && F.t[row] <= view.x[1]);
  const floor = .01, height = row => Math.max(F.error_m[row], floor);
  const rows = drawnFrames('plot-time', LIMIT / 2, row => inView(row) && Number.isFinite(F.error_m[row]), row => F.error_m[row]);
  const traces = [0, 2, 1, 3, 4].filter(index => data.verdicts[index].count).map(index => traceOf(
    data.verdicts[index], rows, row => F.t[row], height, {
      opacity: index > 2 ? .55 : 1, hovertemplate: 'frame %{customdata}: %{y:.3~g} m<extra>' + data.verdicts[index].name + '</extra>'}));
  const spans = view ? view.x : [F.t[0], F.t[COUNT - 1]];
  traces.push(...reasons(ROWS.filter(inView)), ...latency(ROWS.filter(inView)));
  const shapes = data.tolerance_m ? [{type: 'line', xref: 'paper', x0: 0, x1: 1, yref: 'y', y0: data.tolerance_m,
    y1: data.tolerance_m, line: {color: color('--soft'), width: 1.2, dash: 'dash'}}] : [];
  const annotations = data.tolerance_m ? [{xref: 'paper', x: 1, xanchor: 'right', yref: 'y', y: Math.log10(data.tolerance_m),
    yanchor: 'bottom', text: 'tolerance', showarrow: false, font: {size: 11, color: color('--soft')}}] : [];
  const legend = y => ({orientation: 'h', x: 0, y, yanchor: 'bottom', font: {color: color('--ink'), size: 12}, itemsizing: 'constant'});
  return {traces, layout: {
    shapes, annotations, barmode: 'stack', bargap: 0,
    xaxis: titled('time (s)', {anchor: 'y3', range: spans}),
    yaxis: titled('position error (m)', {domain: [.58, 1], type: 'log', exponentformat: 'none', dtick: 1}),
    yaxis2: titled('verdicts', {domain: [.36, .47], range: [0, 1], showticklabels: false, fixedrange: true}),
    yaxis3: titled('latency (ms)', {domain: [0, .25], rangemode: 'tozero', fixedrange: true}),
    legend: legend(1.01), legend2: legend(.48), legend3: legend(.26), margin: {l: 62, r: 14, t: 10, b: 42},
  }};
}

// The share of each reason in each slice of time.
function reasons(rows) {
  const slices = Math.min(rows.length, 240), counts = data.reasons.map(() => new Float64Array(slices));
  if (!slices) return [];
  const from = F.t[rows[0]], width = (F.t[rows.at(-1)] - from) / slices || 1, total = new Float64Array(slices);
  const middle = new Array(slices).fill(null);
  for (const row of rows) {
    const slice = Math.min(slices - 1, Math.floor((F.t[row] - from) / width));
    counts[F.reason[row]][slice]++;
    total[slice]++;
    middle[slice] ??= row;
  }
  const x = Array.from(total, (_, slice) => from + (slice + .5) * width);
  return data.reasons.map((name, index) => ({
    type: 'bar', name, x, y: Array.from(counts[index], (value, slice) => total[slice] ? value / total[slice] : 0),
    width, yaxis: 'y2', customdata: middle, legend: 'legend2', showlegend: counts[index].some(value => value > 0),
    visible: counts[index].some(value => value > 0), marker: {color: data.reason_colors[index], line: {width: 0}},
    hovertemplate: '%{y:.0%} ' + name + '<extra></extra>',
  }));
}

// Each slice of time by its slowest frame, so that no spike is lost.
function latency(all) {
  const rows = thinned(all, LIMIT / 2, row => F.latency[row]);
  const stages = Object.entries(F.stages), colors = ['#e69f00', '#0072b2', '#009e73', '#cc79a7', '#999999'];
  const rest = rows.map(row => Math.max(0, F.latency[row] - stages.reduce((sum, [, values]) => sum + (values[row] || 0), 0)));
  const bands = stages.map(([name, values]) => [name, rows.map(row => values[row])]);
  if (!stages.length || rest.some(value => value > .5)) bands.push([stages.length ? 'other' : 'latency', rest]);
  return bands.map(([name, y], index) => ({
    type: 'scatter', mode: 'lines', name, legend: 'legend3', x: rows.map(row => F.t[row]), y, yaxis: 'y3', stackgroup: 'latency',
    customdata: rows, line: {width: .5, color: colors[index]}, fillcolor: colors[index] + 'b0',
    hovertemplate: 'frame %{customdata}: ' + name + ' %{y:.1f} ms<extra></extra>',
  }));
}

function coverage() {
  const C = data.curves.decision, use = data.curves.operating;
  const traces = [{type: 'scatter', mode: 'lines', name: 'any threshold', x: C.coverage, y: C.precision,
    customdata: C.threshold, line: {color: color('--accent'), width: 2.4, shape: 'linear'},
    hovertemplate: 'from a probability of %{customdata:.3f} on:<br>%{y:.1%} right at a coverage of %{x:.1%}<extra></extra>'}];
  if (use) traces.push({type: 'scatter', mode: 'markers', name: 'as it ran', x: [use.coverage], y: [use.precision],
    marker: {size: 13, symbol: 'circle-open', color: color('--danger'), line: {width: 3}},
    hovertemplate: 'as it ran: %{y:.1%} right at a coverage of %{x:.1%}<extra></extra>'});
  return {traces, layout: shares('coverage', 'precision', C.precision)};
}

function shares(x, y, values) {
  const least = Math.min(...Array.from(values).slice(Math.floor(values.length * .02)), 1);
  return {xaxis: titled(x, {range: [0, 1.02], tickformat: '.0%'}),
    yaxis: titled(y, {range: [Math.max(0, least - .08), 1.02], tickformat: '.0%'})};
}

function recall() {
  const dashes = ['solid', 'dash'], colors = [color('--accent'), '#e69f00'];
  const curves = [['belief over time', data.curves.decision], ['one picture alone', data.curves.retrieval]].filter(([, C]) => C);
  const traces = curves.map(([name, C], index) => ({type: 'scatter', mode: 'lines', name, x: C.recall, y: C.precision,
    line: {color: colors[index], width: 2.4, dash: dashes[index]},
    hovertemplate: `${name}: %{y:.1%} right at a recall of %{x:.1%}<extra></extra>`}));
  return {traces, layout: shares('recall', 'precision', curves.flatMap(([, C]) => Array.from(C.precision)))};
}

function reliabilityDiagram() {
  const R = data.curves.reliability, filled = R.count.map((count, bin) => bin).filter(bin => R.count[bin]);
  const bins = R.count.length;
  return {traces: [
    {type: 'scatter', mode: 'lines', name: 'honest', x: [0, 1], y: [0, 1], hoverinfo: 'skip', line: {color: color('--soft'), width: 1.2, dash: 'dash'}},
    {type: 'scatter', mode: 'lines+markers', name: 'this run', x: filled.map(bin => R.said[bin]), y: filled.map(bin => R.true[bin]),
      customdata: filled.map(bin => spaced(R.count[bin])), line: {color: color('--accent'), width: 2}, marker: {size: 8},
      hovertemplate: 'said %{x:.3f}, true %{y:.3f}<br>%{customdata} frames<extra></extra>'},
    {type: 'bar', name: 'frames', x: R.count.map((_, bin) => (bin + .5) / bins), y: R.count, width: .92 / bins, yaxis: 'y2',
      text: R.count.map(count => count ? spaced(count) : ''), textposition: 'outside', textfont: {size: 10}, cliponaxis: false,
      marker: {color: color('--place')}, hovertemplate: '%{y} frames<extra></extra>', showlegend: false},
  ], layout: {
    xaxis: titled('probability that was said', {range: [0, 1.02], anchor: 'y2'}),
    yaxis: titled('share that was right', {range: [0, 1.04], domain: [.34, 1]}),
    yaxis2: titled('frames', {domain: [0, .22], showgrid: false, nticks: 3}),
    shapes: data.threshold ? [{type: 'line', x0: data.threshold, x1: data.threshold, yref: 'paper', y0: 0, y1: 1,
      line: {color: color('--danger'), width: 1.4, dash: 'dot'}}] : [],
    annotations: data.threshold ? [{x: data.threshold, xanchor: data.threshold > .5 ? 'right' : 'left', yref: 'paper', y: .36, yanchor: 'bottom',
      text: ` threshold ${number(data.threshold)} `, showarrow: false, font: {size: 11, color: color('--danger')}}] : [],
  }};
}

function errorCurve() {
  const traces = [['poses given', data.curves.error, 'solid', color('--accent')], ['every best guess', data.curves.guessed, 'dash', color('--soft')]]
    .filter(([, curve]) => curve).map(([name, curve, dash, line]) => ({
      type: 'scatter', mode: 'lines', name, x: curve.error_m, y: curve.share, line: {color: line, width: 2.2, dash},
      hovertemplate: `%{y:.1%} of ${name} within %{x:.3~g} m<extra></extra>`}));
  return {traces, layout: {
    xaxis: titled('position error (m)', {type: 'log', dtick: 1, exponentformat: 'none'}), yaxis: titled('share of poses', {range: [0, 1.03], tickformat: '.0%'}),
    shapes: data.tolerance_m ? [{type: 'line', x0: data.tolerance_m, x1: data.tolerance_m, yref: 'paper', y0: 0, y1: 1, line: {color: color('--soft'), width: 1.2, dash: 'dash'}}] : [],
    annotations: data.tolerance_m ? [{x: Math.log10(data.tolerance_m), xanchor: 'left', yref: 'paper', y: .02, yanchor: 'bottom', text: ' tolerance', showarrow: false, font: {size: 11, color: color('--soft')}}] : [],
  }};
}

// Two pictures, stretched over the axes, and on them what was found most similar.
function similarityMatrix() {
  const M = data.matrix, place = row => F.places[row * data.matches];
  const rows = thinned(ROWS.filter(row => place(row) >= 0), LIMIT / 2);
  Plots.drawn['plot-similarity'] = rows.length;
  const dots = (name, of, dot, symbol) => ({type: 'scatter', mode: 'markers', name, x: of.map(place), y: of, customdata: of,
    marker: {color: dot, symbol, size: 5, line: {width: .6, color: '#ffffff'}}, hovertemplate: 'frame %{y}: place %{x}<extra>' + name + '</extra>'});
  // Plotly takes two pictures of one place and size for the same, hence `more`.
  const over = (png, more = 0) => ({source: 'data:image/png;base64,' + png, xref: 'x', yref: 'y', x: -.5, y: -.5, sizex: M.places + more, sizey: M.queries,
    xanchor: 'left', yanchor: 'top', sizing: 'stretch', layer: 'below'});
  return {traces: [
    {type: 'scatter', mode: 'lines', name: 'right places', x: [null], y: [null], line: {color: '#ff9ed0', width: 2}},
    dots('best match, right', rows.filter(row => F.first_right[row]), '#009e73', 'circle'),
    dots('best match, wrong', rows.filter(row => !F.first_right[row] && F.has_match[row]), '#d55e00', 'x'),
    {type: 'scatter', mode: 'markers', x: [null], y: [null], showlegend: false, hoverinfo: 'skip',  // for its scale alone
      marker: {color: [M.lowest, M.highest], cmin: M.lowest, cmax: M.highest, colorscale: 'Cividis', showscale: true,
        colorbar: {title: {text: 'similarity', side: 'right'}, thickness: 12, outlinewidth: 0, tickfont: {color: color('--soft')}}}},
  ], layout: {
    images: [over(M.values), over(M.truth, 1e-6)],
    xaxis: titled('place of the map', {showgrid: false, zeroline: false, range: [-.5, M.places - .5]}),
    yaxis: titled('frame', {showgrid: false, zeroline: false, range: [M.queries - .5, -.5]}),
  }};
}
