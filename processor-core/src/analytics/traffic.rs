//! Requests and errors by route, method and status; latency; distinct and top users; top URLs; events by type.

mod snapshot;

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use events::EventType;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PointMaker, Span, integer, sum_by_name};
use crate::ahead::{Prepared, is_error};
use crate::count_map::CountMap;
use crate::interner::OTHER_SLOT;
use crate::point::FieldValue;
use crate::route::{METHODS, OTHER};
use crate::schema;
use crate::sketch::Sketch;
use crate::tables::Tables;

/// Ranks written for URLs and users.
pub(crate) const TOP: usize = 20;
/// URLs a task sends on per window. The merged top 20 is exact while no task has more URLs than this in a window;
/// beyond it a URL can be missing only if it ranks below this in every task that saw it.
const URL_CANDIDATES: usize = 1_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    events: [u64; EventType::ALL.len()],
    /// Requests by series number.
    series: Vec<u64>,
    /// By user slot: every user with an event is present, with its requests. Events without a user are not.
    users: CountMap,
    /// By URL slot.
    urls: CountMap,
    /// By route slot; boxed, as most routes of a window have none.
    latency: Vec<Option<Box<Sketch>>>,
}

impl Window {
    /// Counts an event of this window.
    #[inline]
    pub(crate) fn count(&mut self, event: &Prepared<'_>, user: Option<u32>, tables: &mut Tables) {
        self.events[event.kind as usize] += 1;
        let Some(request) = &event.request else {
            if let Some(user) = user {
                self.users.add(user, 0, 0);
            }
            return;
        };
        let error = u32::from(request.is_error());
        if let Some(user) = user {
            self.users.add(user, 1, error);
        }
        let (url, series, route) = tables.request(request, event.time);
        if let Some(url) = url {
            self.urls.add(url, 1, error);
        }
        let series = series as usize;
        if series >= self.series.len() {
            self.series.resize(series + 1, 0);
        }
        self.series[series] += 1;
        if let Some(latency) = request.latency_ms() {
            self.latency(route as usize).add(latency);
        }
    }

    /// Asks for what counting an event of this user and URL will change.
    #[inline]
    pub(crate) fn ask_for(&self, user: Option<u32>, url: Option<u32>) {
        if let Some(user) = user {
            self.users.ask_for(user);
        }
        if let Some(url) = url {
            self.urls.ask_for(url);
        }
    }

    #[inline]
    fn latency(&mut self, route: usize) -> &mut Sketch {
        if route >= self.latency.len() {
            self.latency.resize(route + 1, None);
        }
        self.latency[route].get_or_insert_default()
    }

