//! The payload of a message: some fields of an event as one JSON object, cut when they are too
//! long.
//!
//! Invariant: the result is a JSON object within the bound, with every byte of the fields when they
//! fit; of a cut field the beginning is kept, as a text. What this deliberately does not do: decide
//! which fields matter.

use super::event::{HookEvent, text};

/// What of a cut field is kept at least, in bytes of JSON, however long the others are.
const FIELD_BYTES_MIN: usize = 1024;

/// A JSON object, and whether something was cut to make it fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) json: Vec<u8>,
    /// The size it would have had, in bytes. `None` when nothing was cut.
    pub(super) original_size: Option<usize>,
}

impl Payload {
    /// The named fields which the event has, in this order, in at most `bytes_max` bytes. The
    /// bound must leave room for the minimum of each field.
    pub(super) fn of(
        event: &HookEvent<'_>,
        names: &'static [&'static str],
        bytes_max: usize,
    ) -> Self {
        let mut fields: Vec<Field> = names
            .iter()
            .filter_map(|name| {
                let json = event.raw(name)?.to_owned();
                Some(Field { name, json })
            })
            .collect();
        let original_size = object_size(&fields);
        let is_cut = original_size > bytes_max;
        if is_cut {
            shrink(&mut fields, bytes_max);
        }
        Self {
            json: object(&fields),
            original_size: is_cut.then_some(original_size),
        }
    }
}

#[derive(Clone, Debug)]
struct Field {
    name: &'static str,
    json: String,
}

/// Cuts the longest fields first, so that the short ones that say what it is about stay whole.
fn shrink(fields: &mut [Field], bytes_max: usize) {
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(fields[at].json.len()));
    for at in order {
        let size = object_size(fields);
        if size <= bytes_max {
            return;
        }
        let others = size - fields[at].json.len();
        let room = bytes_max.saturating_sub(others).max(FIELD_BYTES_MIN);
        fields[at].json = quoted_beginning(&fields[at].json, room);
    }
}

/// As much of the beginning of a JSON value as fits, as a JSON string of at most `bytes_max` bytes.
/// Of a string it is the text's beginning, of anything else that of its JSON.
fn quoted_beginning(json: &str, bytes_max: usize) -> String {
    let text = text(json).unwrap_or_else(|| json.to_owned());
    let mut size = 2;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        size += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c.is_ascii_control() => 6,
            c => c.len_utf8(),
        };
        if size > bytes_max {
            end = at;
            break;
        }
    }
    serde_json::Value::from(&text[..end]).to_string()
}

/// The size of the object in bytes: braces, and for each field its quotes, colon and comma.
fn object_size(fields: &[Field]) -> usize {
    let each = fields
        .iter()
        .map(|field| field.name.len() + field.json.len() + 4);
    2 + each.sum::<usize>() - usize::from(!fields.is_empty())
}

fn object(fields: &[Field]) -> Vec<u8> {
    let mut json = Vec::with_capacity(object_size(fields));
    json.push(b'{');
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        // Names are our own constants and need no escapes.
        json.push(b'"');
        json.extend_from_slice(field.name.as_bytes());
        json.extend_from_slice(b"\":");
        json.extend_from_slice(field.json.as_bytes());
    }
    json.push(b'}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", "b", "c"];

    #[track_caller]
    fn check(text: &str, bytes_max: usize) -> (Payload, serde_json::Value) {
        let event = format!(r#"{{"hook_event_name":"Stop","session_id":"s",{text}}}"#);
        let event = HookEvent::parse(&event).expect("an event");
        let payload = Payload::of(&event, NAMES, bytes_max);
        assert!(payload.json.len() <= bytes_max, "{}", payload.json.len());
        let json = serde_json::from_slice(&payload.json).expect("valid JSON");
        (payload, json)
    }

    #[test]
    fn what_fits_keeps_every_byte() {
        let (payload, _) = check(
            r#""b":{ "z":1.0, "a":12345678901234567890123 },"a":null"#,
            4096,
        );
        assert_eq!(
            payload.json,
            br#"{"a":null,"b":{ "z":1.0, "a":12345678901234567890123 }}"#
        );
        assert_eq!(payload.original_size, None);
    }

    #[test]
    fn no_field_is_an_empty_object() {
        assert_eq!(check(r#""x":1"#, 4096).0.json, b"{}");
    }

    #[test]
    fn the_bound_is_exact() {
        let size = r#"{"a":"","b":1}"#.len() + 5000;
        let text = format!(r#""a":"{}","b":1"#, "x".repeat(5000));
        assert_eq!(check(&text, size).0.original_size, None);
        let (payload, json) = check(&text, size - 1);
        assert_eq!(payload.original_size, Some(size));
        assert_eq!(payload.json.len(), size - 1);
        assert_eq!(json["a"], "x".repeat(4999));
        assert_eq!(json["b"], 1);
    }

    #[test]
    fn the_longest_is_cut_first_and_escapes_are_counted() {
        let long = r#"\n\"\\"#.repeat(2000);
        let text = format!(
            r#""a":"{}","b":{{"k":"{long}"}},"c":"end""#,
            "y".repeat(900)
        );
        let (_, json) = check(&text, 6000);
        assert_eq!(json["a"], "y".repeat(900));
        assert_eq!(json["c"], "end");
        let kept = json["b"].as_str().expect("a cut object is a text");
        assert!(kept.starts_with(r#"{"k":"\n\"\\\n"#), "{kept}");
    }

    #[test]
    fn several_long_fields_share_the_room() {
        let long = "é".repeat(4000);
        let (payload, json) = check(&format!(r#""a":"{long}","b":"{long}","c":"{long}""#), 9000);
        assert!(payload.original_size.is_some_and(|size| size > 24_000));
        for name in NAMES {
            assert!(json[name].as_str().is_some_and(|text| text.len() > 1000));
        }
    }

    #[test]
    fn half_characters_survive_a_cut() {
        let text = format!(r#""a":"\ud83d{}""#, "z".repeat(5000));
        let (_, json) = check(&text, 2000);
        assert!(json["a"].as_str().is_some_and(|kept| kept.contains('z')));
    }
}
