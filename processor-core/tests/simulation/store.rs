//! The store of snapshots: objects by task and offset, written late, lost, or damaged.

use std::collections::BTreeMap;

use super::random::Random;

/// Kept per task.
const SNAPSHOTS_MAX: usize = 4;

struct Upload {
    arrives_at: i64,
    task: u32,
    offset: i64,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Store {
    uploads: Vec<Upload>,
    objects: BTreeMap<u32, BTreeMap<i64, Vec<u8>>>,
}

impl Store {
    /// Hands a snapshot over; it is there a while later, or damaged, or not at all.
    pub(crate) fn put(&mut self, task: u32, offset: i64, mut bytes: Vec<u8>, now: i64, random: &mut Random) {
        match random.below(20) {
            0 => return,
            1 => bytes.truncate(random.below(bytes.len() as u64) as usize),
            2 => {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
        let arrives_at = now + random.below(4_000_000) as i64;
        self.uploads.push(Upload { arrives_at, task, offset, bytes });
    }

    /// Time passes: snapshots arrive, and old ones are removed.
    pub(crate) fn turn(&mut self, now: i64) {
        for upload in self.uploads.extract_if(.., |upload| upload.arrives_at <= now) {
            let of = self.objects.entry(upload.task).or_default();
            of.insert(upload.offset, upload.bytes);
            if of.len() > SNAPSHOTS_MAX {
                of.pop_first();
            }
        }
    }

    /// The newest snapshot of a task that is not past an offset.
    pub(crate) fn newest(&self, task: u32, committed: i64) -> Option<(i64, &[u8])> {
        let (offset, bytes) = self.objects.get(&task)?.range(..=committed).next_back()?;
        Some((*offset, bytes))
    }
}
