// The pipeline: its stages, tasks, merges, and why windows are open. As in panels.js, text only becomes text nodes.

import * as format from './format.js';
import { MARKS, bar, body, empty, h, seriousness } from './panels.js';

const byId = (id) => document.getElementById(id);
const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
const WAITING_MAX = 6;

export function pipeline(status) {
  const { tasks, merges } = status;
  const cpu = `${format.span(status.cpu_seconds * 1000)} of CPU`;
  byId('pipeline-note').textContent = status.started_ms === 0 ? '' : `up ${format.span(status.now_ms - status.started_ms)} · ${format.bytes(status.rss_bytes)} resident · ${cpu}`;
  byId('flow').replaceChildren(...stages(status));
  equation(status.totals, status.conserved);
  byId('resources').replaceChildren(...resources(status));
  const show = (id, columns, rows, none) => body(id).replaceChildren(...(rows.length === 0 ? [empty(columns, none)] : rows));
  show('tasks', 15, worstFirst(tasks).map((task) => taskRow(task, status)), 'No partition assigned');
  show('merges', 5, merges.map((merge) => mergeRow(merge, status.now_ms)), 'No partition assigned');
  const due = dueFirst(merges);
  show('waiting', 4, due.map((open, at) => waitingRow(open, due[at - 1]?.why === open.why, status.now_ms)), 'No window is open');
}

function stages({ kafka_ready, kafka_problem, standby, rate, tasks, paused, merges, epochs, epochs_in_flight, commit_age_ms, delivery, transactions, sink, now_ms }) {
  const lag = sum(tasks, (task) => Math.max(0, task.lag));
  const oldest = (list) => list.reduce((least, one) => (one.watermark_ms === null ? least : Math.min(least ?? Infinity, one.watermark_ms)), null);
  const age = (ms) => (ms === null ? 'no event yet' : format.span(now_ms - ms));
  const running = tasks.filter((task) => task.state === 'running' || task.state === 'idle').length;
  const exactly = delivery === 'exactly_once';
  return [
    stage('Kafka', kafka_ready ? 'good' : 'bad', kafka_ready ? (standby ? 'standing by: more instances than partitions' : 'assigned') : kafka_problem ?? 'not assigned', [
      ['reading', `${format.rate(rate)}/s`], ['lag', format.count(lag)]]),
    stage('Tasks', tasks.length === 0 || paused ? 'warn' : 'good', paused ? `paused: ${paused}` : `${running} of ${tasks.length} flowing`, [
      ['watermark behind', age(oldest(tasks))], ['open windows', format.count(sum(tasks, (task) => task.open_windows))], ['state', format.bytes(sum(tasks, (task) => task.state_bytes))]]),
    stage('Epochs', epochs_in_flight > 8 ? 'warn' : 'good', `${exactly ? 'exactly once' : 'at least once'} · ${format.count(epochs)} sealed`, [
      ['in flight', format.count(epochs_in_flight)], ['last commit', commit_age_ms === null ? 'none yet' : `${format.span(commit_age_ms)} ago`],
      ...(exactly ? [['transactions', format.compact(transactions.committed)], ['they take, p50', format.millis(transactions.p50_ms)], ['p99', format.millis(transactions.p99_ms)]] : [])]),
    stage('Merge', merges.length === 0 ? 'warn' : 'good', `${merges.length} partition${merges.length === 1 ? '' : 's'} of partials`, [
      ['watermark behind', age(oldest(merges))], ['open windows', format.count(sum(merges, (merge) => merge.open_windows))], ['lag', format.count(sum(merges, (merge) => merge.lag))]]),
    stage('Sink', sink.healthy ? 'good' : 'bad', sink.problem ?? (sink.target || 'not set up'), [
      ['points', format.compact(sink.points_written)], ['refused', format.count(sink.points_refused)], ['retries', format.count(sink.retries)], ['write p99', format.millis(sink.write_p99_ms || null)]]),
  ];
}

function stage(name, level, note, facts) {
  return h(`div.stage.${level}`, {}, h('h3', {}, MARKS[level], name), h('p', { title: note }, note),
    h('dl', {}, facts.map(([term, value]) => [h('dt', {}, term), h('dd', {}, value)])));
}

function equation(totals, conserved) {
  const term = (name, value) => h('span.term', {}, h('b', {}, format.count(value)), h('small', {}, name));
  const sign = (text) => h('span.sign', {}, text);
  byId('equation').replaceChildren(
    h(`strong.${conserved ? 'good' : 'bad'}`, {}, conserved ? '✓ Nothing lost' : '✗ Records unaccounted for'),
    term('consumed', totals.consumed), sign(conserved ? '=' : '≠'), term('counted', totals.counted), sign('+'),
    term('duplicate', totals.duplicates), sign('+'), term('late', totals.late), sign('+'), term('rejected', totals.rejected));
}

