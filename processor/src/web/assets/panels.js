// Tiles and tables. Text only ever becomes text nodes: URLs and user ids come from strangers.

import { sparkline } from './charts.js';
import * as format from './format.js';

/** `h('td.num', {title}, …children)`: an element. */
export function h(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split('.');
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);
export const body = (id) => byId(id).querySelector('tbody');
export const seriousness = (value, warn, bad) => (value >= bad ? 'bad' : value >= warn ? 'warn' : 'good');
/** Never colour alone. */
export const MARKS = { good: '', warn: '▲ ', bad: '✕ ' };

/** What the status was at the last polls: it comes without a history of its own. */
const history = [];
const HISTORY_MAX = 120;

export function tiles(live, status) {
  const complete = live.windows.filter((window) => !window.open);
  const values = (of) => complete.slice(-60).map(of);
  const { recent } = live;
  const lag = status.tasks.reduce((sum, task) => sum + Math.max(0, task.lag), 0);
  history.push({ lag, freshness: status.freshness_p99_ms });
  if (history.length > HISTORY_MAX) history.shift();
  const some = live.windows.length > 0;
  const first = live.first_click;
  const share = first.checkouts > 0 ? first.attributed / first.checkouts : null;
  const filling = some && !recent.complete ? 'first window still filling' : null;
  const list = [
    tile('Requests', some ? format.rate(recent.requests_per_s) : null, '/s', filling ?? 'over the last minute', {
      trend: values((window) => window.requests / window.seconds), title: 'Requests of the last minute of complete windows, per second',
    }),
    tile('Error ratio', some ? format.percent(recent.error_ratio) : null, '', `4xx ${format.percent(recent.client_error_ratio)}`, {
      level: seriousness(recent.error_ratio, 0.01, 0.05), trend: values((window) => (window.requests ? window.errors / window.requests : 0)),
      title: 'Requests with a status of 500 and above, divided by all, over the last minute',
    }),
    tile('p95, slowest route', recent.worst_p95_ms === null ? null : format.millis(recent.worst_p95_ms), '', recent.worst_route ?? 'no latencies yet', {
      level: recent.worst_p95_ms === null ? 'good' : seriousness(recent.worst_p95_ms, 800, 2000), trend: values((window) => window.worst_p95_ms),
      title: 'The highest 95th percentile of any route in the latest complete window',
    }),
    tile('Users', some ? format.compact(recent.users) : null, '', `distinct, in ${format.span(live.window_ms)}`, {
      trend: values((window) => window.users), title: 'Distinct users of the latest complete window',
    }),
    tile('Attributed', share === null ? null : format.percent(share), '', `of ${format.count(first.checkouts)} checkouts`, {
      trend: values((window) => (window.checkouts > 0 ? window.attributed / window.checkouts : null)),
      title: 'Checkouts credited to the first click on the product within the hour before, over all windows held',
    }),
    tile('Freshness p99', status.freshness_p99_ms > 0 ? format.millis(status.freshness_p99_ms) : null, '', `median ${format.millis(status.freshness_p50_ms || null)}`, {
      level: seriousness(status.freshness_p99_ms, 2000, 10000), trend: history.map((past) => past.freshness), title: 'From the broker taking an event to its window being confirmed in the sink',
    }),
    tile('Lag', format.compact(lag), '', `reading ${format.rate(status.rate)}/s`, {
      level: seriousness(lag, Math.max(5000, status.rate * 5), Math.max(50000, status.rate * 60)), trend: history.map((past) => past.lag), title: 'Records not yet read, over all partitions',
    }),
  ];
  byId('tiles').replaceChildren(...list);
}

function tile(name, value, unit, note, { level = 'good', trend = null, title = '' } = {}) {
  const figure = value === null ? h('b.none', {}, '–') : h('b', {}, MARKS[level], value, unit ? h('i', {}, unit) : null);
  return h(`div.tile.panel.${value === null ? 'good' : level}`, { title }, h('span.name', {}, name), figure,
    h('span.note', { title: note }, note), trend ? sparkline(trend, { width: 150, height: 22 }) : null);
}

export function routes(live, sort) {
  const rows = [...live.routes].sort((a, b) => {
    const [x, y] = [a[sort.by], b[sort.by]];
    return (sort.up ? 1 : -1) * (typeof x === 'string' ? x.localeCompare(y) : x - y) || b.requests - a.requests;
  });
  const busiest = Math.max(1, ...rows.map((row) => row.requests_per_s));
  body('routes').replaceChildren(...rows.map((row) => {
    const level = seriousness(row.error_ratio, 0.01, 0.05);
    const latency = (value) => h('td.num', {}, row.latency_count > 0 ? format.millis(value) : '–');
    return h('tr', {},
      h('th.route', { scope: 'row', title: row.route }, h('span.methods', {}, row.methods.join(' ')), row.route),
      h('td.num.bar', {}, bar(row.requests_per_s / busiest), h('span', {}, format.rate(row.requests_per_s))),
      h(`td.num.${level}`, {}, MARKS[level], format.percent(row.error_ratio)),
      h('td.num', {}, format.percent(row.client_error_ratio)),
      h('td.trend', {}, sparkline(row.error_history, { floor: 0.02, mark: 'spark line-5xx' })),
      latency(row.p50_ms), latency(row.p95_ms), latency(row.p99_ms));
  }));
  if (rows.length === 0) body('routes').replaceChildren(empty(8, 'No requests yet'));
  const hidden = live.routes_known - live.routes.length;
  byId('routes-note').textContent = `${hidden > 0 ? `the ${live.routes.length} busiest of ${live.routes_known}; ` : ''}rates over the last minute, latencies of the latest window`;
}

