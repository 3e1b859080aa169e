// Asks for the numbers once a second and hands them to the charts and panels.

import * as charts from './charts.js';
import * as format from './format.js';
import * as panels from './panels.js';
import { pipeline } from './pipeline.js';

const EVERY_MS = 1000;
const PATIENCE_MS = 4000;
const INCIDENTS = {
  'error-spike': { title: 'Error spike', text: 'requests to the route fail with 5xx', onRoute: true },
  latency: { title: 'Latency', text: 'the route answers several times as slowly', onRoute: true },
  'traffic-drop': { title: 'Traffic drop', text: 'most shoppers stay away from the whole shop', onRoute: false },
  'search-outage': { title: 'Search outage', text: 'the search fails', onRoute: false },
};

const byId = (id) => document.getElementById(id);
const state = { live: null, status: null, minutes: 15, sort: { by: 'requests_per_s', up: false }, failedSince: null };

async function fetchJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: 'no-store' });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function refresh() {
  try {
    [state.live, state.status] = await Promise.all([fetchJson('/api/v1/live'), fetchJson('/api/v1/status')]);
    state.failedSince = null;
    show();
  } catch (error) {
    state.failedSince ??= Date.now();
    console.warn(error);
  }
  showBanner();
}

async function run() {
  for (;;) {
    const begun = performance.now();
    // A hidden page asks for nothing; it catches up when it is looked at again.
    if (!document.hidden || state.live === null) await refresh();
    await new Promise((resolve) => setTimeout(resolve, Math.max(100, EVERY_MS - (performance.now() - begun))));
  }
}

function show() {
  const { live, status } = state;
  panels.tiles(live, status);
  showCharts();
  panels.routes(live, state.sort);
  panels.firstClick(live);
  panels.ranks('urls', live.urls, live.window_ms / 1000);
  panels.ranks('users', live.users, live.window_ms / 1000);
  panels.counts('events', live.events_per_s, format.rate, 'No events yet');
  panels.counts('quality', status.by_reason, format.count, 'Every record was counted');
  panels.notes(status.notes);
  pipeline(status);
  panels.problems(status.errors);
  showHead();
  showIncidents();
}

function showCharts() {
  const { live, status } = state;
  const newest = live.windows.at(-1);
  const to = newest ? newest.start_ms + live.window_ms : status.now_ms;
  // While there is less history than asked for, the axis covers what there is, and three minutes at least.
  const history = live.windows.length > 0 ? to - live.windows[0].start_ms : 0;
  const from = to - Math.min(state.minutes * 60000, Math.max(180000, history));
  const view = { from, to, windowMs: live.window_ms, annotations: live.annotations, windows: live.windows.filter((window) => window.start_ms >= from) };
  charts.traffic(byId('chart-traffic'), view);
  charts.errorRates(byId('chart-errors'), view);
  charts.slowest(byId('chart-latency'), view);
}

const VERDICTS = { healthy: '● Healthy', starting: '◌ Starting', degraded: '▲ Degraded', unhealthy: '✕ Unhealthy' };

function showHead() {
  const { status } = state;
  const verdict = byId('verdict');
  if (verdict.dataset.level !== status.health.level) {
    verdict.dataset.level = status.health.level;
    verdict.textContent = VERDICTS[status.health.level];
  }
  verdict.title = status.health.reasons.join('\n');
  byId('source').textContent = [status.instance, status.source].filter(Boolean).join(' · ') || 'starting';
  byId('version').textContent = `Clickpulse ${status.version}`;
  byId('clock').textContent = format.clock(status.now_ms);
  document.title = status.health.level === 'healthy' ? `${format.rate(state.live.recent.requests_per_s)}/s · Clickpulse` : `${VERDICTS[status.health.level]} · Clickpulse`;
}

