use super::{Campaign, Click, Clicks, Credit, OfCurrency, Sums, Window};
use crate::sketch::Sketch;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots};

impl Campaign {
    /// One more than its rank; 0 where there is none.
    pub(crate) fn save(self, writer: &mut Writer, ranks: &AllRanks) {
        writer.number(if self == Self::NONE { 0 } else { u64::from(ranks.campaigns.of(self.0)) + 1 });
    }

    pub(crate) fn load(reader: &mut Reader<'_>, slots: &[u32]) -> Option<Self> {
        match reader.small::<usize>()? {
            0 => Some(Self::NONE),
            above => slots.get(above - 1).map(|slot| Self(*slot)),
        }
    }
}

impl Clicks {
    fn since(&self, from: i64) -> impl Iterator<Item = &Click> + '_ {
        self.0.iter().filter(move |click| click.time >= from)
    }

    /// Writes the clicks not before `from`.
    pub(crate) fn save(&self, from: i64, writer: &mut Writer, ranks: &AllRanks) {
        writer.count(self.since(from).count());
        let mut last = 0;
        for click in self.since(from) {
            writer.signed(click.time.wrapping_sub(last));
            writer.number(ranks.products.of(click.product).into());
            click.campaign.save(writer, ranks);
            last = click.time;
        }
    }

    pub(crate) fn load(reader: &mut Reader<'_>, products: &[u32], campaigns: &[u32]) -> Option<Self> {
        let mut clicks = Self::default();
        let mut time = 0_i64;
        for _ in 0..reader.count()? {
            time = time.wrapping_add(reader.signed()?);
            let product = *products.get(reader.small::<usize>()?)?;
            clicks.0.push_back(Click { time, product, campaign: Campaign::load(reader, campaigns)? });
        }
        Some(clicks)
    }

    /// When each was.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().map(|click| click.time)
    }
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
        let mut currencies: Vec<_> =
            self.0.iter().map(|(slot, of)| (ranks.currencies.of(*slot), of)).collect();
        currencies.sort_unstable_by_key(|(rank, _)| *rank);
        writer.count(currencies.len());
        for (rank, of) in currencies {
            writer.number(rank.into());
            of.save(writer, ranks);
        }
    }

    pub(crate) fn load(reader: &mut Reader<'_>, slots: &AllSlots) -> Option<Self> {
        let mut window = Self::default();
        for _ in 0..reader.count()? {
            let currency = *slots.currencies.get(reader.small::<usize>()?)?;
            window.0.insert(currency, OfCurrency::load(reader, slots)?);
        }
        Some(window)
    }
}

impl OfCurrency {
    fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
        let Sums { checkouts, orders, attributed, revenue_cents, attributed_revenue_cents, lag_s } =
            &self.sums;
        writer.number(*checkouts);
        writer.number(*orders);
        writer.number(*attributed);
        writer.signed(*revenue_cents);
        writer.signed(*attributed_revenue_cents);
        lag_s.save(writer);
        let rank = |campaign: &Campaign| {
            if *campaign == Campaign::NONE { 0 } else { ranks.campaigns.of(campaign.0) + 1 }
        };
        let mut campaigns: Vec<_> = self.campaigns.iter().collect();
        campaigns.sort_unstable_by_key(|(campaign, _)| rank(campaign));
        writer.count(campaigns.len());
        for (campaign, credit) in campaigns {
            campaign.save(writer, ranks);
            writer.number(credit.conversions);
            writer.signed(credit.revenue_cents);
        }
    }

    fn load(reader: &mut Reader<'_>, slots: &AllSlots) -> Option<Self> {
        let sums = Sums {
            checkouts: reader.number()?,
            orders: reader.number()?,
            attributed: reader.number()?,
            revenue_cents: reader.signed()?,
            attributed_revenue_cents: reader.signed()?,
            lag_s: Sketch::load(reader)?,
        };
        let mut of = Self { sums, ..Self::default() };
        for _ in 0..reader.count()? {
            let campaign = Campaign::load(reader, &slots.campaigns)?;
            let credit = Credit { conversions: reader.number()?, revenue_cents: reader.signed()? };
            of.campaigns.insert(campaign, credit);
        }
        Some(of)
    }
}
