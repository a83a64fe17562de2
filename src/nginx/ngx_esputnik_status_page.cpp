/* Written by tools/status_page.pl from html/status.html: change that. */

#include "ngx_esputnik_status_page.h"

namespace ngx_esputnik {

const std::string_view kStatusPolicy =
    "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'sha256-VAJjaFcE9XRKuquTYT1YwWgXwa1ibauEq3VlMPwEagA='; "
    "script-src 'sha256-+dOiNoIdHtooMEiw1LcWdurGjIyF475JvhY8aC6WPLg='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const std::string_view kStatusPage =
R"page(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>esputnik</title>
<link rel="icon" id="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%23888'/%3E%3C/svg%3E">
<style>
:root {
  --bg: #f5f6f8; --card: #fff; --line: #e3e6ea; --grid: #eceef1;
  --text: #15191f; --soft: #5c6672; --faint: #8a94a0;
  --good: #00873a; --good-bg: #e6f5ec; --warn: #a85b00; --warn-bg: #fdf1de;
  --bad: #cc2a1f; --bad-bg: #fdeae8; --blue: #2160d4; --violet: #7a4fd0;
  --teal: #0a8a8a; --shadow: 0 1px 2px rgba(16, 24, 40, .05);
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
          "DejaVu Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
          monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #0c1015; --card: #141a21; --line: #232c36; --grid: #1d252e;
    --text: #e8edf3; --soft: #9aa6b3; --faint: #6f7c8a;
    --good: #3ccb7f; --good-bg: #10281c; --warn: #f5b14c; --warn-bg: #2c2110;
    --bad: #ff7469; --bad-bg: #311715; --blue: #6ba5ff; --violet: #b195ff;
    --teal: #47cfcf; --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--bg); color: var(--text);
  font: 14px/1.45 var(--sans); font-variant-numeric: tabular-nums;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 1200px; margin: 0 auto; padding: 18px 20px 40px; }
header { display: flex; align-items: center; gap: 10px; margin-bottom: 14px; }
header svg { flex: none; }
h1 { font-size: 17px; font-weight: 650; margin: 0; letter-spacing: -.01em; }
header .where { color: var(--faint); font-size: 13px; }
header .live { margin-left: auto; color: var(--soft); font-size: 13px;
  display: flex; align-items: center; gap: 7px; white-space: nowrap; }
.pulse { width: 8px; height: 8px; border-radius: 50%; background: var(--good); }
.pulse.beat { animation: beat .9s ease-out; }
.gone .pulse { background: var(--bad); }
@keyframes beat {
  from { box-shadow: 0 0 0 0 var(--good); }
  to { box-shadow: 0 0 0 7px transparent; }
}
@media (prefers-reduced-motion: reduce) { .pulse.beat { animation: none; } }

.verdict { display: flex; gap: 13px; align-items: center; padding: 14px 18px;
  border-radius: 12px; margin-bottom: 14px; background: var(--card);
  border: 1px solid var(--line); }
.verdict i { flex: none; width: 14px; height: 14px; border-radius: 50%;
  background: var(--faint); }
.verdict b { font-size: 17px; font-weight: 640; letter-spacing: -.01em; }
.verdict span { color: var(--soft); }
.verdict p { margin: 0; display: flex; flex-wrap: wrap; gap: 0 12px;
  align-items: baseline; }
.verdict.good { background: var(--good-bg); border-color: transparent; }
.verdict.good i { background: var(--good); }
.verdict.good b { color: var(--good); }
.verdict.warn { background: var(--warn-bg); border-color: transparent; }
.verdict.warn i { background: var(--warn); }
.verdict.warn b { color: var(--warn); }
.verdict.bad { background: var(--bad-bg); border-color: transparent; }
.verdict.bad i { background: var(--bad); }
.verdict.bad b { color: var(--bad); }

.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px;
  margin-bottom: 12px; }
.card, .tile { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; box-shadow: var(--shadow); min-width: 0; }
.tile { padding: 12px 14px 11px; }
.tile h2, .card h2 { margin: 0; font-size: 12.5px; font-weight: 550;
  color: var(--soft); }
.tile strong { display: block; font-size: 27px; line-height: 1.2;
  font-weight: 620; letter-spacing: -.025em; margin-top: 3px;
  white-space: nowrap; }
.tile strong small { font-size: 14px; font-weight: 500; color: var(--soft);
  letter-spacing: 0; margin-left: 3px; }
)page"
R"page(.tile em { font-style: normal; font-size: 12.5px; color: var(--faint);
  display: block; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.tile.bad strong { color: var(--bad); }
.tile.warn strong { color: var(--warn); }

.grid { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px; }
.card { padding: 13px 16px 14px; }
.w6 { grid-column: span 6; } .w3 { grid-column: span 3; }
.w2 { grid-column: span 2; } .w4 { grid-column: span 4; }
.card > h2 { display: flex; flex-wrap: wrap; align-items: baseline;
  gap: 4px 14px; color: var(--text); font-weight: 600; font-size: 13.5px;
  margin-bottom: 8px; }
.card > h2 .keys { margin-left: auto; display: flex; gap: 13px;
  font-weight: 450; color: var(--soft); font-size: 12.5px; }
.keys span::before, .split li::before { content: ""; display: inline-block;
  width: 9px; height: 9px; border-radius: 3px; margin-right: 6px;
  background: var(--c); }
