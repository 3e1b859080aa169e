//! Everything that events change, and how.

use super::interface::{NoteTotals, TaskTotals};
use crate::ahead::{Fact, Prepared};
use crate::analytics::first_click::{Campaign, Click, Line};
use crate::analytics::quality::Uncounted;
use crate::clock::{InputClock, NOT_BEGUN};
use crate::dedup::Dedup;
use crate::interner::{Key, OTHER_SLOT};
use crate::near::ask_for;
use crate::options::{Options, SECOND};
use crate::planted::{PlantedBug, is_planted};
use crate::reorder::{KeyedEvent, KeyedKind, NO_PRODUCT, ReorderBuffer, Source};
use crate::tables::Tables;
use crate::windows::Windows;

/// Everything that events change.
#[derive(Debug)]
pub(super) struct State {
    pub(super) watermark: i64,
    pub(super) windows: Windows,
    pub(super) reorder: ReorderBuffer,
    /// Orders and lines of orders.
    pub(super) checkouts: Dedup,
    pub(super) tables: Tables,
    pub(super) noted: Box<NoteTotals>,
}

/// What became of an event.
pub(super) enum Counted {
    InWindow,
    Duplicate,
    /// By how many microseconds its window had closed before.
    Late {
        by: i64,
    },
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            watermark: NOT_BEGUN,
            windows: Windows::new(options),
            reorder: ReorderBuffer::default(),
            checkouts: Dedup::new(options.attribution_lookback, options.limits.checkout_ids),
            tables: Tables::new(options),
            noted: Box::default(),
        }
    }

    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "the hot path takes the task apart instead of borrowing it whole"
    )]
    pub(super) fn event(
        &mut self,
        event: &Prepared<'_>,
        clock: &mut InputClock,
        dedup: &mut Dedup,
        source: Source,
        offset: i64,
        options: &Options,
        totals: &mut TaskTotals,
        live: bool,
    ) -> Counted {
        let time = event.time;
        let watermark = clock.watermark;
        if self.windows.is_closed(time, watermark) {
            let moment = clock.moment_of_late(time, &self.windows);
            self.windows.at(moment).quality.count(Uncounted::Late);
            totals.late += u64::from(live);
            let end = time - time.rem_euclid(options.window_size) + options.window_size;
            return Counted::Late { by: watermark - end - options.allowed_lateness };
        }
        if self.windows.is_new(time) {
            let least = watermark.min(clock.least);
            self.windows.begin(time, least, &self.tables);
            dedup.expire_before(asked_from(least, options));
        }
        let asked_from = || asked_from(watermark.min(clock.least), options);
        if event.event_id.is_some_and(|id| dedup.is_repeat(id.get(), time, asked_from)) {
            self.windows.at(time).quality.count(Uncounted::Duplicate);
            totals.duplicates += u64::from(live);
            return Counted::Duplicate;
        }
        let user = match &event.user {
            Some(user) => Some(self.tables.user(user, event.user_hint, time)),
            None if is_planted(PlantedBug::NobodyIsAUser) => {
                Some(self.tables.user(&Key::name(""), event.user_hint, time))
            }
            None => None,
        };
        self.windows.at(time).traffic.count(event, user, &mut self.tables);
        totals.counted += u64::from(live);
        if !event.notes.is_empty() {
            self.note(event, live);
        }
        if time < watermark {
            if time >= clock.without_the_last_jump() {
                clock.judged();
            }
            totals.behind_watermark += u64::from(live);
        } else {
            self.keep_for_facts(event, user, source, offset, options, totals, live);
        }
        clock.observe(time);
        Counted::InWindow
    }

    /// Counts what is to be said of an event, once each for what it lacks and what was of no use.
    #[cold]
    fn note(&mut self, event: &Prepared<'_>, live: bool) {
        let quality = &mut self.windows.at(event.time).quality;
        if !event.notes.incomplete.is_empty() {
            quality.count(Uncounted::Incomplete);
        }
        if !event.notes.unusable.is_empty() {
            quality.count(Uncounted::Unusable);
        }
        if live {
            self.noted.add(event.kind, event.notes);
        }
    }

    /// Queues what keyed logic needs until the watermark has passed it.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "as of `event`, whose tail it is")]
    fn keep_for_facts(
        &mut self,
        event: &Prepared<'_>,
        user: Option<u32>,
        source: Source,
        offset: i64,
        options: &Options,
        totals: &mut TaskTotals,
        live: bool,
    ) {
        let time = event.time;
        let (Some(fact), Some(user)) = (&event.fact, user) else { return };
        let (product, kind) = match fact {
            Fact::Click { product, campaign } => {
                let product = self.tables.product(product, time);
                if user == OTHER_SLOT || product == OTHER_SLOT {
                    totals.beyond.products += 1; // it would be credited with what others of that name bought
                    return;
                }
                let slot = |id| Campaign::slot(self.tables.campaign(id, time));
                (product, KeyedKind::Click { campaign: campaign.as_ref().map_or(Campaign::NONE, slot) })
            }
            Fact::Checkout { product, order, amount_cents, currency } => {
                let product = product.as_ref();
                let is_first = match *order {
                    Some(order) => self.is_first_line(order.get(), product, time),
                    None => Some(true), // which can be no repeat, and stands for itself
                };
                let Some(is_first) = is_first else {
                    self.windows.at(time).quality.count(Uncounted::RepeatedCheckout);
                    totals.repeated_checkouts += u64::from(live);
                    return;
                };
                let currency = self.tables.currency(currency.as_ref(), time);
                let product = product.map_or(NO_PRODUCT, |product| self.tables.product(product, time));
                (product, KeyedKind::Checkout(Line { amount_cents: *amount_cents, currency, is_first }))
            }
        };
        if self.reorder.len() >= options.limits.waiting_facts {
            self.decide_early(options, totals);
        }
        self.reorder.push(KeyedEvent { time, offset, source, kind, user, product });
    }

    /// Whether a line is the first of its order; `None` where it is a repeat.
    fn is_first_line(&mut self, order: u64, product: Option<&Key<'_>>, time: i64) -> Option<bool> {
        let watermark = self.watermark;
        if is_planted(PlantedBug::LineTakenForRepeat) {
            return (!self.checkouts.is_repeat(order, time, || watermark)).then_some(true);
        }
        let line = line_of(order, product.map_or(0, Key::identity));
        if self.checkouts.is_repeat(line, time, || watermark) {
            return None;
        }
        Some(!self.checkouts.is_repeat(order, time, || watermark))
    }

    /// Decides the earliest second that waits, although earlier events may still come.
    #[cold]
    fn decide_early(&mut self, options: &Options, totals: &mut TaskTotals) {
        let waiting = self.reorder.len();
        if let Some(second) = self.reorder.first_second() {
            self.decide((second + 1) * SECOND, options, totals);
        }
        totals.beyond.early_facts += (waiting - self.reorder.len()) as u64;
    }

    /// Decides the facts of every event before `until`, in event-time order.
    pub(super) fn decide(&mut self, until: i64, options: &Options, totals: &mut TaskTotals) {
        let Self { reorder, tables, windows, watermark, .. } = self;
        // No checkout to come looks back further.
        let clicks_from = watermark.saturating_sub(options.attribution_lookback);
        let mut decide = |event: &KeyedEvent, tables: &mut Tables| match event.kind {
            KeyedKind::Click { campaign } => {
                let &KeyedEvent { time, product, .. } = event;
                let click = Click { time, product, campaign };
                let max = options.clicks_per_user_max;
                let had_too_many = tables.keep_click(event.user, click, max, clicks_from);
                totals.clicks_dropped += u64::from(had_too_many);
            }
            KeyedKind::Checkout(line) => {
                let from = event.time - options.attribution_lookback;
                let clicks = tables.users.value_mut(event.user);
                clicks.drop_before(from);
                let first = clicks.first(event.product, from);
                let credited = first.map(|(clicked, campaign)| (event.time - clicked, campaign));
                windows.at(event.time).first_click.count(line, credited);
            }
        };
        reorder.release(until, |events| {
            for (at, event) in events.iter().enumerate() {
                // Each user's clicks are somewhere else in memory: first where they are, then the last of them.
                if let Some(later) = events.get(at + 2 * AHEAD) {
                    ask_for(tables.users.value(later.user));
                }
                if let Some(next) = events.get(at + AHEAD) {
                    tables.users.value(next.user).ask_for();
                }
                decide(event, tables);
            }
        });
    }
}

/// What a line is told by, beside the order's own fingerprint in the same table; `product` is 0 where there is none.
fn line_of(order: u64, product: u64) -> u64 {
    (order ^ product.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// How many events ahead of their turn users' clicks are asked for.
const AHEAD: usize = 8;

/// What comes earlier than this is late for an input whose watermark is at least `least`, so no repeat of it is asked
/// about.
#[inline]
fn asked_from(least: i64, options: &Options) -> i64 {
    least.saturating_sub(options.allowed_lateness + options.window_size)
}