/** Memory against its budget, aborted transactions, the lease. */
function resources({ memory, rss_bytes, transactions, delivery, lease_left_ms, lease_ms, sink, now_ms }) {
  const share = memory.budget > 0 ? rss_bytes / memory.budget : 0;
  const level = seriousness(share, 0.8, 1);
  const part = (name, bytes, of) => h(`i.use-${name}`, { title: `${of}: ${format.bytes(bytes)}` });
  const known = [['state', memory.state, 'state'], ['prefetch', memory.prefetch, 'fetched ahead'], ['sink', memory.sink_queue, 'waiting for the sink']];
  const other = Math.max(0, rss_bytes - sum(known, ([, bytes]) => bytes));
  const parts = [...known, ['other', other, 'everything else']];
  const whole = Math.max(memory.budget, rss_bytes, 1);
  const meter = h('div.meter.uses', { role: 'img', 'aria-label': `${format.percent(share)} of the memory budget` }, parts.map(([name, bytes, of]) => {
    const piece = part(name, bytes, of);
    piece.style.width = `${(bytes / whole) * 100}%`;
    return piece;
  }));
  const legend = parts.map(([name, bytes, of]) => h('li', {}, h(`i.use-${name}`, {}), `${of} ${format.bytes(bytes)}`));
  const memoryBlock = h('div', {}, h('h3', {}, 'Memory ', h(`strong.${level}`, {}, `${MARKS[level]}${format.percent(share)}`), h('span', {}, ` of memory.budget, ${format.bytes(memory.budget)}`)),
    meter, h('ul.uses-legend', {}, legend));
  const abort = transactions.last_abort;
  const exactly = delivery === 'exactly_once';
  const aborted = h('div', {}, h('h3', {}, 'Transactions aborted ', h(`strong.${transactions.aborted > 0 ? 'warn' : 'good'}`, {}, exactly ? format.count(transactions.aborted) : 'none: at least once')),
    h('p', {}, abort === null ? (exactly ? 'None since the start' : 'Outputs first, then offsets: a crash repeats outputs') : `last at ${format.moment(abort.at_ms, now_ms)}: ${abort.text}`));
  const leaseLevel = lease_left_ms > 0 ? 'good' : 'bad';
  const lease = h('div', {}, h('h3', {}, 'Membership ', h(`strong.${leaseLevel}`, {}, `${MARKS[leaseLevel]}${format.span(lease_left_ms)}`), h('span', {}, ` of ${format.span(lease_ms)} left`)),
    h('p', {}, lease_left_ms > 0 ? 'The group has confirmed that the partitions are ours' : `The group has not confirmed lately that the partitions are ours: nothing is sent to ${sink.target || 'the sink'}`));
  return [memoryBlock, aborted, lease];
}

const STATES = { running: '▶ running', idle: '◦ idle', paused: '‖ paused', replaying: '↻ replaying' };

function levels(task) {
  const idle = task.state === 'idle';
  return {
    state: task.state === 'paused' ? 'bad' : task.state === 'replaying' ? 'warn' : 'good',
    lag: seriousness(task.lag, Math.max(5000, task.records_per_s * 5), Math.max(50000, task.records_per_s * 60)),
    watermark: idle ? 'good' : seriousness(task.watermark_lag_ms ?? 0, 30000, 120000),
    commit: task.position > task.committed ? seriousness(task.commit_age_ms ?? 0, 10000, 60000) : 'good',
  };
}

const SERIOUS = ['bad', 'warn', 'good'];

function worstFirst(tasks) {
  const worst = (task) => Math.min(...Object.values(levels(task)).map((level) => SERIOUS.indexOf(level)));
  const keyed = tasks.map((task) => [worst(task), task]);
  return keyed.sort(([x, a], [y, b]) => x - y || (x < 2 ? b.lag - a.lag : 0) || a.partition - b.partition).map(([, task]) => task);
}

const STAGES = {
  open: ['open', 'everything sealed is done with'],
  sealed: ['waits for its transaction', 'sealed, and not being written to Kafka yet'],
  publishing: ['being published', 'on its way to Kafka'],
  merging: ['waits for a merge', 'in Kafka; the merges have not dealt with it'],
  sink: ['waits for the sink', 'in Kafka and merged; the sink has not confirmed the points'],
};

