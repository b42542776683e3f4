//! What an edit tool would have been told: the part of a file that differs, and texts cut to size.
//!
//! Invariant: replacing `old` by `new` at its place turns the one file into the other. What it
//! deliberately does not do: find a minimal difference; one region spans all changed lines.

/// Bytes of each side of an edit, and of each output: what servers of this kind keep of one.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The changed lines of a file and one unchanged line around them, so that the old side of an
/// insertion is not empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Region<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
}

impl<'a> Region<'a> {
    pub(super) fn between(before: &'a str, after: &'a str) -> Self {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let new: Vec<&str> = after.split_inclusive('\n').collect();
        let shared = old.len().min(new.len());
        let mut head = (0..shared).take_while(|&i| old[i] == new[i]).count();
        let mut tail = (0..shared - head)
            .take_while(|&i| old[old.len() - 1 - i] == new[new.len() - 1 - i])
            .count();
        head = head.saturating_sub(1);
        tail = tail.saturating_sub(1);
        Self {
            old: inner(before, &old, head, tail),
            new: inner(after, &new, head, tail),
        }
    }
}

/// The text without its first `head` and last `tail` lines.
fn inner<'a>(text: &'a str, lines: &[&str], head: usize, tail: usize) -> &'a str {
    let start: usize = lines[..head].iter().map(|line| line.len()).sum();
    let rest: usize = lines[lines.len() - tail..]
        .iter()
        .map(|line| line.len())
        .sum();
    &text[start..text.len() - rest]
}

/// The text, or its beginning and how much is missing.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    let kept = &text[..end];
    format!("{kept}\n[{} bytes left out]", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, old: &str, new: &str) {
        let region = Region::between(before, after);
        assert_eq!(region, Region { old, new });
        assert_eq!(before.replacen(region.old, region.new, 1), after);
    }

    #[test]
    fn a_region_holds_the_change_and_a_line_around_it() {
        check(
            "a\nb\nc\nd\ne\n",
            "a\nb\nX\nd\ne\n",
            "b\nc\nd\n",
            "b\nX\nd\n",
        );
        check("a\nb\n", "a\nb\nc\n", "b\n", "b\nc\n");
        check("a\nb\n", "x\na\nb\n", "a\n", "x\na\n");
        check("a\nb\nc\n", "a\nc\n", "a\nb\nc\n", "a\nc\n");
        check("a\na\na\n", "a\na\n", "a\na\n", "a\n");
        check("a", "a\n", "a", "a\n");
        check("", "a\n", "", "a\n");
        check("a\n", "", "a\n", "");
        check("é\nb", "é\nc", "é\nb", "é\nc");
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_say_so() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
        let long = format!("x{}", "é".repeat(TEXT_BYTES_MAX));
        let short = cut(&long);
        assert!(short.starts_with("xé") && short.contains("é\n["));
        assert!(
            short.ends_with(&format!("[{} bytes left out]", TEXT_BYTES_MAX + 2)),
            "{}",
            &short[short.len() - 40..]
        );
    }
}