.note { color: var(--faint); font-weight: 450; font-size: 12.5px; }

.plot { position: relative; height: 150px; touch-action: pan-y; }
.plot.tall { height: 190px; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot text { font: 11px var(--sans); fill: var(--faint); }
.plot .g { stroke: var(--grid); }
.plot .x { stroke: var(--faint); stroke-dasharray: 3 3; }
.tip { position: absolute; top: 2px; pointer-events: none; z-index: 1;
  background: var(--text); color: var(--bg); font-size: 12px; line-height: 1.5;
  padding: 5px 9px; border-radius: 7px; white-space: nowrap; }
.tip[hidden] { display: none; }
.c-good { --c: var(--good); } .c-bad { --c: var(--bad); }
.c-warn { --c: var(--warn); } .c-blue { --c: var(--blue); }
.c-violet { --c: var(--violet); } .c-teal { --c: var(--teal); }
.c-soft { --c: var(--soft); } .c-faint { --c: var(--faint); }
.stroke { stroke: var(--c); fill: none; stroke-width: 1.8;
  stroke-linejoin: round; stroke-linecap: round; }
.area { fill: var(--c); opacity: .13; stroke: none; }
.dot { fill: var(--c); stroke: var(--card); stroke-width: 2; }
.bar, .keys .half::before { fill: var(--c); opacity: .5; }

.strip { display: flex; height: 12px; border-radius: 6px; overflow: hidden;
  background: var(--grid); margin: 4px 0 10px; }
.strip i { background: var(--c); min-width: 2px;
  border-right: 1px solid var(--card); }
.split { list-style: none; margin: 0; padding: 0; }
.split li { display: flex; align-items: baseline; padding: 3px 0;
  font-size: 13px; }
.split b { font-weight: 560; margin-left: auto; padding-left: 10px; }
.split em { font-style: normal; color: var(--faint); width: 52px;
  text-align: right; }
.facts { margin: 0; display: grid; grid-template-columns: 1fr auto;
  gap: 5px 14px; font-size: 13px; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; font-weight: 560;
  text-align: right; }
.facts .bad { color: var(--bad); } .facts .warn { color: var(--warn); }

.target { border-top: 1px solid var(--line); padding: 11px 0 9px; }
.target:first-of-type { border-top: 0; padding-top: 2px; }
.target:last-child { padding-bottom: 0; }
.target h3 { margin: 0 0 7px; font-size: 14px; font-weight: 600;
  display: flex; align-items: center; gap: 9px; min-width: 0; }
.target h3 span { overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; font-family: var(--mono); font-size: 13px; }
.badge { flex: none; font-style: normal; font-size: 11.5px; font-weight: 600; padding: 2px 9px;
  border-radius: 20px; background: var(--grid); color: var(--soft); }
.badge.good { background: var(--good-bg); color: var(--good); }
.badge.warn { background: var(--warn-bg); color: var(--warn); }
.badge.bad { background: var(--bad-bg); color: var(--bad); }
.cells { display: grid; gap: 4px 14px;
  grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
.cells em { display: block; font-style: normal; color: var(--faint);
  font-size: 12px; }
.cells b { font-weight: 580; font-size: 14.5px; }
.said { margin: 8px 0 0; display: flex; flex-wrap: wrap; gap: 6px; }
)page"
R"page(.said .badge { border-radius: 7px; font-weight: 550; }
.warning { color: var(--warn); font-size: 13px; margin: 7px 0 0; }
.meter { height: 8px; border-radius: 4px; background: var(--grid);
  overflow: hidden; margin: 9px 0 2px; }
.meter i { display: block; height: 100%; background: var(--blue);
  border-radius: 4px; }
.meter i.warn { background: var(--warn); } .meter i.bad { background: var(--bad); }

.scroll { overflow-x: auto; margin: 0 -16px -4px; padding: 0 16px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; color: var(--faint); font-weight: 500; font-size: 12px;
  padding: 0 14px 5px 0; white-space: nowrap; }
td { padding: 6px 14px 6px 0; border-top: 1px solid var(--line);
  white-space: nowrap; }
td.why { width: 99%; white-space: normal; min-width: 190px; }
td code { font: 12.5px var(--mono); }
.num { text-align: right; } .none { color: var(--faint); }
#times { margin-top: 8px; } #times tr > :last-child { padding-right: 0; }
#times td { padding-top: 4px; padding-bottom: 4px; font-weight: 560; }
#times td:first-child { font-weight: inherit; color: var(--soft); }
.empty { color: var(--faint); margin: 6px 0 2px; font-size: 13px; }
footer { margin-top: 16px; color: var(--faint); font-size: 12.5px;
  display: flex; flex-wrap: wrap; gap: 4px 18px; }

@media (max-width: 1000px) {
  .tiles { grid-template-columns: repeat(3, 1fr); }
  .w2, .w3, .w4 { grid-column: span 3; } .wide { grid-column: span 6; }
}
@media (max-width: 640px) {
  main { padding: 12px 12px 30px; }
  header .where { display: none; }
  .tiles { grid-template-columns: repeat(2, 1fr); gap: 9px; }
  .tile { padding: 10px 12px; } .tile strong { font-size: 23px; }
  .grid { gap: 9px; } .grid > * { grid-column: span 6; }
  .card { padding: 12px 13px; } .plot, .plot.tall { height: 136px; }
  .scroll { margin: 0 -13px -4px; padding: 0 13px; }
  .verdict { padding: 12px 14px; } .verdict b { font-size: 16px; }
  .cells { gap: 6px 12px; grid-template-columns: repeat(auto-fill, minmax(80px, 1fr)); }
}
</style>
</head>
<body>
<main>
<header>
  <svg width="26" height="26" viewBox="0 0 26 26" aria-hidden="true"><rect width="26" height="26" rx="7" fill="#009639"/><path d="M6.5 8.5h13v9h-13z" fill="none" stroke="#fff" stroke-width="1.7" stroke-linejoin="round"/><path d="M6.8 9l6.2 5 6.2-5" fill="none" stroke="#fff" stroke-width="1.7" stroke-linejoin="round"/></svg>
  <h1>esputnik</h1><span class="where" id="where"></span>
  <span class="live" id="live"><span class="pulse" id="pulse"></span><span id="when">connecting</span></span>
</header>
<section class="verdict" id="verdict" aria-live="polite"><i></i><p><b id="verdict-word">&hellip;</b><span id="verdict-why"></span></p></section>
<section class="tiles">
  <div class="tile"><h2>Events</h2><strong id="t-events">&ndash;</strong><em id="t-events-2">&nbsp;</em></div>
  <div class="tile"><h2>POSTs</h2><strong id="t-posts">&ndash;</strong><em id="t-posts-2">&nbsp;</em></div>
  <div class="tile" id="tile-refused"><h2>Refused, 5 min</h2><strong id="t-refused">&ndash;</strong><em id="t-refused-2">&nbsp;</em></div>
  <div class="tile"><h2>Median answer</h2><strong id="t-time">&ndash;</strong><em id="t-time-2">&nbsp;</em></div>
  <div class="tile"><h2>On the list</h2><strong id="t-list">&ndash;</strong><em id="t-list-2">&nbsp;</em></div>
  <div class="tile" id="tile-ok"><h2>Last 200</h2><strong id="t-ok">&ndash;</strong><em id="t-ok-2">&nbsp;</em></div>
</section>
<section class="grid">
  <div class="card w6"><h2>Events <span class="keys"><span class="c-good">stored, a second</span><span class="c-bad">POSTs refused, a second</span></span></h2><div class="plot tall" id="p-events" role="img" aria-label="Events a second over the last five minutes"></div></div>
)page"
R"page(  <div class="card w3"><h2>Answer time <span class="keys"><span class="c-blue">median</span><span class="c-violet">99 %</span></span></h2><div class="plot" id="p-time" role="img" aria-label="Answer time over the last five minutes"></div></div>
  <div class="card w3"><h2>Waiting <span class="keys"><span class="c-teal">on the list</span><span class="c-warn">in the spool</span></span></h2><div class="plot" id="p-wait" role="img" aria-label="Events waiting over the last five minutes"></div></div>
  <div class="card w2"><h2>What happened <span class="note" id="n-status"></span></h2><div id="status"></div></div>
  <div class="card w2"><h2>By channel <span class="note" id="n-media"></span></h2><div id="media"></div></div>
  <div class="card w2"><h2>The sender</h2><dl class="facts" id="sender"></dl></div>
  <div class="card w4"><h2>Redis</h2><div id="targets"></div></div>
  <div class="card w2"><h2>Answers so far</h2><dl class="facts" id="results"></dl></div>
  <div class="card w3" id="spool-card"><h2>Spool</h2><div id="spools"></div></div>
  <div class="card w3" id="histogram-card"><h2>How long answers took <span class="note">heights by their root</span> <span class="keys"><span class="c-blue half">whole POST</span><span class="c-teal">wait for Redis</span></span></h2><div class="plot" id="p-hist" role="img" aria-label="Distribution of answer times"></div><div id="times"></div></div>
  <div class="card w2"><h2>Why refused <span class="note">or quarantined, so far</span></h2><div id="reasons"></div></div>
  <div class="card w4 wide"><h2>Last refusals <span class="note">what was wrong and where; never the payload</span></h2><div id="refusals"></div></div>
