use std::collections::BTreeMap;

use crate::EventType;

/// What a [`Decoder`](crate::Decoder) needs to know about its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderOptions {
    /// The type of records that name none.
    pub default_type: EventType,
    /// Further names: what the input calls a field → what the contract calls it, for example `uid` → `user_id`.
    ///
    /// Such a name wins over the contract's own names where a record has both, and what it meant before (as with
    /// `value` → `price`) it no longer means. Only members of the record itself are named, not nested ones.
    pub fields: BTreeMap<String, String>,
    /// The greatest accepted length of a record in bytes, inclusive.
    pub max_bytes: usize,
}

impl Default for DecoderOptions {
    /// `page_view`, the contract's names alone, and 1 MiB, which is what Kafka brokers accept by default.
    fn default() -> Self {
        Self { default_type: EventType::PageView, fields: BTreeMap::new(), max_bytes: 1 << 20 }
    }
}

/// Why no decoder can be built from the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A name is mapped to a field that does not exist.
    #[error("fields.{theirs}: there is no field `{ours}`; the nearest is `{nearest}`")]
    UnknownField {
        /// The name on the left-hand side.
        theirs: String,
        /// The unknown name on the right-hand side.
        ours: String,
        /// The contract's name most like it.
        nearest: &'static str,
    },
    /// More names are mapped than one record may have.
    #[error("fields: {count} names are mapped, at most {max} can be")]
    TooManyFields {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
}
