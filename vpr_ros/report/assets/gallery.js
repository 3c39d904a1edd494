// SPDX-License-Identifier: Apache-2.0
// The failures as cards, most dangerous first; a click pins the frame.
'use strict';

function card(incident) {
  const row = incident.worst, verdict = data.verdicts[incident.kind], many = incident.frames > 1;
  const best = F.places[row * data.matches], right = F.nearest_place[row];
  const facts = incident.kind === 3
    ? `${data.reasons[F.reason[row]]}` + (Number.isFinite(F.probability[row]) ? `, probability ${number(F.probability[row])}` : '')
    : `off by ${number(F.error_m[row], 'm')} and ${number(F.heading_deg[row], '°')}, probability ${number(F.probability[row])}`;
  const run = many ? `${spaced(incident.frames)} frames, ${clock(incident.duration_s)}, ${number(incident.way_m, 'm')} of way` : 'one frame';
  return el('article', {class: 'card', tabindex: 0, 'data-frame': row, style: {'--mark': verdict.color},
    onclick: () => Panel.pin(row), onkeydown: event => event.key === 'Enter' && Panel.pin(row)},
    el('div', {class: 'top'}, el('span', {class: 'badge', style: {'--mark': verdict.color}, 'data-sign': verdict.sign}, verdict.name),
      el('p', {}, `${clock(F.t[row])} · frame ${spaced(row)}`)),
    el('div', {class: 'views'},
      Pictures.view('frame', row, 'Camera', '', 'query'),
      Pictures.view('place', best, 'Matched', best < 0 ? '' : number(F.similarity[row * data.matches])),
      Pictures.view('place', right, right < 0 ? 'Off the map' : 'Right place', right < 0 ? '' : similarityOf(row, right))),
    el('p', {}, el('b', {}, facts), el('br'), run));
}

function similarityOf(row, place) {
  for (let k = 0; k < data.matches; k++) {
    if (F.places[row * data.matches + k] === place) return `${number(F.similarity[row * data.matches + k])}, number ${k + 1}`;
  }
  return 'not among the similar';
}

function gallery() {
  const place = document.getElementById('gallery');
  place.replaceChildren(...data.incidents.map(card));
  if (!data.incidents.length) place.replaceWith(el('p', {}, 'Nothing: no wrong pose, and no known place was missed.'));
  Panel.listeners.push(frame => {
    for (const one of place.children) one.classList.toggle('here', Number(one.dataset.frame) === frame);
  });
}