</section>
<footer><span id="f-since"></span><span id="f-version"></span></footer>
</main>
<script>
'use strict';

const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const SPAN = 300;            // seconds that the plots show
const POLL = 1000;           // ms

// --- numbers and words -------------------------------------------------------

function count(n) {
  if (n < 10000) { return Math.round(n).toLocaleString('en'); }
  const units = ['', 'k', 'M', 'G', 'T'];
  let i = 0;
  while (n >= 999.5 && i < 4) { n /= 1000; i++; }
  return n.toFixed(n < 9.995 ? 2 : n < 99.95 ? 1 : 0) + '\u00a0' + units[i];
}

function rate(n) {
  return n >= 100 ? count(n) : n >= 10 ? n.toFixed(0)
    : n === 0 ? '0' : n.toFixed(1);
}

function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 1000 && i < 4) { n /= 1024; i++; }
  return (i === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)) + ' ' + units[i];
}

// [number, unit]
function seconds(s) {
  if (s === 0) { return ['0', 'ms']; }
  if (s < 0.001) { return [(s * 1e6).toFixed(0), '\u00b5s']; }
  if (s < 0.01) { return [(s * 1e3).toFixed(1), 'ms']; }
  if (s < 1) { return [(s * 1e3).toFixed(0), 'ms']; }
  if (s < 10) { return [s.toFixed(1), 's']; }
  return age(s);
}

