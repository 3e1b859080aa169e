//! Finds the values of the known names in a JSON text, as they are written.

use std::borrow::Cow;

use crate::field::Field;
use crate::names::{NAMES_MAX, Names};
use crate::tree::{ROOT, Scope, Tree};

/// The values of the known names; of a name that is given twice the last.
pub(in crate::decoder) struct Members<'a> {
    /// By the names' ids. A null leaves nothing, as if the member were not there.
    pub(in crate::decoder) slots: [Option<&'a str>; NAMES_MAX],
}

impl<'a> Members<'a> {
    /// Of a text that is an object in valid JSON.
    pub(in crate::decoder) fn of(text: &'a str, tree: &Tree) -> Self {
        let mut members = Self { slots: [None; NAMES_MAX] };
        Walk { cursor: Cursor::new(text), tree, slots: &mut members.slots }.object(ROOT);
        members
    }
}

/// Follows the tree of names through a text.
struct Walk<'t, 'a> {
    cursor: Cursor<'a>,
    tree: &'t Tree,
    slots: &'t mut [Option<&'a str>; NAMES_MAX],
}

impl<'a> Walk<'_, 'a> {
    /// The object that begins here. As deep as the tree is, and no deeper.
    fn object(&mut self, scope: Scope) {
        self.cursor.enter();
        while let Some(key) = self.cursor.key() {
            self.member(scope, &key);
        }
        self.cursor.leave();
    }

    /// The array that begins here; its members are called by their numbers.
    fn array(&mut self, scope: Scope) {
        self.cursor.enter();
        let mut number = 0_usize;
        while self.cursor.has_element() {
            if number < NAMED_ELEMENTS {
                self.member(scope, &number.to_string());
            } else {
                self.cursor.skip();
            }
            number += 1;
        }
        self.cursor.leave();
    }

    /// The value that begins here, of a member of that name.
    fn member(&mut self, scope: Scope, key: &str) {
        let found = self.tree.find(scope, key);
        match (self.cursor.byte(), found.and_then(|member| member.inside())) {
            (b'{', Some(inside)) => return self.object(inside),
            (b'[', Some(inside)) => return self.array(inside),
            _ => {}
        }
        let raw = self.cursor.value();
        if let Some(name) = found.and_then(|member| member.name()) {
            self.slots[usize::from(name)] = Some(raw).filter(|raw| *raw != "null");
        }
    }
}

/// A place in a text that is known to be valid JSON, so that nothing needs to be checked again.
#[derive(Debug, Clone, Copy)]
pub(in crate::decoder) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text without blanks before it.
    pub(in crate::decoder) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Into the object or array that begins here.
    pub(in crate::decoder) fn enter(&mut self) {
        self.at += 1;
    }

    /// Out of the object or array that has no more members.
    pub(in crate::decoder) fn leave(&mut self) {
        self.at += 1;
    }

    /// The name of an object's next member; its value is what comes then.
    pub(in crate::decoder) fn key(&mut self) -> Option<Cow<'a, str>> {
        self.commas();
        if self.byte() != b'"' {
            return None;
        }
        let key = self.string();
        self.blanks();
        self.at += 1; // the colon
        self.blanks();
        Some(unescaped(key))
    }

    /// Whether an array has one more element, which is what comes then.
    pub(in crate::decoder) fn has_element(&mut self) -> bool {
        self.commas();
        self.byte() != b']'
    }

    /// The value that begins here, as it is written.
    pub(in crate::decoder) fn value(&mut self) -> &'a str {
        let start = self.at;
        self.skip();
        &self.text[start..self.at]
    }

    /// Past the value that begins here.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.byte() {
                b'"' => _ = self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => {
                    let rest = &self.text.as_bytes()[self.at..];
                    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// The inside of the string that begins here.
    fn string(&mut self) -> &'a str {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) {
            at += found;
            if bytes[at] == b'"' {
                break;
            }
            at += 2;
        }
        self.at = at + 1;
        &self.text[start..at]
    }

    fn commas(&mut self) {
        self.blanks();
        while self.byte() == b',' {
            self.at += 1;
            self.blanks();
        }
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// The byte here. Of valid JSON there is one wherever this is asked.
    pub(in crate::decoder) fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b']')
    }
}

