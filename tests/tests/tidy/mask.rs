//! Blanks out comments and literals of Rust source, so that rules see only code.
//!
//! Invariant: the result has the same length and the same lines as the source. What it deliberately
//! does not do: check the source; what the compiler refuses may be masked badly.

/// The source with every comment, string and character literal replaced by spaces.
pub(super) fn mask(source: &str) -> String {
    let mut masked = source.as_bytes().to_vec();
    let mut at = 0;
    while at < source.len() {
        let end = at + literal_length(source, at);
        for byte in &mut masked[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(next_token(source, at));
    }
    String::from_utf8(masked).expect("only whole literals are replaced")
}

/// The place after the character, or after the whole word, at `at`: a prefix such as `r` counts
/// only where a word begins.
fn next_token(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let character = rest.chars().next().map_or(1, char::len_utf8);
    at + word.max(character)
}

/// Length of the comment or literal that begins here, or 0.
fn literal_length(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    for prefix in ["", "b", "c"] {
        let Some(body) = rest.strip_prefix(prefix) else {
            continue;
        };
        if body.starts_with('"') {
            return prefix.len() + quoted(body, '"');
        }
        if let Some(raw) = body.strip_prefix('r') {
            let length = raw_string(raw);
            if length > 0 {
                return prefix.len() + 1 + length;
            }
        }
    }
    match rest.strip_prefix("b'") {
        Some(_) => 1 + quoted(&rest[1..], '\''),
        None => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// A character literal; 0 for a lifetime or a label.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => quoted(rest, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        (_, _) => 0,
    }
}

/// A literal in quotes, with escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// What follows the `r` of a raw string; 0 for a raw identifier or no string at all.
fn raw_string(rest: &str) -> usize {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !rest[hashes..].starts_with('"') {
        return 0;
    }
    let open = hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    rest[open..]
        .find(&close)
        .map_or(rest.len(), |at| open + at + close.len())
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[track_caller]
    fn check(source: &str, code: &str) {
        let masked = mask(source);
        assert_eq!(masked.len(), source.len());
        assert_eq!(masked.lines().count(), source.lines().count());
        assert_eq!(
            masked.split_whitespace().collect::<Vec<_>>().join(" "),
            code
        );
    }

    #[test]
    fn comments_are_blank() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d\n */ e", "a e");
        check("a / b", "a / b");
        check("a /* unfinished", "a");
    }

    #[test]
    fn strings_are_blank() {
        check("f(\"a \\\" { // \", b)", "f( , b)");
        check("f(b\"{\", c\"}\", x)", "f( , , x)");
        check("f(r\"\\\", r#\"a\" {\"#, br##\"\"#\"##, x)", "f( , , , x)");
        check("\"über\" é", "é");
        check("\"two\nlines\" x", "x");
        check("bar\"x\" r", "bar r");
    }

    #[test]
    fn characters_are_blank_and_lifetimes_are_not() {
        check(
            "f('{', '\\'', '\\u{7d}', 'é', b'\"', b'\\'', x)",
            "f( , , , , , , x)",
        );
        check(
            "fn f<'a>(x: &'a str) -> &'static str",
            "fn f<'a>(x: &'a str) -> &'static str",
        );
        check("'outer: loop {}", "'outer: loop {}");
    }

    #[test]
    fn raw_identifiers_and_words_ending_in_a_prefix_stay() {
        check("r#type; for x in r {}", "r#type; for x in r {}");
        check("attr#[x]", "attr#[x]");
    }
}
