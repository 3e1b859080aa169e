//! Where records of an epoch go that are set aside, and what does not fit there.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::kafka::letter::{Letter, Sent};
use crate::kafka::{KafkaError, OutboxRecord};

/// The topics beside the inputs, as one epoch sees them.
pub(super) struct Aside {
    /// By input.
    inputs: Vec<Beside>,
    /// What was cut, of the last attempt to send the epoch.
    cut: RefCell<Cuts>,
}

/// Beside one input.
struct Beside {
    input: String,
    /// By [`Kind`].
    topics: [Destination; 2],
}

struct Destination {
    topic: String,
    /// Bytes of the largest record.
    room: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    DeadLetters = 0,
    Late = 1,
}

#[derive(Default)]
struct Cuts {
    count: u64,
    /// The first ones.
    examples: Vec<String>,
}

/// How many cut records of an epoch the log has lines for: what cuts one may cut all, a hundred thousand a second.
const EXAMPLES_MAX: usize = 5;

impl Aside {
    pub(super) fn of(shared: &Shared) -> Self {
        let destination = |input: &str, suffix: &str| {
            let topic = format!("{input}{suffix}");
            Destination { room: shared.room.of(&topic), topic }
        };
        let beside = |input: &str| Beside {
            input: input.to_owned(),
            topics: [destination(input, ".dlq"), destination(input, ".late")],
        };
        let inputs = shared.core.configured().map(|input| beside(&input.topic)).collect();
        Self { inputs, cut: RefCell::default() }
    }

    /// An input's topic, by its index in outputs.
    pub(super) fn input(&self, input: usize) -> &str {
        &self.inputs[input].input
    }

    /// Sends a letter, or as much of it as its topic takes.
    pub(super) fn send(
        &self,
        input: usize,
        kind: Kind,
        letter: &Letter<'_>,
        send: &mut dyn FnMut(&OutboxRecord<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let Destination { topic, room } = &self.inputs[input].topics[kind as usize];
        let sent = letter.send(topic, *room, send)?;
        if sent != Sent::Whole {
            self.note(letter, sent, topic, *room);
        }
        Ok(())
    }

    #[cold]
    fn note(&self, letter: &Letter<'_>, sent: Sent, topic: &str, room: usize) {
        let Letter { topic: from, partition, offset, .. } = letter;
        let (size, what) = match sent {
            Sent::Whole => return,
            Sent::Part { value, size } => {
                (size, format!("set aside with the first {value} bytes of its value"))
            }
            Sent::Nothing { size } => {
                (size, "counted and not set aside, as not even its reason fits".to_owned())
            }
        };
        let mut cut = self.cut.borrow_mut();
        cut.count += 1;
        if cut.examples.len() == EXAMPLES_MAX {
            return;
        }
        cut.examples.push(format!(
            "{from} [{partition}] at offset {offset}: {size} bytes, more than {topic} takes (max.message.bytes, {room}): {what}"
        ));
    }

    /// Counts and says what was cut, once it is there; to be called once.
    pub(super) fn tell(&self, shared: &Shared) {
        let Cuts { count, examples } = self.cut.take();
        if count == 0 {
            return;
        }
        shared.cut.fetch_add(count, Ordering::Relaxed);
        let more = count - examples.len() as u64;
        examples.into_iter().for_each(|example| shared.problem(example));
        if more > 0 {
            shared.problem(format!("{more} more records were set aside in part"));
        }
    }
}
