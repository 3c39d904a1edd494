// SPDX-License-Identifier: Apache-2.0
// One frame at a time: its pictures, its scores, and keys to walk along the run.
'use strict';

const F = data.frames;
const COUNT = F.verdict.length;

// Pictures: which were kept, and the nearest one to a row that has none.
const Pictures = {
  of(kind, row) {
    const {rows, jpegs} = data.pictures[kind];
    if (row < 0 || !rows.length) return null;
    let low = 0, high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle] < row) low = middle + 1; else high = middle;
    }
    if (low > 0 && row - rows[low - 1] < rows[low] - row) low--;
    return {row: rows[low], exact: rows[low] === row,
      src: 'data:image/jpeg;base64,' + data.pictures.jpegs[jpegs[low]]};
  },

  view(kind, row, title, detail, style = '') {
    const picture = this.of(kind, row);
    const near = picture && (picture.exact || Math.abs(picture.row - row) <= this.reach(kind));
    const image = near ? el('img', {src: picture.src, alt: title, decoding: 'async'})
      : el('div', {class: 'none'}, row < 0 ? 'none' : 'no picture was kept');
    const note = near && !picture.exact ? `picture of ${kind} ${picture.row}` : detail;
    return el('figure', {class: 'view ' + style}, image,
      el('figcaption', {}, el('b', {}, title), ' ', el('span', {}, note)));
  },

  // A picture further away than this is of something else.
  reach(kind) {
    return Math.max(3, Math.ceil(data.pictures[kind].total / Math.max(data.pictures[kind].rows.length, 1)));
  },
};

const Panel = {
  frame: -1,
  pinned: false,
  listeners: [],

  start() {
    this.view = el('div');
    document.getElementById('panel').append(this.view, this.steering());
    document.addEventListener('keydown', event => this.key(event));
    const asked = /^#frame=(\d+)$/.exec(location.hash);
    if (asked && Number(asked[1]) < COUNT) this.pin(Number(asked[1]));
    else this.show(data.first_frame);
  },

  hover(frame) {
    if (!this.pinned && frame !== this.frame) this.show(frame);
  },

  pin(frame) {
    this.pinned = true;
    this.show(frame);
    history.replaceState(null, '', '#frame=' + frame);
  },

  unpin() {
    this.pinned = false;
    history.replaceState(null, '', location.pathname);
    this.show(this.frame);
  },

  step(by) {
    this.pin(Math.min(COUNT - 1, Math.max(0, this.frame + by)));
  },

  // The next frame, in a direction, that went wrong.
  failure(direction) {
    for (let row = this.frame + direction; row >= 0 && row < COUNT; row += direction) {
      if (data.verdicts[F.verdict[row]].failure) return this.pin(row);
    }
  },

  key(event) {
    const of = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || (of.tagName === 'INPUT' && of.type !== 'range')) return;
    const far = event.shiftKey ? 10 : 1;
    const act = {ArrowRight: () => this.step(far), ArrowLeft: () => this.step(-far), Escape: () => this.unpin(),
      n: () => this.failure(1), p: () => this.failure(-1)}[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  },

  show(frame) {
    this.frame = frame;
    const verdict = data.verdicts[F.verdict[frame]], best = F.places[frame * data.matches];
    const similarity = F.similarity[frame * data.matches], right = F.nearest_place[frame];
    this.view.replaceChildren(
      el('h2', {}, `Frame ${spaced(frame)}`, el('small', {}, `of ${spaced(COUNT)} · ${clock(F.t[frame])}`)),
      el('span', {class: 'badge', style: {'--mark': verdict.color}, 'data-sign': verdict.sign, title: verdict.meaning}, verdict.name),
      el('div', {class: 'views'},
        Pictures.view('frame', frame, 'Camera', data.cameras.length > 1 ? data.cameras[F.camera[frame]] : '', 'query'),
        Pictures.view('place', best, 'Best match', best < 0 ? '' : `${best} · ${number(similarity)}`),
        Pictures.view('place', right, 'Right place', right < 0 ? 'none here' : right === best ? `${right}, the same` : String(right))),
      this.facts(frame));
    document.getElementById('scrub').value = frame;
    document.getElementById('loose').hidden = !this.pinned;
    for (const listener of this.listeners) listener(frame, this.pinned);
  },

  facts(frame) {
    const rows = [['verdict', data.reasons[F.reason[frame]]]];
    const add = (name, value, unit) => Number.isFinite(value) && rows.push([name, number(value, unit)]);
    add('probability', F.probability[frame]);
    add('not on the map', F.unknown[frame]);
    add('position error', F.error_m[frame], 'm');
    add('heading error', F.heading_deg[frame], '°');
    const rank = this.rank(frame);
    if (rank !== null) rows.push(['right place among the similar', rank]);
    add('latency', F.latency[frame], 'ms');
    for (const [stage, values] of Object.entries(F.stages)) add('· ' + stage, values[frame], 'ms');
    return el('dl', {class: 'facts'}, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
  },

  // Where the nearest right place stands among the most similar ones.
  rank(frame) {
    const right = F.nearest_place[frame];
    if (right < 0) return null;
    for (let k = 0; k < data.matches; k++) {
      if (F.places[frame * data.matches + k] === right) return `number ${k + 1} (${number(F.similarity[frame * data.matches + k])})`;
    }
    return `not the first ${data.matches}`;
  },

  steering() {
    const button = (id, text, label, act) => el('button', {id, type: 'button', title: label, onclick: act}, text);
    return el('div', {},
      el('div', {class: 'steer'},
        el('input', {id: 'scrub', type: 'range', min: 0, max: COUNT - 1, 'aria-label': 'frame',
          oninput: event => this.pin(Number(event.target.value))}),
        button('back', '←', 'one frame back', () => this.step(-1)),
        button('on', '→', 'one frame on', () => this.step(1)),
        button('before', '⇤ failure', 'the failure before', () => this.failure(-1)),
        button('after', 'failure ⇥', 'the next failure', () => this.failure(1)),
        button('loose', 'unpin', 'follow the pointer again', () => this.unpin())),
      el('p', {class: 'keys'}, 'Point at a frame to see it, click to pin it. ',
        el('kbd', {}, '←'), ' ', el('kbd', {}, '→'), ' step, with ', el('kbd', {}, 'Shift'), ' by ten; ',
        el('kbd', {}, 'n'), ' ', el('kbd', {}, 'p'), ' next and previous failure; ', el('kbd', {}, 'Esc'), ' unpins.'));
  },
};
