use super::Window;
use crate::count_map::CountMap;
use crate::interner::Ranks;
use crate::sketch::Sketch;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots};

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.iter().all(|count| *count == 0)
    }

    pub(crate) fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
        self.events.iter().for_each(|count| writer.number(*count));
        let series = self.series.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut series: Vec<_> = series.map(|(slot, count)| (ranks.series_of(slot as u32), *count)).collect();
        series.sort_unstable();
        writer.count(series.len());
        for (rank, count) in series {
            writer.number(rank.into());
            writer.number(count);
        }
        save_counts(&self.users, &ranks.users, writer);
        save_counts(&self.urls, &ranks.urls, writer);
        let latency = self.latency.iter().enumerate().filter_map(|(route, of)| Some((route, of.as_deref()?)));
        // An emptied sketch may be that of a route which is gone.
        let latency = latency.filter(|(_, sketch)| sketch.count() > 0);
        let mut latency: Vec<_> =
            latency.map(|(route, sketch)| (ranks.routes.of(route as u32), sketch)).collect();
        latency.sort_unstable_by_key(|(rank, _)| *rank);
        writer.count(latency.len());
        for (rank, sketch) in latency {
            writer.number(rank.into());
            sketch.save(writer);
        }
    }

    pub(crate) fn load(reader: &mut Reader<'_>, slots: &AllSlots) -> Option<Self> {
        let mut window = Self::default();
        for count in &mut window.events {
            *count = reader.number()?;
        }
        for _ in 0..reader.count()? {
            let series = *slots.series.get(reader.small::<usize>()?)? as usize;
            if series >= window.series.len() {
                window.series.resize(series + 1, 0);
            }
            window.series[series] = reader.number()?;
        }
        window.users = load_counts(reader, &slots.users)?;
        window.urls = load_counts(reader, &slots.urls)?;
        for _ in 0..reader.count()? {
            let route = *slots.routes.get(reader.small::<usize>()?)?;
            *window.latency(route as usize) = Sketch::load(reader)?;
        }
        Some(window)
    }
}

fn save_counts(counts: &CountMap, ranks: &Ranks, writer: &mut Writer) {
    let counts = counts.iter().map(|(slot, requests, errors)| (ranks.of(slot), requests, errors));
    let mut counts: Vec<_> = counts.collect();
    counts.sort_unstable();
    writer.count(counts.len());
    let mut last = 0;
    for (rank, requests, errors) in counts {
        writer.number((rank - last).into());
        writer.number(requests.into());
        writer.number(errors.into());
        last = rank;
    }
}

fn load_counts(reader: &mut Reader<'_>, slots: &[u32]) -> Option<CountMap> {
    let mut counts = CountMap::default();
    let mut rank = 0_usize;
    for _ in 0..reader.count()? {
        rank = rank.checked_add(reader.small()?)?;
        counts.add(*slots.get(rank)?, reader.small()?, reader.small()?);
    }
    Some(counts)
}
