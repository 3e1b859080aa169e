//! A record's headers, for records that are set aside.

use crate::snapshot::codec::{Reader, Writer};

/// Names and values in their order, with what is there twice and values that are null. Nothing is allocated where there
/// are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    encoded: Vec<u8>,
}

impl Headers {
    pub(crate) fn clear(&mut self) {
        self.encoded.clear();
    }

    /// Adds one behind the others. Names are bytes, as Kafka keeps nobody to UTF-8.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        let mut writer = Writer { bytes: std::mem::take(&mut self.encoded) };
        writer.count(name.len());
        writer.bytes.extend_from_slice(name);
        writer.count(value.map_or(0, |value| value.len() + 1));
        writer.bytes.extend_from_slice(value.unwrap_or_default());
        self.encoded = writer.bytes;
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut reader = Reader::new(&self.encoded);
        std::iter::from_fn(move || read(&mut reader))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Bytes of names and values, and a few each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// What [`Headers::encoded`] gave; `None` where the bytes are something else.
    pub(crate) fn decoded(encoded: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(encoded);
        while !reader.is_empty() {
            read(&mut reader)?;
        }
        Some(Self { encoded: encoded.to_vec() })
    }
}

impl<'a> FromIterator<(&'a [u8], Option<&'a [u8]>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>>(headers: I) -> Self {
        let mut all = Self::default();
        headers.into_iter().for_each(|(name, value)| all.push(name, value));
        all
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let length = reader.count()?;
    let name = reader.take(length)?;
    // Not a `count`, as it is one more than there are bytes where the value is the last of them.
    let value = match reader.small::<usize>()?.checked_sub(1) {
        Some(length) => Some(reader.take(length)?),
        None => None,
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_come_back_as_they_were(
            headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::option::of(prop::collection::vec(any::<u8>(), 0..9))), 0..6),
        ) {
            let all: Headers = headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
            let found: Vec<_> = all.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&found, &headers);
            prop_assert_eq!(all.is_empty(), headers.is_empty());
            prop_assert_eq!(Headers::decoded(all.encoded()), Some(all));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(headers) = Headers::decoded(&bytes) {
                prop_assert!(headers.iter().count() > 0 || bytes.is_empty());
            }
        }
    }
}
