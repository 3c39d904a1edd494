// SPDX-License-Identifier: Apache-2.0
// Puts the page of one evaluation together.
'use strict';

// A mark over a plot that says where the shown frame is; moving it draws nothing anew.
function cursor(id, kind, at) {
  const place = document.getElementById(id), mark = el('div', {class: 'cursor ' + kind});
  place.append(mark);
  const move = () => {
    const point = at(place._fullLayout, Panel.frame);
    mark.style.display = point ? 'block' : 'none';
    if (point) for (const [name, value] of Object.entries(point)) mark.style[name] = value + 'px';
  };
  Panel.listeners.push(move);
  place.on('plotly_afterplot', move);
  place.on('plotly_relayouting', move);
}

function pixel(axis, value) {
  if (!Number.isFinite(value)) return null;
  const at = axis.l2p(value);
  return at < 0 || at > axis._length ? null : at + axis._offset;
}

function followPointer(id) {
  const place = document.getElementById(id);
  const frame = event => event.points.map(point => point.customdata).find(Number.isInteger);
  place.on('plotly_hover', event => frame(event) !== undefined && Panel.hover(frame(event)));
  place.on('plotly_click', event => frame(event) !== undefined && Panel.pin(frame(event)));
}

// Draw again what a zoom shows, so that no frame stays left out once there is room for it.
function thinAgain(id) {
  const place = document.getElementById(id);
  place.on('plotly_relayout', change => {
    if (COUNT <= LIMIT / 2 || !Object.keys(change).some(key => /axis\.(range|autorange)|^autosize$/.test(key))) return;
    const {xaxis, yaxis} = place._fullLayout, all = Object.keys(change).some(key => key.includes('autorange'));
    views[id] = all ? null : {x: xaxis.range.map(Number), y: yaxis.range.map(Number)};
    Plots.draw(id);
  });
}

function drawTrajectory() {
  if (!Array.from(F.x).some(Number.isFinite)) return Plots.empty('plot-trajectory', 'These pictures have no positions.');
  Plots.add('plot-trajectory', trajectory);
  followPointer('plot-trajectory');
  thinAgain('plot-trajectory');
  cursor('plot-trajectory', 'ring', ({xaxis, yaxis}, frame) => {
    const left = pixel(xaxis, F.x[frame]), top = pixel(yaxis, F.y[frame]);
    return left === null || top === null ? null : {left, top};
  });
}

function drawTime() {
  Plots.add('plot-time', overTime);
  followPointer('plot-time');
  thinAgain('plot-time');
  cursor('plot-time', 'line', ({xaxis, yaxis, yaxis3}, frame) => {
    const left = pixel(xaxis, F.t[frame]);
    return left === null ? null : {left, top: yaxis._offset, height: yaxis3._offset + yaxis3._length - yaxis._offset};
  });
}

function drawSimilarity() {
  if (!data.matrix) return Plots.empty('plot-similarity', 'Similarities were not kept. A run through the node does not publish them.');
  Plots.add('plot-similarity', similarityMatrix);
  followPointer('plot-similarity');
}

// One after the other, so that the page can be used while the later ones are still being drawn.
async function start() {
  const {curves} = data, none = 'There is no curve of this run.';
  const curve = (id, there, build) => () => there ? Plots.add(id, build) : Plots.empty(id, none);
  for (const step of [
    () => Panel.start(), gallery, drawTrajectory, drawTime,
    curve('plot-coverage', curves.decision, coverage), curve('plot-reliability', curves.reliability, reliabilityDiagram),
    curve('plot-recall', curves.decision || curves.retrieval, recall), curve('plot-error', curves.error || curves.guessed, errorCurve),
    drawSimilarity, () => Panel.show(Panel.frame),
  ]) {
    step();
    await new Promise(done => setTimeout(done));
  }
  document.documentElement.dataset.ready = 'yes';
}

start();
