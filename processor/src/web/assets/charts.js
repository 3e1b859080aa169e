// The charts: SVG drawn from scratch each second, with axes, legend, annotations and a reading for mouse and keyboard.

import * as format from './format.js';

const NS = 'http://www.w3.org/2000/svg';
const HEIGHT = 210;
const EDGE = { top: 18, right: 12, bottom: 22, left: 52 };
const CLASSES = ['2xx', '3xx', '4xx', '5xx'];
const LINES_MAX = 6;

/** The chart that is being read, by the time pointed at: shared, so that all charts show the same moment. */
const reading = { at: null };
const redraws = new Map();

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Requests per second, stacked by status class. */
export function traffic(figure, view) {
  const rows = view.windows.map((window) => {
    const byClass = { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 };
    for (const [status, requests] of Object.entries(window.by_status)) {
      const name = `${status[0]}xx`;
      if (name in byClass) byClass[name] += requests / window.seconds;
    }
    return { window, byClass, total: window.requests / window.seconds };
  });
  const legend = CLASSES.map((name) => ({ name, mark: `fill-${name}` }));
  draw(figure, view, {
    max: Math.max(1, ...rows.map((row) => row.total)),
    label: format.compact,
    legend,
    plot(axes, into) {
      const paths = {};
      for (const { window, byClass } of rows) {
        const left = axes.x(window.start_ms);
        const width = Math.max(1, axes.x(window.start_ms + view.windowMs) - left - 1);
        let base = 0;
        for (const name of CLASSES) {
          if (byClass[name] === 0) continue;
          const [low, high] = [axes.y(base), axes.y(base + byClass[name])];
          const key = `fill-${name}${window.open ? ' open' : ''}`;
          paths[key] = `${paths[key] ?? ''}M${left.toFixed(1)} ${low.toFixed(1)}h${width.toFixed(1)}V${high.toFixed(1)}h${(-width).toFixed(1)}Z`;
          base += byClass[name];
        }
      }
      for (const [key, d] of Object.entries(paths)) into.append(svg('path', { d, class: key }));
    },
    read(index) {
      const row = rows[index];
      const lines = CLASSES.map((name) => [`fill-${name}`, name, `${format.rate(row.byClass[name])}/s`]);
      return [...lines, [null, 'all', `${format.rate(row.total)}/s`]];
    },
  });
}

/** The share of each error status in all requests. */
export function errorRates(figure, view) {
  const totals = new Map();
  for (const window of view.windows) {
    for (const [status, requests] of Object.entries(window.by_status)) {
      if (status >= '400' && requests > 0) totals.set(status, (totals.get(status) ?? 0) + requests);
    }
  }
  const shown = [...totals.entries()].sort((a, b) => b[1] - a[1]).slice(0, LINES_MAX).map(([status]) => status).sort();
  const value = (window, status) => (window.requests === 0 ? null : (window.by_status[status] ?? 0) / window.requests);
  const series = shown.map((status) => ({
    name: status,
    mark: `line-${status[0]}xx line-${status}`,
    values: view.windows.map((window) => value(window, status)),
  }));
  lines(figure, view, series, { floor: 0.01, label: format.percent, empty: 'No errors in this range' });
}

/** The highest p95 of any route. */
export function slowest(figure, view) {
  const values = view.windows.map((window) => window.worst_p95_ms);
  const read = (index) => [['line-p95', view.windows[index].worst_route ?? 'no latencies', format.millis(values[index])]];
  const series = [{ name: 'p95', mark: 'line-p95', values }];
  lines(figure, view, series, { floor: 10, label: format.millis, empty: 'No latencies in this range', read, area: true });
}