/// Elements of an array that may be meant by their numbers; more would be looked up in vain.
pub(in crate::decoder) const NAMED_ELEMENTS: usize = 100;

/// The strings of a record that were written with escapes, or are read in capitals: few, and of most records none.
pub(in crate::decoder) struct Unescaped<'a> {
    text: &'a str,
    /// By the names' ids, in their order; `None` is half of a surrogate pair, which is no text.
    ranges: Vec<(u8, Option<(usize, usize)>)>,
}

impl<'a> Unescaped<'a> {
    pub(super) fn of(members: &Members<'_>, names: &Names, scratch: &'a mut String) -> Self {
        scratch.clear();
        let mut ranges = Vec::new();
        for ((raw, name), id) in members.slots.iter().zip(names.all()).zip(0..) {
            let Some(raw) = raw else { continue };
            let is_code = name.field == Field::Currency;
            if !is_code && memchr::memchr(b'\\', raw.as_bytes()).is_none() {
                continue;
            }
            let Some(inside) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) else { continue };
            if !inside.contains('\\') && is_plain_code(inside) {
                continue;
            }
            let start = scratch.len();
            let whole = append_unescaped(inside, scratch);
            if is_code {
                let code = scratch[start..].trim().to_ascii_uppercase();
                scratch.truncate(start);
                scratch.push_str(&code);
            }
            ranges.push((id, whole.then_some((start, scratch.len()))));
        }
        Self { text: scratch, ranges }
    }

    /// The text that a value is, if it is a string and one that can be.
    pub(super) fn text(&self, id: usize, raw: &'a str) -> Option<&'a str> {
        let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
        match self.ranges.iter().find(|(of, _)| usize::from(*of) == id) {
            None => Some(inside),
            Some((_, range)) => range.map(|(start, end)| &self.text[start..end]),
        }
    }
}

/// Whether a currency is written as it is meant: in capitals, without blanks around it.
pub(in crate::decoder) fn is_plain_code(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_lowercase())
}

/// What the inside of a JSON string stands for.
fn unescaped(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut text = String::new();
    append_unescaped(inside, &mut text);
    Cow::Owned(text)
}

/// Appends what the inside of a string of valid JSON stands for; false if a surrogate lacks its other half, which then is
/// U+FFFD.
pub(in crate::decoder) fn append_unescaped(inside: &str, to: &mut String) -> bool {
    let mut whole = true;
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        to.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            b'b' => to.push('\u{8}'),
            b'f' => to.push('\u{c}'),
            b'n' => to.push('\n'),
            b'r' => to.push('\r'),
            b't' => to.push('\t'),
            b'u' => {
                let high = hex(rest);
                rest = rest.get(4..).unwrap_or_default();
                let low = rest.strip_prefix("\\u").map(hex).filter(|low| (0xdc00..0xe000).contains(low));
                let code = match (high, low) {
                    (0xd800..0xdc00, Some(low)) => {
                        rest = rest.get(6..).unwrap_or_default();
                        0x1_0000 + (high - 0xd800) * 0x400 + (low - 0xdc00)
                    }
                    _ => high,
                };
                let character = char::from_u32(code);
                whole &= character.is_some();
                to.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => to.push(char::from(other)), // a quote, a slash or a backslash
        }
    }
    to.push_str(rest);
    whole
}

fn hex(text: &str) -> u32 {
    text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xd800)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_read_as_serde_json_reads_it(text in "\\PC*[\\x00-\\x1f\"\\\\/😀é]{0,8}\\PC*") {
            let written = serde_json::to_string(&text).unwrap();
            let mut read = String::new();
            prop_assert!(append_unescaped(&written[1..written.len() - 1], &mut read));
            prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_noticed() {
        for (inside, expected, whole) in [
            (r"a\ud83d\ude00b", "a😀b", true),
            (r"a\ud83d", "a\u{fffd}", false),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}", false),
            (r"\ud83d\u0041", "\u{fffd}A", false),
            (r"\ud83d\n", "\u{fffd}\n", false),
        ] {
            let mut text = String::new();
            assert_eq!((append_unescaped(inside, &mut text), text.as_str()), (whole, expected), "{inside}");
        }
    }
}
