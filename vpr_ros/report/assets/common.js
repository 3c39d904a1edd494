// SPDX-License-Identifier: Apache-2.0
// What every page needs: the data, elements, numbers in words, and plots in the page's colors.
'use strict';

const TYPES = {u1: Uint8Array, i4: Int32Array, f4: Float32Array, f8: Float64Array};

// Arrays come as {t: type, b: base64}; everything else is as it is.
function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== 'object') return value;
  if ('t' in value && 'b' in value) {
    const text = atob(value.b), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new TYPES[value.t](bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
}

const data = unpack(JSON.parse(document.getElementById('data').textContent));

// An element; text is always set as text, so nothing from a file is ever taken for HTML.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'style') {
      for (const [name, part] of Object.entries(value)) element.style.setProperty(name, part);
    } else if (key.startsWith('on')) {
      element.addEventListener(key.slice(2), value);
    } else if (value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

// Three digits that count; a dash for none.
function number(value, unit = '') {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  const digits = size === 0 || size >= 1000 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(digits, 3)) + (unit === '°' || !unit ? unit : ' ' + unit);
}

const spaced = value => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');

function clock(seconds) {
  if (seconds < 120) return number(seconds, 's');
  const minutes = Math.floor(seconds / 60), rest = Math.floor(seconds % 60);
  const two = part => String(part).padStart(2, '0');
  return minutes < 60 ? `${minutes}:${two(rest)} min`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(rest)} h`;
}

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The registry of plots: each is drawn by a function that gives traces and layout, and is drawn
// anew when light turns to dark or its view has changed.
const Plots = {
  all: new Map(),
  drawn: {},
  printing: false,

  add(id, build) {
    const place = document.getElementById(id);
    if (!place) return;
    this.all.set(id, build);
    this.draw(id);
  },

  empty(id, text) {
    const place = document.getElementById(id);
    if (!place) return;
    place.classList.add('empty');
    place.textContent = text;
  },

  draw(id) {
    const place = document.getElementById(id), {traces, layout} = this.all.get(id)();
    const size = this.printing ? {width: place.clientWidth, height: place.clientHeight} : {autosize: true};
    return Plotly.react(place, traces, this.dressed({...size, ...layout}), {
      responsive: true, displaylogo: false, doubleClickDelay: 400,
      displayModeBar: place.matches('.tall, .time'),  // the small ones would be covered by it
      modeBarButtons: [['toImage'], ['zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
      toImageButtonOptions: {filename: id, scale: 2},
    });
  },

  dressed(layout) {
    const ink = color('--ink'), soft = color('--soft'), line = color('--line');
    const axis = {gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line,
      tickfont: {color: soft}, automargin: true};
    const full = {
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', uirevision: 'same',
      font: {family: getComputedStyle(document.body).fontFamily, size: 12, color: ink},
      margin: {l: 52, r: 14, t: 10, b: 42}, hovermode: 'closest', hoverdistance: 30,
      hoverlabel: {bgcolor: color('--card'), bordercolor: line, font: {color: ink}},
      legend: {orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom', font: {color: ink, size: 12},
        itemsizing: 'constant'},
      modebar: {bgcolor: 'rgba(0,0,0,0)', color: soft, activecolor: color('--accent')},
      ...layout,
    };
    for (const key of Object.keys(full)) {
      if (/^[xy]axis\d*$/.test(key)) full[key] = {...axis, ...full[key]};
    }
    if (!full.xaxis) full.xaxis = axis;
    if (!full.yaxis) full.yaxis = axis;
    return full;
  },

  redraw() {
    for (const id of this.all.keys()) this.draw(id);
  },
};

const titled = (text, more = {}) => ({title: {text, standoff: 8, font: {color: color('--soft')}}, ...more});

// At most `limit` of `rows`, evenly; `score` picks the one of a bucket that shows the most.
function thinned(rows, limit, score = null) {
  if (rows.length <= limit) return rows;
  const kept = [];
  for (let i = 0; i < limit; i++) {
    const from = Math.floor(i * rows.length / limit), to = Math.floor((i + 1) * rows.length / limit);
    let best = rows[from];
    if (score) for (let j = from + 1; j < to; j++) if (score(rows[j]) > score(best)) best = rows[j];
    kept.push(best);
  }
  return kept;
}

// On paper everything is dark on white, and as wide as the paper.
for (const [event, on] of [['beforeprint', true], ['afterprint', false]]) {
  addEventListener(event, () => {
    document.documentElement.classList.toggle('printing', on);
    Plots.printing = on;
    Plots.redraw();
    if (!on) dispatchEvent(new Event('resize'));
  });
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => Plots.redraw());
