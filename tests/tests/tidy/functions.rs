//! No function is longer than a screen.
//!
//! Invariant: a function is counted from its `fn` to its closing brace, whatever is in its comments
//! and strings. What it deliberately does not do: count closures or macros.

use super::source::{Finding, Source, line_at};

const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are too long.
pub(super) fn length(source: &Source) -> Vec<Finding> {
    if !source.is_own_rust() {
        return Vec::new();
    }
    let functions = functions(&source.code).into_iter();
    let long = functions.filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|Function { name, line, lines }| {
        let what = format!(
            "function `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX} are allowed: split it"
        );
        source.finding(line, what)
    })
    .collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// All functions with a body in masked code, in order of their beginning.
fn functions(code: &str) -> Vec<Function> {
    let begins_word = |at: usize| {
        !code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '#')
    };
    let starts = code.match_indices("fn").filter(|&(at, _)| begins_word(at));
    starts
        .filter_map(|(at, keyword)| function(code, at, at + keyword.len()))
        .collect()
}

fn function(code: &str, start: usize, after: usize) -> Option<Function> {
    let rest = &code[after..];
    let name: String = rest
        .trim_start()
        .trim_start_matches("r#")
        .chars()
        .take_while(|&c| c.is_alphanumeric() || c == '_')
        .collect();
    // `fn(u8)` is a type, `fnord` a name, `fn $name` belongs to a macro.
    if name.is_empty() || !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let end = after + block_length(rest)?;
    let (first, last) = (line_at(code, start), line_at(code, end));
    Some(Function {
        name,
        line: first,
        lines: last - first + 1,
    })
}

/// Up to and without the brace that closes the first block; `None` for a declaration without one.
pub(super) fn block_length(rest: &str) -> Option<usize> {
    let mut braces = 0_usize;
    let mut others = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            ';' if braces == 0 && others == 0 => return None,
            // A brace inside brackets is a constant's, such as in `[u8; { N }]`.
            '{' if braces > 0 || others == 0 => braces += 1,
            '}' if braces == 1 => return Some(at),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, usize, usize)]) {
        let source = Source::new("x.rs", text);
        let found = functions(&source.code);
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.lines))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn functions_end_at_their_own_brace() {
        check(
            "fn a() {}\n\npub async fn b() {\n  if x { y }\n}\n",
            &[("a", 1, 1), ("b", 3, 3)],
        );
        check(
            "fn a() {\n  fn b() {\n  }\n}\n",
            &[("a", 1, 4), ("b", 2, 2)],
        );
        check(
            "fn a() {\n  let x = \"}\"; // }\n  '}'\n}\n",
            &[("a", 1, 4)],
        );
        check(
            "fn a(\n  x: [u8; 4],\n) -> [u8; { N }]\nwhere\n  T: X,\n{\n}\n",
            &[("a", 1, 7)],
        );
    }

    #[test]
    fn declarations_types_and_macros_are_no_functions() {
        check("trait T {\n  fn a();\n  fn b() {\n  }\n}\n", &[("b", 3, 2)]);
        check("type F = fn(u8) -> u8; struct S { fnord: u8 }", &[]);
        check("macro_rules! m { ($n:ident) => { fn $n() {} } }", &[]);
    }

    #[test]
    fn a_long_function_is_found_and_one_line_less_is_not() {
        let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "x;\n".repeat(lines - 2));
        let check = |lines| length(&Source::new("x.rs", &function(lines)));
        assert!(check(FUNCTION_LINES_MAX).is_empty());
        let findings = check(FUNCTION_LINES_MAX + 1);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        let generated = Source::new("a/generated/x.rs", &function(200));
        assert!(length(&generated).is_empty());
    }
}