function taskRow(task, status) {
  const { now_ms } = status;
  const level = levels(task);
  const [stageName, stageTitle] = STAGES[task.epoch_stage] ?? [task.epoch_stage, ''];
  const waits = task.epochs_in_flight > 0 ? ` ${format.span(now_ms - task.epoch_since_ms)}` : '';
  const marked = (at, text, title = null) => h(`td.num.${at}`, { title }, MARKS[at], text);
  return h('tr', {}, h('th.num', { scope: 'row', title: `worker ${task.worker}` }, task.partition), taskState(task, status, level.state),
    marked(level.lag, format.count(task.lag), `${format.count(task.position)} of ${format.count(task.end)}`), num(format.rate(task.records_per_s)),
    num(format.moment(task.watermark_ms, now_ms)), marked(level.watermark, format.span(task.watermark_lag_ms)),
    h('td', { title: `epoch ${task.epoch} is open, ${task.epochs_in_flight} in flight; the oldest: ${stageTitle}` }, `${format.count(task.epoch)} · ${stageName}${waits}`),
    marked(level.commit, task.commit_age_ms === null ? 'none yet' : format.span(task.commit_age_ms)), num(format.count(Math.max(0, task.position - task.committed))),
    snapshotCell(task, status), num(format.count(task.late)),
    h('td.num', { title: task.jumps_forgotten > 0 ? `${task.jumps_forgotten} more had no room in the commit` : null }, format.count(task.jumps)),
    num(format.count(task.open_windows)), num(format.compact(task.users)), num(format.bytes(task.state_bytes)));
}

function taskState(task, { now_ms }, level) {
  if (task.replay) {
    const { from, at, to, left } = task.replay;
    const time = task.records_per_s > 0 ? `, ${format.span((left / task.records_per_s) * 1000)}` : '';
    return h('td.bar.progress', { title: `offsets ${format.count(from)} to ${format.count(to)}, now at ${format.count(at)}` },
      bar(to > from ? (at - from) / (to - from) : 0), h('span', {}, `${STATES.replaying} ${format.percent(to > from ? (at - from) / (to - from) : 0)}, ${format.compact(left)} left${time}`));
  }
  const since = task.state === 'running' ? '' : ` since ${format.moment(task.state === 'idle' ? task.idle_since_ms ?? task.since_ms : task.since_ms, now_ms)}`;
  return h(`td.${level}`, { title: task.paused }, `${STATES[task.state] ?? task.state}${since}`);
}

function snapshotCell(task, { snapshots }) {
  if (!snapshots) return h('td.num.off', { title: 'snapshots are off: a restart replays the log' }, 'off');
  const own = snapshots.tasks.find((of) => of.partition === task.partition);
  const none = !own || own.age_ms === null;
  return h('td.num', { title: none ? null : format.bytes(own.bytes) }, none ? 'none yet' : format.span(own.age_ms));
}

function mergeRow(merge, now) {
  const [partition, watermark] = merge.waits_for ?? [null, null];
  const whose = partition === null ? 'nobody has reported yet' : `${watermark === null ? 'no event yet' : format.moment(watermark, now)} · partition ${partition}`;
  return h('tr', {}, h('th.num', { scope: 'row' }, merge.partition), num(format.count(merge.open_windows)), h('td', {}, whose),
    num(merge.watermark_ms === null ? '–' : format.span(now - merge.watermark_ms)), num(format.count(merge.lag)));
}

function dueFirst(merges) {
  return merges.flatMap((merge) => merge.waiting).sort((a, b) => a.closes_ms - b.closes_ms || a.start_ms - b.start_ms).slice(0, WAITING_MAX);
}

/** Reasons that are the usual course; everything else is for someone to look at. */
const USUAL = new Set(['filling', 'lateness', 'closing', 'quiet', 'idle', 'unpublished']);

function waitingRow(open, asAbove, now) {
  const others = open.others > 0 ? ` and ${open.others} more` : '';
  const stands = open.stands_since_ms === null ? '' : `, standing since ${format.moment(open.stands_since_ms, now)}`;
  const waits = open.waits_for === null ? '–' : `partition ${open.waits_for}${others}${open.watermark_ms === null ? ', no event yet' : `, at ${format.moment(open.watermark_ms, now)}${stands}`}`;
  return h('tr', {}, h('th', { scope: 'row', title: `closes when every watermark has reached ${format.moment(open.closes_ms, now)}` }, `${format.moment(open.start_ms, now)} (${format.span(open.end_ms - open.start_ms)})`),
    h('td', {}, format.moment(open.opened_ms, now)), h('td.words', {}, waits),
    h(`td.words.${USUAL.has(open.reason) ? 'good' : 'warn'}`, { title: open.why }, USUAL.has(open.reason) ? '' : MARKS.warn, asAbove ? 'as above' : format.localTimes(open.why, now)));
}

function num(text) {
  return h('td.num', {}, text);
}