function showBanner() {
  const banner = byId('banner');
  const reasons = state.status?.health.reasons ?? [];
  let text = reasons.join(' · ');
  if (state.failedSince !== null) {
    const since = state.live === null ? '' : ` since ${format.clock(state.failedSince)}: what you see is as of then`;
    text = `The processor does not answer${since}. Trying again every second.`;
    byId('verdict').dataset.level = 'unknown';
    byId('verdict').textContent = '✕ Unreachable';
  }
  banner.dataset.level = state.failedSince === null ? state.status.health.level : 'unreachable';
  document.body.classList.toggle('stale', state.failedSince !== null);
  banner.hidden = text === '';
  if (banner.textContent !== text) banner.textContent = text;
}

function showIncidents() {
  const kinds = state.status.incident_kinds;
  byId('incidents').hidden = kinds.length === 0;
  const buttons = byId('incident-kinds');
  if (buttons.childElementCount !== kinds.length) {
    buttons.replaceChildren(...kinds.map((kind) => {
      const { title, text, onRoute } = INCIDENTS[kind] ?? { title: kind, text: '', onRoute: true };
      const button = panels.h('button', { type: 'button', title: text }, title);
      button.addEventListener('click', () => startIncident(kind, title, onRoute));
      return button;
    }));
  }
  const select = byId('incident-route');
  const wanted = ['', ...state.status.incident_routes];
  // A list that is open in front of someone must not change under them.
  if (document.activeElement !== select && wanted.join() !== [...select.options].map((option) => option.value).join()) {
    const chosen = select.value;
    select.replaceChildren(...wanted.map((route) => panels.h('option', { value: route }, route || 'every route')));
    select.value = wanted.includes(chosen) ? chosen : '';
    if (!select.dataset.touched && wanted.includes('/checkout')) select.value = '/checkout';
  }
  const running = state.live.annotations.filter((note) => note.end_ms > state.status.now_ms);
  const note = byId('incident-note');
  if (running.length > 0) {
    note.textContent = running.map((one) => `${one.title}: ${format.span(one.end_ms - state.status.now_ms)} left`).join(' · ');
  } else if (!note.dataset.until || Date.now() > Number(note.dataset.until)) {
    note.textContent = 'Watch the error rate, the routes and the charts’ shaded marks.';
  }
}

async function startIncident(kind, title, onRoute) {
  const note = byId('incident-note');
  const route = onRoute && byId('incident-route').value !== '' ? byId('incident-route').value : null;
  const body = { kind, route, seconds: Number(byId('incident-seconds').value) };
  try {
    const answer = await fetch('/api/v1/incidents', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Clickpulse': 'page' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    note.textContent = answer.ok ? `${title} begins: the charts show it within seconds.` : (await answer.json()).error;
  } catch {
    note.textContent = `${title} was not started: the processor does not answer.`;
  }
  note.dataset.until = Date.now() + 6000;
}

function wire() {
  for (const button of document.querySelectorAll('[data-minutes]')) {
    button.addEventListener('click', () => {
      state.minutes = Number(button.dataset.minutes);
      for (const other of document.querySelectorAll('[data-minutes]')) other.setAttribute('aria-pressed', String(other === button));
      if (state.live) showCharts();
    });
    button.setAttribute('aria-pressed', String(Number(button.dataset.minutes) === state.minutes));
  }
  for (const head of document.querySelectorAll('#routes th[data-sort]')) {
    head.querySelector('button').addEventListener('click', () => {
      const by = head.dataset.sort;
      state.sort = { by, up: state.sort.by === by ? !state.sort.up : by === 'route' };
      markSort();
      if (state.live) panels.routes(state.live, state.sort);
    });
  }
  markSort();
  byId('incident-route').addEventListener('change', (event) => { event.target.dataset.touched = 'yes'; });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
}

function markSort() {
  for (const head of document.querySelectorAll('#routes th[data-sort]')) {
    const sorted = head.dataset.sort === state.sort.by;
    if (sorted) head.setAttribute('aria-sort', state.sort.up ? 'ascending' : 'descending');
    else head.removeAttribute('aria-sort');
  }
}

wire();
run();
