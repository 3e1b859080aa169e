//! What is computed per window. A new analytic is one file here and one line in the list below.
//!
//! Each analytic has three pieces: a `Window`, what a task counts for one window (mergeable, in the task's small
//! integers); a `Partial`, the same by name, which travels to the merge and borrows its names at both ends; and points,
//! made from the sum of partials.

use std::sync::Arc;

use events::Timestamp;
use serde::{Deserialize, Serialize};

use crate::point::{FieldValue, Point, Resolution};
use crate::schema::Measurement;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots, Tables};

pub(crate) mod first_click;
pub(crate) mod quality;
pub(crate) mod traffic;

/// A window `[start, end)` in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

macro_rules! analytics {
    ($($name:ident),+ $(,)?) => {
        /// Everything a task counts for one window.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct WindowState {
            $(pub(crate) $name: $name::Window,)+
        }

        impl WindowState {
            /// Adds a part of this window: a raw window to its minute, a minute to its hour.
            pub(crate) fn fold(&mut self, part: &Self) {
                $(self.$name.fold(&part.$name);)+
            }

            /// Forgets everything and keeps the memory, for the next window.
            pub(crate) fn clear(&mut self) {
                $(self.$name.clear();)+
            }

            /// The window by name, as it travels to the merge.
            pub(crate) fn partial<'a>(&'a self, tables: &'a Tables, span: Span) -> Partial<'a> {
                Partial { $($name: self.$name.partial(tables, span),)+ }
            }

            /// Whether nothing was counted.
            pub(crate) fn is_empty(&self) -> bool {
                true $(&& self.$name.is_empty())+
            }

            /// Writes everything counted, by the places of names in a snapshot.
            pub(crate) fn save(&self, writer: &mut Writer, ranks: &AllRanks) {
                $(self.$name.save(writer, ranks);)+
            }

            /// Reads what `save` wrote.
            pub(crate) fn load(reader: &mut Reader<'_>, slots: &AllSlots) -> Option<Self> {
                Some(Self { $($name: $name::Window::load(reader, slots)?,)+ })
            }

            /// Estimated bytes held.
            pub(crate) fn bytes(&self) -> usize {
                0 $(+ self.$name.bytes())+
            }
        }

        /// One task's full values of a window, by name.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub(crate) struct Partial<'a> {
            $(#[serde(borrow)]
            pub(crate) $name: $name::Partial<'a>,)+
        }

        impl Partial<'_> {
            /// Takes over another task's values of the same window; [`Partial::settle`] makes a sum of them.
            pub(crate) fn absorb(&mut self, other: &mut Self) {
                $(self.$name.absorb(&mut other.$name);)+
            }

            /// Brings together what was absorbed under the same name.
            pub(crate) fn settle(&mut self) {
                $(self.$name.settle();)+
            }

            /// The points of a settled window.
            pub(crate) fn points(&self, points: &mut PointMaker<'_>) {
                $(self.$name.points(points);)+
            }
        }
    };
}

analytics!(traffic, first_click, quality);

/// Makes the points of one window.
pub(crate) struct PointMaker<'a> {
    pub(crate) resolution: Resolution,
    pub(crate) start: i64,
    /// What is named where no currency was seen.
    pub(crate) default_currency: &'a str,
    pub(crate) out: &'a mut Vec<Point>,
}

impl PointMaker<'_> {
    /// Adds a point at the window's start; values in the schema's order.
    pub(crate) fn push(&mut self, of: &'static Measurement, tags: Vec<Arc<str>>, fields: Vec<FieldValue>) {
        let time = Timestamp::from_micros(self.start);
        self.out.push(Point::new(self.resolution, of, tags, fields, time));
    }
}

/// Sums up values of the same name and sorts by name; cheap where `all` is a few sorted lists, one after another.
pub(crate) fn sum_by_name<K: Ord, V>(all: &mut Vec<(K, V)>, mut add: impl FnMut(&mut V, &mut V)) {
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            add(&mut kept.1, &mut later.1);
        }
        same
    });
}

/// A count as a field; what exceeds an `i64` has long saturated elsewhere.
pub(crate) fn integer(count: u64) -> FieldValue {
    FieldValue::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}
