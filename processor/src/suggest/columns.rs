//! The members that records have, each with its values.

use std::collections::{BTreeSet, HashMap};

use events::{Became, Decoder, DecoderOptions, Field, Shape};

use super::Record;

/// So many members are told apart.
const COLUMNS_MAX: usize = 500;
/// So many values of each are kept.
const VALUES_MAX: usize = 1_000;

/// The members of some records.
#[derive(Debug)]
pub(super) struct Columns {
    all: Vec<Column>,
    by_path: HashMap<String, usize>,
    /// By field: the records it was read from.
    pub(super) covered: HashMap<Field, BTreeSet<usize>>,
    /// How many records are objects.
    pub(super) objects: usize,
}

/// A member that some records have.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) path: String,
    /// What is read from it in some record.
    pub(super) used: Option<Field>,
    /// What it is a name of, with a value of no use in some record.
    pub(super) unusable: Option<Field>,
    /// Those that are not null, nor empty: which record's, and what.
    pub(super) values: Vec<(usize, Shape, String)>,
}

impl Columns {
    /// Of those records that are objects, as options read them.
    pub(super) fn of(options: &DecoderOptions, records: &[Record<'_>]) -> Option<Self> {
        let mut decoder = Decoder::new(options).ok()?;
        let mut columns =
            Self { all: Vec::new(), by_path: HashMap::new(), covered: HashMap::new(), objects: 0 };
        for (number, record) in records.iter().enumerate() {
            let explanation = decoder.explain(Some(record.value));
            columns.objects += usize::from(!explanation.members.is_empty());
            for member in explanation.members {
                let at = match columns.by_path.get(&member.path) {
                    Some(at) => *at,
                    None if columns.all.len() < COLUMNS_MAX => {
                        columns.by_path.insert(member.path.clone(), columns.all.len());
                        let path = member.path.clone();
                        columns.all.push(Column { path, used: None, unusable: None, values: Vec::new() });
                        columns.all.len() - 1
                    }
                    None => continue,
                };
                let column = &mut columns.all[at];
                match member.became {
                    Became::Used(field) => {
                        column.used = Some(field);
                        columns.covered.entry(field).or_default().insert(number);
                    }
                    Became::Unusable { field, .. } | Became::Everyday { field, .. } => {
                        column.unusable = Some(field);
                    }
                    _ => {}
                }
                let is_empty = member.shape == Shape::Null || member.value.trim().is_empty();
                if !is_empty && column.values.len() < VALUES_MAX {
                    column.values.push((number, member.shape, member.value));
                }
            }
        }
        Some(columns)
    }

    pub(super) fn find(&self, path: &str) -> Option<&Column> {
        self.by_path.get(path).map(|at| &self.all[*at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.all.iter()
    }
}

impl Column {
    /// Different values, in their order.
    pub(super) fn distinct(&self) -> BTreeSet<&str> {
        self.values.iter().map(|(_, _, value)| &**value).collect()
    }

    /// Whether nearly all values pass.
    pub(super) fn mostly(&self, mut passes: impl FnMut(Shape, &str) -> bool) -> bool {
        let passing = self.values.iter().filter(|(_, shape, value)| passes(*shape, value)).count();
        passing > 0 && passing * 100 >= self.values.len() * 95
    }
}