function age(s) {
  if (s < 120) { return [Math.floor(s) + '', 's']; }
  if (s < 7200) { return [Math.floor(s / 60) + '', 'min']; }
  if (s < 172800) { return [Math.floor(s / 3600) + '', 'h']; }
  return [Math.floor(s / 86400) + '', 'days'];
}

const words = pair => pair.join('\u00a0');
const ago = s => s < 1 ? 'just now' : words(age(s)) + ' ago';
const plural = (n, one, many) => count(n) + ' ' + (n === 1 ? one : many);

// --- elements ----------------------------------------------------------------

function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (k === 'class') { e.className = v; } else { e.setAttribute(k, v); }
  }
  e.append(...children);
  return e;
}

function svg(name, attributes, text) {
  const e = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) { e.setAttribute(k, v); }
  if (text !== undefined) { e.textContent = text; }
  return e;
}

function text(id, value) {
)page"
R"page(  const e = $(id);
  if (e.textContent !== value) { e.textContent = value; }
}

function figure(id, pair) {
  const shown = pair.join(' ');
  const e = $(id);
  if (e.dataset.shown !== shown) {
    e.dataset.shown = shown;
    e.replaceChildren(pair[0]);
    if (pair[1]) { e.append(el('small', {}, pair[1])); }
  }
}

// Only what has changed is drawn anew: a selection in the text stays.
const drawn = {};
function section(id, data, draw) {
  const key = JSON.stringify(data);
  if (drawn[id] !== key) {
    drawn[id] = key;
    $(id).replaceChildren(...draw());
  }
}

// --- plots -------------------------------------------------------------------

function ceiling(n) {
  if (!(n > 0)) { return 1; }
  const unit = Math.pow(10, Math.floor(Math.log10(n)));
  return unit * [1, 2, 3, 5, 10].find(m => m * unit >= n * 1.0001);
}