export function bar(share) {
  const fill = h('span.fill', { 'aria-hidden': 'true' });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return fill;
}

export function empty(columns, text) {
  return h('tr.empty', {}, h('td', { colspan: columns }, text));
}

export function ranks(id, rows, unitSeconds) {
  const most = Math.max(1, ...rows.map((row) => row.requests));
  const items = rows.slice(0, 20).map((row) => h('li.bar', { title: row.text }, bar(row.requests / most), h('span.text', {}, row.text),
    row.errors > 0 ? h('em', { title: 'errors (5xx)' }, `✕ ${format.count(row.errors)}`) : null,
    h('b', { title: `${format.rate(row.requests / unitSeconds)}/s` }, format.count(row.requests))));
  byId(id).replaceChildren(...(items.length > 0 ? items : [h('li.empty', {}, 'Nothing yet')]));
}

const CURRENCIES_SHOWN = 3;

export function firstClick(live) {
  const first = live.first_click;
  byId('first-note').textContent = first.from_ms === null ? '' : `since ${format.clock(first.from_ms)}`;
  if (first.checkouts === 0) {
    byId('first').replaceChildren(h('p.empty', {}, 'No checkout decided yet: a checkout is decided once the watermark has passed it'));
    return;
  }
  const share = first.attributed / first.checkouts;
  const meter = h('div.meter', { role: 'img', 'aria-label': `${format.percent(share)} attributed` }, bar(share));
  const fact = (value, name) => h('div', {}, h('b', {}, value), h('span', {}, name));
  const lines = first.orders === first.checkouts ? 'checkouts' : `checkouts of ${format.count(first.orders)} orders`;
  // Amounts of different currencies neither add up nor compare.
  const most = (currency) => Math.max(1, ...first.campaigns.filter((row) => row.currency === currency).map((row) => row.revenue_cents));
  const amount = (row) => `${format.money(row.revenue_cents)}${row.currency === 'none' ? '' : ` ${row.currency}`}`;
  const rows = first.campaigns.slice(0, 10).map((row) => h('tr', {}, h('th.route', { scope: 'row', title: row.campaign }, row.campaign === 'none' ? 'no campaign' : row.campaign),
    h('td.num', {}, format.count(row.conversions)),
    h('td.num.bar', {}, bar(row.revenue_cents / most(row.currency)), h('span', {}, amount(row)))));
  const revenue = first.revenue.slice(0, CURRENCIES_SHOWN).map((row) => fact(amount(row), 'revenue'));
  const others = first.revenue.length - CURRENCIES_SHOWN;
  if (others > 0) {
    revenue.push(fact(`+ ${format.count(others)}`, 'other currencies'));
  }
  byId('first').replaceChildren(
    h('div.facts', {}, fact(format.count(first.checkouts), lines), fact(format.percent(share), 'attributed'), ...revenue,
      fact(`${format.span(first.lag_p50_s * 1000)}`, 'click to checkout, p50')),
    meter,
    h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Campaign of the first click'), h('th.num', { scope: 'col' }, 'Checkouts'),
      h('th.num', { scope: 'col' }, 'Revenue'))), h('tbody', {}, rows.length > 0 ? rows : empty(3, 'No attributed checkout yet'))));
}

export function counts(id, entries, show, none) {
  const sorted = Object.entries(entries).filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]).slice(0, 10);
  const most = Math.max(...sorted.map(([, value]) => value));
  const rows = sorted.map(([name, value]) => h('div.bar', {}, bar(value / most), h('span.text', {}, name.replaceAll('_', ' ')), h('b', {}, show(value))));
  byId(id).replaceChildren(h('div.counts', {}, rows.length > 0 ? rows : h('p.empty', {}, none)));
}

export function problems(errors) {
  const items = [...errors].reverse().slice(0, 12).map((error) => h('li', {}, h('time', {}, format.clock(error.at_ms)), h('span', {}, error.times > 1 ? `${error.text} (${format.count(error.times)} times)` : error.text)));
  byId('problems').replaceChildren(...(items.length > 0 ? items : [h('li.empty', {}, 'None')]));
}
