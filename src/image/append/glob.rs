//! Patterns in sources of COPY, as Go's `filepath.Match` matches them.
//! <https://pkg.go.dev/path/filepath#Match>

/// Tells whether a source is a pattern.
pub(super) fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '['])
}

/// Says that a pattern is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPattern;

/// Matches one name against one part of a pattern, between slashes. No escapes: a pattern with
/// a backslash is somebody else's.
pub(super) fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern: Vec<char> = pattern.chars().collect();
    let items = compile(&pattern)?;
    let name: Vec<char> = name.chars().collect();
    Ok(matches_from(&items, &name))
}

#[derive(Debug)]
enum Item {
    Any,
    One,
    Character(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn compile(pattern: &[char]) -> Result<Vec<Item>, BadPattern> {
    let mut items = Vec::new();
    let mut rest = pattern;
    while let [first, after @ ..] = rest {
        rest = after;
        items.push(match first {
            '*' => Item::Any,
            '?' => Item::One,
            '[' => {
                let (item, after) = class(rest)?;
                rest = after;
                item
            }
            '\\' => return Err(BadPattern),
            character => Item::Character(*character),
        });
    }
    Ok(items)
}

/// What follows a `[`. The first `]` closes it only if something came before.
fn class(pattern: &[char]) -> Result<(Item, &[char]), BadPattern> {
    let (negated, mut rest) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !ranges.is_empty() => return Ok((Item::Class { negated, ranges }, after)),
            // A class has no bare `-`, and `]` only as its end.
            [] | ['-' | ']' | '\\', ..] | [_, '-', '-' | ']' | '\\', ..] | [_, '-'] => {
                return Err(BadPattern);
            }
            [low, '-', high, after @ ..] => {
                ranges.push((*low, *high));
                rest = after;
            }
            [only, after @ ..] => {
                ranges.push((*only, *only));
                rest = after;
            }
        }
    }
}

/// Remembers the last `*` only, which is enough.
fn matches_from(items: &[Item], name: &[char]) -> bool {
    let (mut item, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match items.get(item) {
            Some(Item::Any) => {
                star = Some((item, at));
                item += 1;
            }
            Some(single) if is_one(single, name[at]) => (item, at) = (item + 1, at + 1),
            _ => match star {
                Some((after, begin)) => {
                    star = Some((after, begin + 1));
                    (item, at) = (after + 1, begin + 1);
                }
                None => return false,
            },
        }
    }
    items[item..].iter().all(|item| matches!(item, Item::Any))
}

fn is_one(item: &Item, character: char) -> bool {
    match item {
        Item::Any => false,
        Item::One => true,
        Item::Character(own) => *own == character,
        Item::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Go's own table: <https://github.com/golang/go/blob/master/src/path/filepath/match_test.go>
    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "a", Ok(true)),
            ("a*", "abc", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[e-g]", "abc", Ok(false)),
            ("ab[^c]", "abc", Ok(false)),
            ("ab[^b-d]", "abc", Ok(false)),
            ("ab[^e-g]", "abc", Ok(true)),
            ("a?b", "a☺b", Ok(true)),
            ("a[^a]b", "a☺b", Ok(true)),
            ("a???b", "a☺b", Ok(false)),
            ("[a-ζ]*", "α", Ok(true)),
            ("*[a-ζ]", "A", Ok(false)),
            ("*", ".hidden", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("[-x]", "x", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("[^", "a", Err(BadPattern)),
            ("[^bc", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
            ("[[]0].txt", "[0].txt", Ok(true)),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