class Plot {
  constructor(id, series, tick, least) {
    this.box = $(id);
    this.series = series;
    this.tick = tick;
    this.least = least;
    this.picture = svg('svg', {});
    this.tip = el('div', { class: 'tip', hidden: '' });
    this.box.append(this.picture, this.tip);
    this.at = null;
    const follow = e => {
      this.at = e.clientX - this.box.getBoundingClientRect().left;
      this.draw();
    };
    this.box.addEventListener('pointermove', follow);
    this.box.addEventListener('pointerdown', follow);
    this.box.addEventListener('pointerleave', () => { this.at = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // rows: one [time, value ...] for each sample
  show(rows, now) {
    this.rows = rows;
    this.now = now;
    this.draw();
  }

  draw() {
    if (!this.rows) { return; }
    const w = this.box.clientWidth, h = this.box.clientHeight;
    const left = 46, right = 6, top = 8, bottom = 20;
    const from = this.now - SPAN;
    const rows = this.rows.filter(r => r[0] >= from);
    const max = ceiling(Math.max(this.least, ...rows.map(r => Math.max(...r.slice(1)))));
    const x = t => left + (w - left - right) * (t - from) / SPAN;
    const y = v => h - bottom - (h - top - bottom) * v / max;
    const out = [];

    for (const part of [0, 0.5, 1]) {
      const v = max * part;
      out.push(svg('line', { class: 'g', x1: left, x2: w - right, y1: y(v), y2: y(v) }));
      out.push(svg('text', { x: left - 8, y: y(v) + 4, 'text-anchor': 'end' }, this.tick(v)));
    }
    for (let minute = 0; minute <= 5; minute += w < 420 ? 2 : 1) {
      const label = minute === 0 ? 'now' : '\u2212' + minute + ' min';
      out.push(svg('text', { x: x(this.now - minute * 60), y: h - 4,
        'text-anchor': minute === 0 ? 'end' : minute === 5 ? 'start' : 'middle' }, label));
    }

    this.series.forEach((s, i) => {
      const runs = [];
      rows.forEach((r, n) => {
        const apart = n === 0 || r[0] - rows[n - 1][0] > 7;
        if (apart) { runs.push([]); }
        runs[runs.length - 1].push([x(r[0]).toFixed(1), y(r[i + 1]).toFixed(1)]);
      });
      for (const run of runs) {
        const line = run.map(p => p.join(',')).join('L');
        if (s.area) {
          out.push(svg('path', { class: 'area ' + s.color,
            d: 'M' + run[0][0] + ',' + y(0) + 'L' + line + 'L' + run[run.length - 1][0] + ',' + y(0) + 'Z' }));
        }
        out.push(svg('path', { class: 'stroke ' + s.color, d: 'M' + line }));
      }
    });

    this.point(rows, x, y, w, h - bottom, out);
    this.picture.setAttribute('viewBox', '0 0 ' + w + ' ' + h);
    this.picture.replaceChildren(...out);
  }

  point(rows, x, y, w, base, out) {
    if (this.at === null || rows.length === 0) {
      this.tip.hidden = true;
      return;
    }
    const near = rows.reduce((a, b) =>
      Math.abs(x(b[0]) - this.at) < Math.abs(x(a[0]) - this.at) ? b : a);
    const at = x(near[0]);
    out.push(svg('line', { class: 'x', x1: at, x2: at, y1: 8, y2: base }));
    this.series.forEach((s, i) =>
)page"
R"page(      out.push(svg('circle', { class: 'dot ' + s.color, cx: at, cy: y(near[i + 1]), r: 4.5 })));
    this.tip.replaceChildren(
      el('b', {}, clock(near[0])),
      ...this.series.flatMap((s, i) => [el('br'), s.name + ' ' + s.say(near[i + 1])]));
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    this.tip.style.left = Math.max(0, at + 12 + width > w ? at - 12 - width : at + 12) + 'px';
  }
}

const clock = s => new Date(s * 1000).toTimeString().slice(0, 8);
const shortTime = v => v === 0 ? '0' : seconds(v).join(' ').replace('.0 ', ' ');
const shortCount = v => v >= 10000 ? count(v).replace(/\.0+(?=\D)/, '') : v < 10 && v !== Math.floor(v) ? v.toFixed(1) : count(v);

const plots = {
  events: new Plot('p-events', [
    { color: 'c-good', name: 'events/s', area: true, say: rate },
    { color: 'c-bad', name: 'refused/s', say: rate }], shortCount, 1),
  time: new Plot('p-time', [
    { color: 'c-violet', name: '99 %', area: true, say: v => words(seconds(v)) },
    { color: 'c-blue', name: 'median', say: v => words(seconds(v)) }], shortTime, 0.001),
  wait: new Plot('p-wait', [
    { color: 'c-teal', name: 'on the list', area: true, say: count },
    { color: 'c-warn', name: 'in the spool', area: true, say: count }], shortCount, 10),
};

// The bounds of the module's buckets, in seconds: 10 us, then nine a decade.
const bounds = [1e-5];
for (let e = -5; e < 2; e++) {
  for (let digit = 2; digit <= 10; digit++) { bounds.push(digit * Math.pow(10, e)); }
}

function bins(t) {
  const n = new Array(bounds.length + 1).fill(0);
  for (const [bound, many] of t.buckets) {
    const at = bound === null ? bounds.length
      : bounds.findIndex(b => Math.abs(b / bound - 1) < 1e-6);
    if (at >= 0) { n[at] += many; }
  }
  return n;
}

// The POSTs as bars, their waits for Redis as an outline.
function histogram(posts, redis) {
  const box = $('p-hist');
  const w = box.clientWidth, h = box.clientHeight, base = h - 20;
  const n = bins(posts), inner = bins(redis);
  let last = n.length - 1;
  while (last > 36 && n[last] === 0 && inner[last] === 0) { last--; }
  const most = Math.max(1, ...n, ...inner);
  const step = w / (last + 1);
  // the root lets the rare slow ones be seen beside the many fast ones
  const high = many => many === 0 ? 0 : Math.max(2, (base - 6) * Math.sqrt(many / most));
  const out = [svg('line', { class: 'g', x1: 0, x2: w, y1: base, y2: base })];
  let outline = '';
  for (let i = 0; i <= last; i++) {
    out.push(svg('rect', { class: 'bar c-blue', x: (i * step + 0.5).toFixed(1), rx: 1.5,
      y: (base - high(n[i])).toFixed(1), width: Math.max(1, step - 1.5).toFixed(1), height: high(n[i]).toFixed(1) }));
    if (inner[i]) {
      const y = (base - high(inner[i])).toFixed(1);
      outline += (inner[i - 1] ? 'V' + y : 'M' + (i * step).toFixed(1) + ',' + base + 'V' + y)
        + 'H' + ((i + 1) * step).toFixed(1) + (inner[i + 1] ? '' : 'V' + base);
    }
  }
  if (outline) { out.push(svg('path', { class: 'stroke c-teal', d: outline })); }
  for (let i = 0; i <= last; i += 9) {
    out.push(svg('text', { x: (i + 1) * step, y: h - 4,
      'text-anchor': i === 0 ? 'start' : (i + 1) * step > w - 20 ? 'end' : 'middle' },
      shortTime(bounds[i])));
  }
  const picture = svg('svg', { viewBox: '0 0 ' + w + ' ' + h });
  picture.append(...out);
  return [picture];
}

function times(posts, redis) {
  const row = (name, t) => el('tr', {}, el('td', {}, name),
    ...[t.p50, t.p90, t.p99].map(v => el('td', { class: 'num' }, t.count ? words(seconds(v)) : '\u2013')),
    el('td', { class: 'num' }, count(t.count)));
  return [el('table', {}, el('tr', {}, ...['', 'median', '90 %', '99 %', 'count'].map(h =>
    el('th', { class: 'num' }, h))), row('POST', posts), row('Redis', redis))];
}

// --- sections ----------------------------------------------------------------

const statusColors = { DELIVERED: 'c-good', READ: 'c-teal', CLICKED: 'c-blue',
)page"
R"page(  UNDELIVERED: 'c-warn', UNSUBSCRIBED: 'c-violet', SPAM: 'c-bad', SENT: 'c-soft',
  SUBSCRIPTION_CHANGED: 'c-soft', unknown: 'c-faint', absent: 'c-faint' };
const statusNames = { DELIVERED: 'delivered', UNDELIVERED: 'undelivered', READ: 'read',
  CLICKED: 'clicked', UNSUBSCRIBED: 'unsubscribed', SPAM: 'spam', SENT: 'sent',
  SUBSCRIPTION_CHANGED: 'subscription changed', unknown: 'another status', absent: 'no status' };
const palette = ['c-blue', 'c-good', 'c-violet', 'c-teal', 'c-warn', 'c-bad', 'c-soft', 'c-faint'];
const mediaNames = { email: 'e-mail', sms: 'SMS', viber: 'Viber', webpush: 'web push',
  mobilepush: 'mobile push', appinbox: 'app inbox', widget: 'widget', inapp: 'in-app',
  telegram: 'Telegram', other: 'another channel', absent: 'not told' };

const reasonNames = { empty_body: 'an empty body', not_json: 'not JSON', bad_utf8: 'not UTF-8',
  not_an_array: 'not an array', not_an_object: 'an element is no object',
  trailing_garbage: 'more behind the array', too_deep: 'nested too deep',
  missing_field: 'a required field is missing', wrong_type: 'a field of another type',
  out_of_range: 'a number out of range', duplicate_field: 'a field twice',
  unknown_status: 'a status that is not known', bad_key: 'no good name of a list',
  too_many_events: 'too many events', body_too_large: 'a body too large',
  unsupported_encoding: 'a compressed body', body_timeout: 'the body came too slowly',
  unauthorized: 'no valid token', method_not_allowed: 'another method than POST',
  unavailable: 'Redis could not take them' };
const reasonPalette = ['c-bad', 'c-warn', 'c-violet', 'c-blue', 'c-teal', 'c-soft', 'c-faint'];

function split(of, color, name, none) {
  const rows = Object.entries(of).filter(r => r[1] > 0).sort((a, b) => b[1] - a[1]);
  const all = rows.reduce((sum, r) => sum + r[1], 0);
  if (all === 0) { return [el('p', { class: 'empty' }, none)]; }
  const strip = el('div', { class: 'strip' });
  const list = el('ul', { class: 'split' });
  rows.forEach(([key, n], i) => {
    const bar = el('i', { class: color(key, i) });
    bar.style.flexGrow = n;
    strip.append(bar);
    const share = 100 * n / all;
    list.append(el('li', { class: color(key, i) }, name[key] || key,
      el('b', {}, count(n)), el('em', {}, (share < 0.1 ? '<0.1' : share.toFixed(1)) + ' %')));
  });
  return [strip, list];
}

function facts(rows) {
  return rows.flatMap(([name, value, mood]) =>
    [el('dt', {}, name), el('dd', { class: mood || '' }, value)]);
}

function senderFacts(d) {
  const s = d.sender;
  const rows = [
    ['last POST', s.seconds_since_post === null ? 'none yet' : ago(s.seconds_since_post)],
    ['last 200', s.seconds_since_ok === null ? 'none yet' : ago(s.seconds_since_ok)],
    ['refused, not delivered since', count(s.owed), s.owed ? 'warn' : ''],
  ];
  if (s.owed) { rows.push(['the oldest of these', ago(s.seconds_owed), 'warn']); }
  rows.push(['POSTs seen again', count(s.seen_again)]);
  rows.push(['checks of the URL', count(d.checks)]);
  if (s.lag !== null) {
    rows.push(['newest event was', s.lag < 0 ? words(age(-s.lag)) + ' ahead (UTC?)'
      : words(age(s.lag)) + ' old']);
  }
  return rows;
}

const stateMood = { up: 'good', partly: 'warn', connecting: 'warn', down: 'bad', idle: '' };

function cell(name, value) {
  return el('div', {}, el('em', {}, name), el('b', {}, value));
}

function target(t) {
  const c = t.connections;
  const box = el('div', { class: 'target' },
    el('h3', {}, el('span', {}, t.name),
      el('i', { class: 'badge ' + stateMood[t.state] }, t.state === 'partly' ? 'partly up' : t.state)),
    el('div', { class: 'cells' },
      cell('connections', c.up + (c.down ? ', ' + c.down + ' down' : '')),
      cell('in flight', count(t.in_flight)),
      cell('queue', bytes(t.queue_bytes)),
      cell('list', t.list_length === null ? '\u2013' : count(t.list_length)),
      cell('commands', count(t.commands)),
      cell('reconnects', count(t.reconnects)),
)page"
R"page(      cell('failed tries', count(t.failures))));
  const errors = Object.entries(t.errors);
  if (errors.length) {
    box.append(el('p', { class: 'said' }, ...errors.map(([name, n]) =>
      el('i', { class: 'badge' + (name === 'NOSCRIPT' ? '' : ' bad') }, name + ' \u00d7 ' + count(n)))));
  }
  for (const w of t.warnings) { box.append(el('p', { class: 'warning' }, 'This Redis ' + w + '.')); }
  return box;
}

function spool(s, now) {
  const box = el('div', { class: 'target' },
    el('h3', {}, el('span', {}, s.folder), el('span', { class: 'none' }, 'for ' + s.target),
      el('i', { class: 'badge ' + (s.records ? 'warn' : 'good') }, s.records ? 'holding' : 'empty')),
    el('div', { class: 'cells' },
      cell('events', count(s.events)), cell('POSTs', count(s.records)),
      cell('oldest', s.oldest === null ? '\u2013' : words(age(Math.max(0, now - s.oldest)))),
      cell('on disk', bytes(s.folder_bytes)
        + (s.max_bytes ? ' of ' + bytes(s.max_bytes) : ''))));
  if (s.max_bytes) {
    const share = s.folder_bytes / s.max_bytes;
    const bar = el('i', { class: share > 0.9 ? 'bad' : share > 0.6 ? 'warn' : '' });
    bar.style.width = Math.min(100, 100 * share) + '%';
    box.append(el('div', { class: 'meter' }, bar));
  }
  return box;
}

function refusals(list) {
  if (list.length === 0) { return [el('p', { class: 'empty' }, 'none')]; }
  const at = v => v === null ? el('span', { class: 'none' }, '\u2013') : count(v);
  const table = el('table', {}, el('tr', {}, ...['time', 'answer', 'what was wrong', 'field',
    'event', 'byte'].map((h, i) => el('th', { class: i > 3 ? 'num' : '' }, h))));
  for (const r of list) {
    table.append(el('tr', {},
      el('td', { title: new Date(r.time * 1000).toLocaleString() }, clock(r.time)),
      el('td', {}, el('i', { class: 'badge ' + (r.quarantined ? 'warn' : 'bad') },
        r.quarantined ? 'quarantined' : r.status + '')),
      el('td', { class: 'why' }, r.title, ...(r.redis ? [' (Redis said ', el('code', {}, r.redis), ')'] : [])),
      el('td', {}, r.field === null ? el('span', { class: 'none' }, '\u2013') : el('code', {}, r.field)),
      el('td', { class: 'num' }, at(r.event)), el('td', { class: 'num' }, at(r.offset))));
  }
  return [el('div', { class: 'scroll' }, table)];
}

// --- the verdict -------------------------------------------------------------

function verdict(d, recent) {
  const s = d.sender;
  const down = d.targets.filter(t => t.state === 'down');
  const waiting = d.spools.reduce((sum, p) => sum + p.events, 0);
  const posted = s.seconds_since_post !== null;
  const owed = plural(s.owed, 'POST', 'POSTs') + ' refused and not delivered since'
    + (s.owed ? ', the first ' + ago(s.seconds_owed) : '');

  if (down.length) {
    const names = down.map(t => t.name).join(', ');
    const spooled = down.every(t => d.spools.some(p => p.target === t.name));
    const full = recent.refused > 0 && d.spools.length > 0
      && d.spools.some(p => p.max_bytes && p.folder_bytes > 0.98 * p.max_bytes);
    return spooled && !full
      ? ['warn', 'Redis is away, nothing is lost', names + '; ' + plural(waiting, 'event waits', 'events wait') + ' in the spool']
      : ['bad', 'Redis is away', names + '; POSTs are answered 503' + (s.owed ? ', ' + owed : '')];
  }
  if (s.owed) { return ['warn', 'The sender is backing off', owed]; }
  if (waiting) { return ['warn', 'Redis is back, the spool empties', plural(waiting, 'event', 'events') + ' to go']; }
  if (d.targets.some(t => t.state === 'partly')) {
    return ['warn', 'Some workers cannot reach Redis', 'others can'];
  }
  if (!posted) { return ['', 'Ready', 'no POST has come yet']; }
  const warned = d.targets.filter(t => t.warnings.length);
  if (warned.length) {
    return ['warn', 'Taking events, with a reservation', warned[0].name + ' ' + warned[0].warnings[0]];
  }
  return ['good', 'All is well', 'every event answered 200 is on its list'];
}

)page"
R"page(const iconColors = { good: '009639', warn: 'e08a00', bad: 'd92d20', '': '888888' };

// --- one answer --------------------------------------------------------------

function show(d) {
  const hist = d.history || { time: [], interval: 2 };
  const column = name => hist[name] || [];
  const rows = names => hist.time.map((t, i) => [t, ...names.map(([name, by]) => column(name)[i] / by)]);
  const per = hist.interval;

  plots.events.show(rows([['events', per], ['refused', per]]), d.time);
  plots.time.show(rows([['p99', 1], ['p50', 1]]), d.time);
  plots.wait.show(rows([['list_length', 1], ['spool_events', 1]]), d.time);

  // the last ten seconds: steady enough to read
  const newest = hist.time.filter(t => t > d.time - 12).length;
  const lately = name => {
    const part = newest ? column(name).slice(-newest) : [];
    return part.length ? part.reduce((a, b) => a + b, 0) / (part.length * per) : 0;
  };
  const sum = name => column(name).reduce((a, b) => a + b, 0);
  const r = d.requests, stored = d.events.accepted + d.events.spooled;
  const posts = Object.values(r).reduce((a, b) => a + b, 0);
  const recent = { refused: sum('refused'), ok: sum('ok') };

  figure('t-events', [rate(lately('events')), '/s']);
  text('t-events-2', count(stored) + ' stored');
  figure('t-posts', [rate(lately('ok') + lately('refused')), '/s']);
  text('t-posts-2', count(posts) + ' so far');
  figure('t-refused', [count(recent.refused), '']);
  text('t-refused-2', recent.refused + recent.ok === 0 ? 'no POST'
    : (100 * recent.refused / (recent.refused + recent.ok)).toFixed(recent.refused ? 1 : 0) + ' % of POSTs');
  $('tile-refused').className = 'tile' + (recent.refused ? ' bad' : '');

  const i = hist.time.length - 1;
  let at = i;
  while (at >= 0 && column('p99')[at] === 0) { at--; }
  const timed = at >= 0 && i - at < 15;
  figure('t-time', timed ? seconds(column('p50')[at]) : d.request_time.count ? seconds(d.request_time.p50) : ['\u2013', '']);
  text('t-time-2', d.request_time.count ? '99 %: ' + words(seconds(timed ? column('p99')[at] : d.request_time.p99)) : 'no POST yet');

  const lists = d.targets.filter(t => t.list_length !== null);
  const length = lists.reduce((a, t) => a + t.list_length, 0);
  const waiting = d.spools.reduce((a, p) => a + p.events, 0);
  figure('t-list', lists.length ? [count(length), ''] : ['\u2013', '']);
  text('t-list-2', waiting ? count(waiting) + ' in the spool'
    : lists.length ? 'as Redis last told' : 'nothing pushed yet');

  const ok = d.sender.seconds_since_ok;
  figure('t-ok', ok === null ? ['\u2013', ''] : ok < 1 ? ['now', ''] : age(ok));
  text('t-ok-2', ok === null ? 'none yet' : d.sender.owed ? plural(d.sender.owed, 'POST', 'POSTs') + ' owed' : ok < 1 ? '\u00a0' : 'ago');
  $('tile-ok').className = 'tile' + (d.sender.owed ? ' warn' : '');

  const [mood, word, why] = verdict(d, recent);
  $('verdict').className = 'verdict ' + mood;
  text('verdict-word', word);
  text('verdict-why', why);
  document.title = rate(lately('events')) + '/s \u00b7 ' + word;
  const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%23"
    + iconColors[mood] + "'/%3E%3C/svg%3E";
  if ($('icon').getAttribute('href') !== icon) { $('icon').setAttribute('href', icon); }

  section('status', d.events.status, () => split(d.events.status, key => statusColors[key] || 'c-faint', statusNames, 'no event yet'));
  section('media', d.events.media_type, () => split(d.events.media_type, (key, n) => palette[Math.min(n, palette.length - 1)], mediaNames, 'no event yet'));
  section('sender', senderFacts(d), () => facts(senderFacts(d)));
  const results = [
    ['accepted', count(r.accepted)], ['spooled', count(r.spooled), r.spooled ? 'warn' : ''],
    ['quarantined', count(r.quarantined), r.quarantined ? 'warn' : ''],
    ['rejected', count(r.rejected), r.rejected ? 'bad' : ''],
    ['unauthorized', count(r.unauthorized), r.unauthorized ? 'bad' : ''],
)page"
R"page(    ['unavailable', count(r.unavailable), r.unavailable ? 'bad' : ''],
    ['client went away', count(r.abandoned)],
    ['duplicate events', count(d.events.duplicates)]];
  section('results', results, () => facts(results));
  section('targets', d.targets, () => d.targets.length ? d.targets.map(target)
    : [el('p', { class: 'empty' }, 'no esputnik_pass in this configuration')]);
  const seconds_of = d.spools.map(p => p.oldest === null ? null : Math.floor(d.time - p.oldest));
  section('spools', [d.spools, seconds_of], () => d.spools.length ? d.spools.map(p => spool(p, d.time))
    : [el('p', { class: 'empty' }, 'no esputnik_spool: while Redis is away, POSTs are answered 503')]);
  section('p-hist', [d.request_time.buckets, d.redis_time.buckets, $('p-hist').clientWidth],
    () => histogram(d.request_time, d.redis_time));
  section('times', [d.request_time, d.redis_time], () => times(d.request_time, d.redis_time));
  section('reasons', d.refusals, () => split(d.refusals,
    (key, n) => reasonPalette[Math.min(n, reasonPalette.length - 1)], reasonNames, 'none'));
  section('refusals', d.last_refusals, () => refusals(d.last_refusals));

  text('where', d.server + ' on ' + location.host + ', ' + plural(d.workers, 'worker', 'workers'));
  text('f-since', 'counting since ' + new Date(d.since * 1000).toLocaleString());
  text('f-version', 'JSON version ' + d.version);
}

// --- polling -----------------------------------------------------------------

let lastAnswer = 0, timer = 0;

async function poll() {
  clearTimeout(timer);
  const limit = new AbortController();
  const stop = setTimeout(() => limit.abort(), 5000);
  try {
    const answer = await fetch(location.pathname + '?history',
      { headers: { Accept: 'application/json' }, cache: 'no-store', signal: limit.signal });
    if (!answer.ok) { throw new Error('status ' + answer.status); }
    show(await answer.json());
    lastAnswer = Date.now();
    $('live').classList.remove('gone');
    text('when', 'live');
    const pulse = $('pulse');
    pulse.classList.remove('beat');
    void pulse.offsetWidth;
    pulse.classList.add('beat');
  } catch (e) {
    $('live').classList.add('gone');
    text('when', lastAnswer ? 'no answer for ' + words(age((Date.now() - lastAnswer) / 1000)) : 'no answer');
  }
  clearTimeout(stop);
  timer = setTimeout(poll, document.hidden ? 15 * POLL : POLL);
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) { poll(); } });
poll();
</script>
</body>
</html>
)page";

} // namespace ngx_esputnik