    pub(crate) fn fold(&mut self, part: &Self) {
        for (sum, count) in self.events.iter_mut().zip(&part.events) {
            *sum += count;
        }
        if self.series.len() < part.series.len() {
            self.series.resize(part.series.len(), 0);
        }
        for (sum, count) in self.series.iter_mut().zip(&part.series) {
            *sum += count;
        }
        self.users.fold(&part.users);
        self.urls.fold(&part.urls);
        for (route, sketch) in part.latency.iter().enumerate() {
            if let Some(sketch) = sketch.as_deref().filter(|sketch| sketch.count() > 0) {
                self.latency(route).fold(sketch);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.events = Default::default();
        self.series.fill(0);
        self.users.clear();
        self.urls.clear();
        self.latency.iter_mut().flatten().for_each(|sketch| sketch.clear());
    }

    pub(crate) fn partial<'a>(&'a self, tables: &'a Tables, span: Span) -> Partial<'a> {
        // Series of the last hour are sent with zeros, so that rates stay exact and alert series do not vanish.
        let alive = tables.series.alive(span.start, span.end).map(|(slot, series)| {
            let requests = self.series.get(slot as usize).copied().unwrap_or(0);
            let route = tables.routes.text(series.route);
            (SeriesKey { route, method: series.method, status: series.status }, requests)
        });
        let sketches = self.latency.iter().enumerate().filter_map(|(route, sketch)| {
            let sketch = sketch.as_deref().filter(|sketch| sketch.count() > 0)?;
            Some((tables.routes.text(route as u32), Cow::Borrowed(sketch)))
        });
        let url = |slot| tables.urls.text(slot);
        let user = |slot| tables.users.text(slot);
        let urls = greatest(&self.urls, URL_CANDIDATES, url);
        let urls =
            urls.into_iter().map(|(slot, requests, errors)| (Url(url(slot)), Count::new(requests, errors)));
        let users = greatest(&self.users, TOP, user);
        let users =
            users.into_iter().map(|(slot, requests, errors)| (user(slot), Count::new(requests, errors)));
        // Users that found no room may be any number, one at least, and some may be told apart by now.
        let others = usize::from(self.users.len() > 1 && self.users.contains(OTHER_SLOT));
        Partial {
            events: self.events,
            series: by_name(alive),
            users: (self.users.len() - others) as u64,
            latency: by_name(sketches),
            urls: by_name(urls),
            top_users: by_name(users),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let sketches: usize = self.latency.iter().flatten().map(|sketch| sketch.bytes()).sum();
        self.series.capacity() * 8
            + self.users.bytes()
            + self.urls.bytes()
            + self.latency.capacity() * 8
            + sketches
    }
}

fn by_name<K: Ord, V>(all: impl Iterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The `n` keys with the most requests, at least one, in no particular order; ties go to the lesser text.
fn greatest<'a>(counts: &CountMap, n: usize, text: impl Fn(u32) -> &'a str) -> Vec<(u32, u32, u32)> {
    let mut all: Vec<_> = counts.iter().filter(|(_, requests, _)| *requests > 0).collect();
    if all.len() > n {
        let (_, &mut (_, least, _), _) =
            all.select_nth_unstable_by_key(n - 1, |(_, requests, _)| Reverse(*requests));
        // Texts lie anywhere in memory: only those with as many requests as the last that has a place are looked at.
        let rest = all.extract_if(.., |(_, requests, _)| *requests <= least);
        let mut last: Vec<_> = rest.filter(|(_, requests, _)| *requests == least).collect();
        let places = n - all.len();
        last.select_nth_unstable_by(places - 1, |a, b| text(a.0).cmp(text(b.0)));
        all.extend_from_slice(&last[..places]);
    }
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct SeriesKey<'a> {
    route: &'a str,
    method: u8,
    status: u16,
}

/// The path of a URL without its leading slash, as tables have it; on the wire it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Url<'a>(&'a str);

impl Ord for Url<'_> {
    /// As the texts with their slashes, which `__other__` comes after.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0 == OTHER).cmp(&(other.0 == OTHER)).then_with(|| self.0.cmp(other.0))
    }
}

impl PartialOrd for Url<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Url<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            OTHER => to.serialize_str(OTHER),
            path => to.collect_str(&format_args!("/{path}")),
        }
    }
}

impl<'a, 'de: 'a> Deserialize<'de> for Url<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(from)?;
        Ok(Self(text.strip_prefix('/').unwrap_or(text)))
    }
}

