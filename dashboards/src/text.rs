//! Writes JSON and YAML with a fixed key order, so that the output depends on nothing but the values.
//!
//! `serde_json`'s own order depends on a cargo feature that any crate of a build can switch on.

use serde_json::{Map, Value};

/// Keys that come first where they occur; the others follow by name.
const FIRST_KEYS: [&str; 14] = [
    "apiVersion",
    "orgId",
    "refId",
    "uid",
    "id",
    "name",
    "title",
    "folder",
    "type",
    "interval",
    "description",
    "condition",
    "datasource",
    "query",
];

fn ordered(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &str| FIRST_KEYS.iter().position(|first| *first == key).unwrap_or(FIRST_KEYS.len());
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| (rank(a), *a).cmp(&(rank(b), *b)));
    entries
}

/// Pretty JSON with two spaces, ending in a newline.
#[must_use]
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value, 0);
    out.push('\n');
    out
}

fn write_json(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) if items.iter().all(is_scalar) && items.len() <= 4 => {
            out.push_str(&value.to_string());
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                new_line(out, depth + 1, i > 0);
                write_json(out, item, depth + 1);
            }
            new_line(out, depth, false);
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in ordered(map).into_iter().enumerate() {
                new_line(out, depth + 1, i > 0);
                out.push_str(&quoted(key));
                out.push_str(": ");
                write_json(out, item, depth + 1);
            }
            new_line(out, depth, false);
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

fn new_line(out: &mut String, depth: usize, comma: bool) {
    if comma {
        out.push(',');
    }
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Block YAML under a comment, ending in a newline.
///
/// Strings are double-quoted with JSON's escapes, which YAML shares, so none of YAML's guesses about plain text apply.
#[must_use]
pub fn yaml(comment: &str, value: &Value) -> String {
    let mut out = format!("# {comment}\n");
    write_yaml(&mut out, value, 0);
    out
}

fn write_yaml(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, item) in ordered(map) {
                out.push_str(&format!("{indent}{key}:"));
                write_yaml_item(out, item, depth + 1);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut nested = String::new();
                write_yaml(&mut nested, item, depth + 1);
                if is_scalar(item) || nested.is_empty() {
                    out.push_str(&format!("{indent}-"));
                    write_yaml_item(out, item, depth + 1);
                } else {
                    // The first line of the block takes the dash in its indentation.
                    out.push_str(&format!("{indent}- {}", &nested[indent.len() + 2..]));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&format!("{indent}{value}\n"));
        }
    }
}

fn write_yaml_item(out: &mut String, item: &Value, depth: usize) {
    match item {
        Value::Object(map) if map.is_empty() => out.push_str(" {}\n"),
        Value::Array(items) if items.iter().all(is_scalar) => out.push_str(&format!(" {item}\n")),
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            write_yaml(out, item, depth);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&format!(" {item}\n"));
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn quoted(key: &str) -> String {
    Value::from(key).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_keeps_nesting_and_quotes_every_string() {
        let value = json!({"orgId": 1, "groups": [{"name": "a: b", "rules": [{"uid": "x", "labels": {}}], "by": ["y", 2]}]});
        let expected = "\
# c
orgId: 1
groups:
  - name: \"a: b\"
    by: [\"y\",2]
    rules:
      - uid: \"x\"
        labels: {}
";
        assert_eq!(yaml("c", &value), expected);
    }

    #[test]
    fn json_round_trips_with_the_named_keys_first() {
        let value = json!({"b": [1, {"c": null}], "uid": "u", "a": "\"quoted\" \u{e9}\n"});
        let text = json(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.find("\"uid\"").unwrap() < text.find("\"a\"").unwrap());
    }
}