/** A line without axes, for tiles and table cells; `values` may hold nulls. */
export function sparkline(values, { width = 84, height = 20, floor = 0, mark = 'spark' } = {}) {
  const root = svg('svg', { class: mark, width, height, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  if (values.length < 2) return root;
  const max = Math.max(floor, ...values.filter((value) => value !== null));
  const x = (i) => (i / (values.length - 1)) * (width - 2) + 1;
  const y = (value) => height - 1.5 - (max > 0 ? value / max : 0) * (height - 3);
  root.append(svg('path', { d: linePath(values, x, y), class: 'stroke' }));
  return root;
}

function lines(figure, view, series, { floor, label, empty, read, area }) {
  const centre = (window) => window.start_ms + view.windowMs / 2;
  const all = series.flatMap((one) => one.values).filter((value) => value !== null);
  const openFrom = view.windows.findIndex((window) => window.open);
  draw(figure, view, {
    max: Math.max(floor, ...all),
    label,
    legend: series.map(({ name, mark }) => ({ name, mark, line: true })),
    empty: all.length === 0 ? empty : null,
    plot(axes, into) {
      const x = (i) => axes.x(centre(view.windows[i]));
      for (const { name, mark, values } of series) {
        const complete = openFrom < 0 ? values : values.map((value, i) => (i < openFrom ? value : null));
        if (area) into.append(svg('path', { d: areaPath(complete, x, axes.y), class: `${mark} area` }));
        into.append(svg('path', { d: linePath(complete, x, axes.y), class: mark }));
        if (openFrom > 0) {
          const filling = values.map((value, i) => (i >= openFrom - 1 ? value : null));
          into.append(svg('path', { d: linePath(filling, x, axes.y), class: `${mark} open` }));
        }
        const last = values.findLastIndex((value) => value !== null);
        if (last >= 0) into.append(svg('circle', { cx: x(last), cy: axes.y(values[last]), r: 2.5, class: `${mark} dot` }));
        if (series.length > 1 && last >= 0) axes.ends.push({ name, y: axes.y(values[last]) });
      }
    },
    read: read ?? ((index) => series.map(({ name, mark, values }) => [mark, name, label(values[index])])),
  });
}

function linePath(values, x, y) {
  let d = '';
  let pen = false;
  values.forEach((value, i) => {
    if (value !== null && value !== undefined) d += `${pen ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = value !== null && value !== undefined;
  });
  return d;
}

function areaPath(values, x, y) {
  const points = values.map((value, i) => [value, i]).filter(([value]) => value !== null);
  if (points.length < 2) return '';
  const [first, last] = [points[0][1], points.at(-1)[1]];
  const line = points.map(([value, i]) => `L${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join('');
  return `M${x(first).toFixed(1)} ${y(0).toFixed(1)}${line}L${x(last).toFixed(1)} ${y(0).toFixed(1)}Z`;
}

function draw(figure, view, chart) {
  redraws.set(figure, () => draw(figure, view, chart));
  const parts = figureParts(figure);
  const width = Math.max(220, figure.clientWidth - 2);
  const right = chart.legend.length > 1 && chart.legend[0].line ? EDGE.right + 24 : EDGE.right;
  const ticks = niceTicks(chart.max);
  const top = ticks.at(-1);
  const axes = {
    x: (ms) => EDGE.left + ((ms - view.from) / (view.to - view.from)) * (width - EDGE.left - right),
    y: (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom),
    ends: [],
  };
  const root = svg('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, 'aria-hidden': 'true' });
  for (const tick of ticks) {
    const y = axes.y(tick);
    root.append(svg('line', { x1: EDGE.left, x2: width - right, y1: y, y2: y, class: tick === 0 ? 'axis' : 'grid' }));
    root.append(svg('text', { x: EDGE.left - 6, y: y + 3.5, class: 'tick end' }, chart.label(tick)));
  }
  for (const ms of timeTicks(view, width)) {
    root.append(svg('line', { x1: axes.x(ms), x2: axes.x(ms), y1: HEIGHT - EDGE.bottom, y2: HEIGHT - EDGE.bottom + 4, class: 'axis' }));
    const atEdge = axes.x(ms) > width - 18;
    root.append(svg('text', { x: atEdge ? width - 2 : axes.x(ms), y: HEIGHT - 6, class: `tick ${atEdge ? 'end' : 'middle'}` }, format.minute(ms)));
  }
  drawAnnotations(root, view, axes);
  const plot = svg('g', { class: 'plot' });
  chart.plot(axes, plot);
  root.append(plot);
  for (const end of spread(axes.ends)) root.append(svg('text', { x: width - right + 5, y: end.y + 3.5, class: 'tick' }, end.name));
  if (chart.empty || view.windows.length === 0) {
    const text = view.windows.length === 0 ? 'Waiting for the first window' : chart.empty;
    root.append(svg('text', { x: (EDGE.left + width) / 2, y: HEIGHT / 2, class: 'empty middle' }, text));
  }
  const index = readingIndex(view);
  if (index >= 0) {
    const x = axes.x(view.windows[index].start_ms + view.windowMs / 2);
    root.append(svg('line', { x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: 'cursor' }));
  }
  parts.canvas.replaceChildren(root);
  showLegend(parts.legend, chart.legend);
  showReading(parts.tip, view, chart, index, axes, width);
  figure.setAttribute('role', 'group');
  const last = view.windows.findLastIndex((window) => !window.open);
  const spoken = last < 0 ? 'no complete window yet' : chart.read(last).map(([, name, value]) => `${name} ${value}`).join(', ');
  figure.setAttribute('aria-label', `${figure.querySelector('figcaption').textContent.trim()}: ${spoken}`);
  parts.pointer = (clientX) => {
    const left = root.getBoundingClientRect().left;
    const share = (clientX - left - EDGE.left) / (width - EDGE.left - right);
    return view.from + share * (view.to - view.from);
  };
  parts.view = view;
}

function drawAnnotations(root, view, axes) {
  const right = axes.x(view.to);
  const shown = view.annotations.filter((note) => note.end_ms >= view.from && note.start_ms <= view.to);
  let taken = -Infinity;
  for (const note of shown.sort((a, b) => a.start_ms - b.start_ms)) {
    const from = axes.x(Math.max(view.from, note.start_ms));
    const to = axes.x(Math.min(view.to, Math.max(note.end_ms, note.start_ms)));
    const size = { y: EDGE.top, height: HEIGHT - EDGE.top - EDGE.bottom };
    root.append(svg('rect', { x: from, width: Math.max(1, to - from), ...size, class: 'note' }, svg('title', {}, note.text)));
    root.append(svg('line', { x1: from, x2: from, y1: EDGE.top - 4, y2: HEIGHT - EDGE.bottom, class: 'note-edge' }));
    // Seven pixels a letter: text near the right edge ends there instead of running out of the chart, and one that
    // would run into its neighbour goes a line lower.
    const width = note.title.length * 7;
    const x = Math.min(from + 3, right - width);
    const y = x < taken ? EDGE.top + 9 : EDGE.top - 6;
    root.append(svg('text', { x, y, class: 'note-text' }, note.title));
    taken = Math.max(taken, x + width);
  }
}

const parts = new WeakMap();

function figureParts(figure) {
  if (parts.has(figure)) return parts.get(figure);
  const made = { canvas: document.createElement('div'), legend: document.createElement('ul'), tip: document.createElement('div') };
  made.canvas.className = 'canvas';
  made.legend.className = 'legend';
  made.tip.className = 'tip';
  made.tip.setAttribute('role', 'status');
  made.tip.hidden = true;
  figure.append(made.canvas, made.legend, made.tip);
  parts.set(figure, made);
  made.canvas.addEventListener('pointermove', (event) => readAt(made.pointer?.(event.clientX) ?? null));
  made.canvas.addEventListener('pointerleave', () => readAt(null));
  figure.addEventListener('blur', () => readAt(null));
  figure.addEventListener('keydown', (event) => readByKey(event, made.view));
  new ResizeObserver(() => redraws.get(figure)?.()).observe(figure);
  return made;
}

function readByKey(event, view) {
  const last = (view?.windows.length ?? 0) - 1;
  if (last < 0) return;
  const now = readingIndex(view);
  const next = { ArrowLeft: now < 0 ? last : now - 1, ArrowRight: now < 0 ? last : now + 1, Home: 0, End: last }[event.key];
  if (event.key === 'Escape') readAt(null);
  if (next === undefined) return;
  event.preventDefault();
  readAt(view.windows[Math.min(last, Math.max(0, next))].start_ms + view.windowMs / 2);
}

function readAt(ms) {
  reading.at = ms;
  for (const redraw of redraws.values()) redraw();
}

function readingIndex(view) {
  if (reading.at === null) return -1;
  return view.windows.findIndex((window) => reading.at >= window.start_ms && reading.at < window.start_ms + view.windowMs);
}

function showLegend(list, entries) {
  const wanted = entries.map(({ name, mark }) => `${name}|${mark}`).join();
  if (list.dataset.shown === wanted) return;
  list.dataset.shown = wanted;
  list.replaceChildren(...entries.map(({ name, mark, line }) => {
    const item = document.createElement('li');
    item.append(swatch(mark, line), name);
    return item;
  }));
}

function swatch(mark, line) {
  const root = svg('svg', { width: 16, height: 10, 'aria-hidden': 'true', class: 'plot' });
  root.append(line ? svg('path', { d: 'M0 5H16', class: mark }) : svg('path', { d: 'M2 0h11v10h-11Z', class: mark }));
  return root;
}

function showReading(tip, view, chart, index, axes, width) {
  tip.hidden = index < 0;
  if (index < 0) return;
  const window = view.windows[index];
  const head = document.createElement('strong');
  head.textContent = `${format.clock(window.start_ms)}${window.open ? ' (still filling)' : ''}`;
  const rows = chart.read(index).map(([mark, name, value]) => {
    const row = document.createElement('div');
    const figure = document.createElement('b');
    figure.textContent = value;
    const text = document.createElement('span');
    text.textContent = name;
    row.append(mark ? swatch(mark, !mark.startsWith('fill')) : '', text, figure);
    return row;
  });
  tip.replaceChildren(head, ...rows);
  const x = axes.x(window.start_ms + view.windowMs / 2);
  tip.style.left = x > width / 2 ? 'auto' : `${x + 14}px`;
  tip.style.right = x > width / 2 ? `${width - x + 14}px` : 'auto';
}

/** Up to five round numbers from 0 to at least `max`. */
function niceTicks(max) {
  const rough = max / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  return Array.from({ length: Math.ceil((max / step) * 0.999) + 1 }, (_, i) => i * step);
}

function timeTicks(view, width) {
  const minutes = [1, 2, 5, 10, 15].find((step) => ((view.to - view.from) / (step * 60000)) * 46 < width - 60) ?? 30;
  const step = minutes * 60000;
  const ticks = [];
  for (let ms = Math.ceil(view.from / step) * step; ms <= view.to; ms += step) ticks.push(ms);
  return ticks;
}

/** Moves labels apart that would overlap. */
function spread(ends) {
  const sorted = ends.sort((a, b) => b.y - a.y);
  let above = HEIGHT - EDGE.bottom + 6;
  for (const end of sorted) {
    end.y = Math.min(end.y, above - 11);
    above = end.y;
  }
  return sorted;
}
