//! What a snapshot is called: which task's it is, and which records it has behind it.

use std::fmt;

/// The longest part of a group's id that shows in a name: file systems allow 255 bytes, of which encoding takes three for one.
const GROUP_BYTES_MAX: usize = 80;
/// The end of every snapshot's name.
const EXTENSION: &str = ".snapshot";
/// Digits of an offset, so that names sort as offsets do: those of the largest there can be.
const OFFSET_DIGITS: usize = 19;

/// Where the snapshots of one task lie, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// The consumer group's id.
    pub group: String,
    /// Tells apart what does not fit together: other inputs, other windows ([`processor_core::Options::origin`]).
    pub origin: u64,
    /// The task's partition number.
    pub task: i32,
}

/// A snapshot's name on its shelf: the next offset of each input, and the origin.
///
/// The same task at the same offsets has the same name, whoever writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotName {
    /// The first record of each input that is *not* behind the snapshot.
    pub offsets: Vec<i64>,
    /// As in [`Shelf`].
    pub origin: u64,
}

impl Shelf {
    /// The two folders that lead to its snapshots.
    pub(super) fn folders(&self) -> [String; 2] {
        let mut group: String = self.group.chars().take(GROUP_BYTES_MAX).collect();
        while group.len() > GROUP_BYTES_MAX {
            group.pop();
        }
        [group, format!("{:05}", self.task)]
    }

    /// The name of its snapshot at these offsets.
    #[must_use]
    pub fn name(&self, offsets: &[i64]) -> SnapshotName {
        SnapshotName { offsets: offsets.to_vec(), origin: self.origin }
    }
}

impl SnapshotName {
    /// Reads a name; `None` where it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (offsets, origin) = text.strip_suffix(EXTENSION)?.rsplit_once('-')?;
        let offsets = offsets.split('_').map(|offset| {
            let digits = offset.len() == OFFSET_DIGITS && offset.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| offset.parse().ok()).flatten()
        });
        let origin = u64::from_str_radix(origin, 16).ok()?;
        let name = Self { offsets: offsets.collect::<Option<_>>()?, origin };
        (name.to_string() == text).then_some(name)
    }

    /// Whether it has no record behind it that is not before these offsets; another number of inputs is never so.
    #[must_use]
    pub fn is_not_past(&self, offsets: &[i64]) -> bool {
        self.offsets.len() == offsets.len()
            && self.offsets.iter().zip(offsets).all(|(have, allowed)| have <= allowed)
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, offset) in self.offsets.iter().enumerate() {
            let separator = if at == 0 { "" } else { "_" };
            write!(f, "{separator}{:0OFFSET_DIGITS$}", offset.max(&0))?;
        }
        write!(f, "-{:016x}{EXTENSION}", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sort_as_offsets_do() {
        let shelf = Shelf { group: "g".to_owned(), origin: 0xabc, task: 3 };
        let name = shelf.name(&[9, 100]);
        assert_eq!(name.to_string(), "0000000000000000009_0000000000000000100-0000000000000abc.snapshot");
        assert_eq!(SnapshotName::parse(&name.to_string()), Some(name));
        let mut texts: Vec<String> =
            [[10, 0], [9, 5], [9, 40]].iter().map(|of| shelf.name(of).to_string()).collect();
        texts.sort();
        let offsets: Vec<_> = texts.iter().map(|text| SnapshotName::parse(text).unwrap().offsets).collect();
        assert_eq!(offsets, [[9, 5], [9, 40], [10, 0]]);
    }

    #[test]
    fn other_names_are_left_alone() {
        let good = Shelf { group: "g".to_owned(), origin: 1, task: 0 }.name(&[7]).to_string();
        let others = [
            "",
            "notes.txt",
            "7-0000000000000001.snapshot",
            "0000000000000000007.snapshot",
            "+000000000000000007-0000000000000001.snapshot",
            "0000000000000000007-1.snapshot",
        ];
        for text in
            others.iter().map(|text| (*text).to_owned()).chain([format!("{good}#1"), format!("a{good}")])
        {
            assert_eq!(SnapshotName::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_snapshot_is_past_where_any_input_is() {
        let name = SnapshotName { offsets: vec![5, 5], origin: 0 };
        assert!(name.is_not_past(&[5, 6]));
        assert!(!name.is_not_past(&[9, 4]));
        assert!(!name.is_not_past(&[9]));
    }

    #[test]
    fn a_group_of_any_length_makes_a_folder() {
        let shelf = Shelf { group: "ä".repeat(300), origin: 0, task: 12 };
        let [group, task] = shelf.folders();
        assert_eq!((group.len(), task.as_str()), (80, "00012"));
    }
}