impl Url<'_> {
    fn text(self) -> String {
        match self.0 {
            OTHER => OTHER.to_owned(),
            path => format!("/{path}"),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    requests: u64,
    errors: u64,
}

impl Count {
    fn new(requests: u32, errors: u32) -> Self {
        Self { requests: requests.into(), errors: errors.into() }
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

/// Every list is by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Partial<'a> {
    events: [u64; EventType::ALL.len()],
    #[serde(borrow)]
    series: Vec<(SeriesKey<'a>, u64)>,
    /// Users are keyed to one partition, so distinct users add up. A lower bound where users found no room.
    users: u64,
    latency: Vec<(&'a str, Cow<'a, Sketch>)>,
    urls: Vec<(Url<'a>, Count)>,
    /// For the same reason the top users of all are among the top users of each.
    top_users: Vec<(&'a str, Count)>,
}

impl Partial<'_> {
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        for (sum, count) in self.events.iter_mut().zip(&other.events) {
            *sum += count;
        }
        self.users += other.users;
        self.series.append(&mut other.series);
        self.latency.append(&mut other.latency);
        self.urls.append(&mut other.urls);
        self.top_users.append(&mut other.top_users);
    }

    pub(crate) fn settle(&mut self) {
        sum_by_name(&mut self.series, |sum, requests| *sum += *requests);
        sum_by_name(&mut self.latency, |sum, sketch| sum.to_mut().fold(sketch));
        sum_by_name(&mut self.urls, |sum, count| sum.add(*count));
        sum_by_name(&mut self.top_users, |sum, count| sum.add(*count));
    }

    pub(crate) fn points(&self, points: &mut PointMaker<'_>) {
        self.request_points(points);
        for (kind, &count) in EventType::ALL.iter().zip(&self.events) {
            if count > 0 {
                points.push(&schema::EVENTS, vec![kind.name().into()], vec![integer(count)]);
            }
        }
        for (route, sketch) in &self.latency {
            if sketch.count() > 0 {
                let fields = vec![
                    integer(sketch.count()),
                    FieldValue::Float(sketch.quantile(0.50)),
                    FieldValue::Float(sketch.quantile(0.95)),
                    FieldValue::Float(sketch.quantile(0.99)),
                    FieldValue::Float(sketch.max()),
                ];
                points.push(&schema::LATENCY, vec![(*route).into()], fields);
            }
        }
        let mut top = |of, rank: usize, text: String, count: &Count| {
            let fields = vec![FieldValue::Text(text.into()), integer(count.requests), integer(count.errors)];
            points.push(of, vec![format!("{rank:02}").into()], fields);
        };
        for (rank, (url, count)) in (1..).zip(ranked(&self.urls)) {
            top(&schema::URL_TOP, rank, url.text(), count);
        }
        for (rank, (user, count)) in (1..).zip(ranked(&self.top_users)) {
            top(&schema::USER_TOP, rank, (*user).to_owned(), count);
        }
    }

    fn request_points(&self, points: &mut PointMaker<'_>) {
        let mut by_status: BTreeMap<u16, u64> = BTreeMap::new();
        let (mut total, mut errors, mut client_errors) = (0, 0, 0);
        for &(key, requests) in &self.series {
            let error = if is_error(key.status) { requests } else { 0 };
            let client_error = if (400..500).contains(&key.status) { requests } else { 0 };
            total += requests;
            errors += error;
            client_errors += client_error;
            *by_status.entry(key.status).or_default() += requests;
            let method = METHODS[usize::from(key.method).min(METHODS.len() - 1)];
            let tags: Vec<Arc<str>> = vec![method.into(), key.route.into(), key.status.to_string().into()];
            points.push(&schema::HTTP, tags, vec![integer(requests), integer(error), integer(client_error)]);
        }
        for (status, requests) in by_status {
            let fields = vec![integer(requests), integer(total)];
            points.push(&schema::HTTP_STATUS, vec![status.to_string().into()], fields);
        }
        if self.series.is_empty() && self.events.iter().all(|count| *count == 0) {
            return;
        }
        let ratio = if total == 0 { 0.0 } else { errors as f64 / total as f64 };
        let fields = vec![
            integer(total),
            integer(errors),
            integer(client_errors),
            FieldValue::Float(ratio),
            integer(self.users),
        ];
        points.push(&schema::HTTP_ALL, vec![], fields);
    }
}

/// The [`TOP`] by requests of a list by name, the most first; ties go to the lesser name.
fn ranked<K: Ord>(counts: &[(K, Count)]) -> impl Iterator<Item = &(K, Count)> {
    let mut all: Vec<_> = counts.iter().collect();
    let by_rank =
        |a: &&(K, Count), b: &&(K, Count)| b.1.requests.cmp(&a.1.requests).then_with(|| a.0.cmp(&b.0));
    if all.len() > TOP {
        all.select_nth_unstable_by(TOP - 1, by_rank);
        all.truncate(TOP);
    }
    all.sort_unstable_by(by_rank);
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ties_for_the_last_places_the_lesser_texts_are_kept() {
        let texts = ["e", "d", "c", "b", "a", "f"];
        let mut counts = CountMap::default();
        for (slot, requests) in (0..).zip([3, 2, 2, 2, 1, 0]) {
            counts.add(slot, requests, 0);
        }
        let kept = |n| {
            let mut kept: Vec<_> = greatest(&counts, n, |slot| texts[slot as usize]);
            kept.sort_unstable();
            kept.into_iter().map(|(slot, ..)| texts[slot as usize]).collect::<String>()
        };
        assert_eq!(
            [kept(1), kept(2), kept(3), kept(4), kept(5), kept(6)],
            ["e", "eb", "ecb", "edcb", "edcba", "edcba"]
        );
    }

    #[test]
    fn urls_of_as_many_requests_rank_by_their_whole_text() {
        let count = Count::new(3, 0);
        let mut partial = Partial::default();
        for url in ["zebra", OTHER, ""] {
            partial.urls.push((Url(url), count));
        }
        partial.settle();
        let texts: Vec<String> = ranked(&partial.urls).map(|(url, _)| url.text()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts, ["/", "/zebra", "__other__"]);
    }
}
