//! The name that somebody meant who wrote another one.

/// The candidate that is closest to `word`, if one is close enough to be meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    // A third of the letters: with more wrong, everything is like everything.
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out or exchanged to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for column in 0..right.len() {
            let exchanged = diagonal + usize::from(letter != right[column]);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised_and_other_words_are_not() {
        let names = ["max_sessions", "max_idle_time", "end_grace", "level"];
        let check = |word: &str| nearest(word, names.into_iter());
        assert_eq!(check("max_session"), Some("max_sessions"));
        assert_eq!(check("maxidletime"), Some("max_idle_time"));
        assert_eq!(check("max-idle-time"), Some("max_idle_time"));
        assert_eq!(check("Level"), Some("level"));
        assert_eq!(check("lvel"), Some("level"));
        assert_eq!(check("colour"), None);
        assert_eq!(check(""), None);
    }
}
