use super::{Seen, SeriesEntry, SeriesTable, Tables, UrlRoute};
use crate::analytics::first_click::Clicks;
use crate::interner::{FrozenInterner, OTHER_SLOT, Ranks};
use crate::snapshot::codec::{Reader, Writer};

/// The names as they were.
#[derive(Debug)]
pub(crate) struct FrozenTables {
    pub(crate) users: FrozenInterner<Clicks>,
    pub(crate) products: FrozenInterner<()>,
    urls: FrozenInterner<UrlRoute>,
    routes: FrozenInterner<()>,
    campaigns: FrozenInterner<()>,
    currencies: FrozenInterner<Seen>,
    series: Vec<SeriesEntry>,
}

/// Places in a snapshot by slot.
#[derive(Debug)]
pub(crate) struct AllRanks {
    pub(crate) users: Ranks,
    pub(crate) products: Ranks,
    pub(crate) urls: Ranks,
    pub(crate) routes: Ranks,
    pub(crate) campaigns: Ranks,
    pub(crate) currencies: Ranks,
    series: Vec<u32>,
}

/// Slots by place in a snapshot.
#[derive(Debug)]
pub(crate) struct AllSlots {
    pub(crate) users: Vec<u32>,
    pub(crate) products: Vec<u32>,
    pub(crate) urls: Vec<u32>,
    pub(crate) routes: Vec<u32>,
    pub(crate) campaigns: Vec<u32>,
    pub(crate) currencies: Vec<u32>,
    pub(crate) series: Vec<u32>,
}

impl AllRanks {
    pub(crate) fn series_of(&self, number: u32) -> u32 {
        self.series[number as usize]
    }
}

impl Tables {
    pub(crate) fn freeze(&self) -> FrozenTables {
        FrozenTables {
            users: self.users.freeze(),
            products: self.products.freeze(),
            urls: self.urls.freeze(),
            routes: self.routes.freeze(),
            campaigns: self.campaigns.freeze(),
            currencies: self.currencies.freeze(),
            series: self.series.entries.clone(),
        }
    }

    /// Reads what [`FrozenTables::save`] wrote into these, which have the same limits and no names. Names were last
    /// forgotten at `forgotten_at`.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>, forgotten_at: i64) -> Option<AllSlots> {
        self.swept_at = forgotten_at;
        let nothing = |_: &mut Reader<'_>| Some(());
        let routes = self.routes.load(reader, nothing)?;
        let campaigns = self.campaigns.load(reader, nothing)?;
        let seen = |reader: &mut Reader<'_>| Some(Seen { first: reader.signed()?, last: reader.signed()? });
        *self.currencies.value_mut(OTHER_SLOT) = seen(reader)?;
        let currencies = self.currencies.load(reader, seen)?;
        let urls = self.urls.load(reader, |reader| {
            // A series number that does not fit is looked up when it is used.
            Some(UrlRoute { route: *routes.get(reader.small::<usize>()?)?, series: 0 })
        })?;
        let products = self.products.load(reader, nothing)?;
        let Self { users, clicks, .. } = self;
        let users = users.load(reader, |reader| {
            let of = Clicks::load(reader, &products, &campaigns)?;
            of.times().for_each(|time| clicks.add(time));
            Some(of)
        })?;
        let series = self.series.load(reader, &routes)?;
        Some(AllSlots { users, products, urls, routes, campaigns, currencies, series })
    }
}

impl FrozenTables {
    /// Writes the names, sorted; all of them, as they count towards their limits. Clicks before `clicks_from` are left
    /// out.
    pub(crate) fn save(&self, clicks_from: i64, writer: &mut Writer) -> AllRanks {
        let (routes, route_ranks) = self.routes.sorted();
        let (campaigns, campaign_ranks) = self.campaigns.sorted();
        let (currencies, currency_ranks) = self.currencies.sorted();
        let (urls, url_ranks) = self.urls.sorted();
        let (products, product_ranks) = self.products.sorted();
        let (users, user_ranks) = self.users.sorted();
        let mut ranks = AllRanks {
            users: user_ranks,
            products: product_ranks,
            urls: url_ranks,
            routes: route_ranks,
            campaigns: campaign_ranks,
            currencies: currency_ranks,
            series: Vec::new(),
        };
        self.routes.save(&routes, writer, |(), _| ());
        self.campaigns.save(&campaigns, writer, |(), _| ());
        let seen = |seen: &Seen, writer: &mut Writer| {
            writer.signed(seen.first);
            writer.signed(seen.last);
        };
        seen(self.currencies.value(OTHER_SLOT), writer);
        self.currencies.save(&currencies, writer, seen);
        self.urls.save(&urls, writer, |url, writer| writer.number(ranks.routes.of(url.route).into()));
        self.products.save(&products, writer, |(), _| ());
        self.users.save(&users, writer, |clicks, writer| clicks.save(clicks_from, writer, &ranks));
        ranks.series = self.save_series(writer, &ranks.routes);
        ranks
    }

    fn save_series(&self, writer: &mut Writer, routes: &Ranks) -> Vec<u32> {
        let live = self.series.iter().enumerate().filter(|(_, entry)| entry.live);
        let mut live: Vec<_> =
            live.map(|(at, entry)| ((routes.of(entry.route), entry.method, entry.status), at)).collect();
        live.sort_unstable();
        let mut ranks = vec![u32::MAX; self.series.len()];
        writer.count(live.len());
        for (rank, ((route, method, status), at)) in (0..).zip(live) {
            ranks[at] = rank;
            writer.number(route.into());
            writer.number(method.into());
            writer.number(status.into());
            writer.signed(self.series[at].first_seen);
            writer.signed(self.series[at].last_seen);
        }
        ranks
    }
}

impl SeriesTable {
    fn load(&mut self, reader: &mut Reader<'_>, routes: &[u32]) -> Option<Vec<u32>> {
        let mut slots = Vec::new();
        for _ in 0..reader.count()? {
            let route = *routes.get(reader.small::<usize>()?)?;
            let (method, status) = (reader.small()?, reader.small()?);
            let (first_seen, last_seen) = (reader.signed()?, reader.signed()?);
            let slot = self.slot(route, method, status, last_seen)?;
            self.entries[slot as usize].first_seen = first_seen;
            slots.push(slot);
        }
        Some(slots)
    }
}
