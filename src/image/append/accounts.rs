//! Users and groups by name, as `/etc/passwd` and `/etc/group` of an image list them, for
//! `--chown` and USER. Called by `stage`; `listing` keeps these files.
//!
//! A name that is not found is the builder's: versions differ in what they make of it.
//! <https://man7.org/linux/man-pages/man5/passwd.5.html>

use super::Stopped;
use super::content::Content;
use super::tree::{Kind, Owner, Tree, place};

/// Where they are listed.
pub(super) const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// No list is read that is larger.
pub(super) const LARGEST: u64 = 64 << 10;

/// The user of a name, with its own group.
pub(super) fn user(tree: &mut Tree, name: &str) -> Result<Option<Owner>, Stopped> {
    let Some(text) = read(tree, FILES[0])? else { return Ok(None) };
    Ok(fields(&text, name)
        .and_then(|fields| Some(Owner { user: id(fields.get(2)?)?, group: id(fields.get(3)?)? })))
}

/// The number of a group.
pub(super) fn group(tree: &mut Tree, name: &str) -> Result<Option<u64>, Stopped> {
    let Some(text) = read(tree, FILES[1])? else { return Ok(None) };
    Ok(fields(&text, name).and_then(|fields| id(fields.get(2)?)))
}

/// The text of a list; `None` where there is none that is small and can be read at once.
fn read(tree: &mut Tree, path: &str) -> Result<Option<String>, Stopped> {
    let real = tree.real(&place(path))?;
    match tree.get(&real)?.map(|node| node.kind) {
        Some(Kind::File(content)) if content.size() <= LARGEST => text(&content),
        _ => Ok(None),
    }
}

/// The text of a file that can be read at once.
pub(super) fn text(content: &Content) -> Result<Option<String>, Stopped> {
    let bytes = content.bytes()?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// The first line of a name.
fn fields<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let lines = text.lines().map(|line| line.trim().split(':').collect::<Vec<_>>());
    lines.into_iter().find(|fields| fields.len() > 1 && fields.first() == Some(&name))
}

fn id(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|id| i32::try_from(*id).is_ok() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_name_counts() {
        let text = "root:x:0:0:root:/root:/bin/sh\n\n# a comment\napp:x:11:12::/:\n  padded:x:7:8::/:  \napp:x:1:1::/:\nodd\nbad:x:-1:y::/:\n";
        let user = |name: &str| {
            fields(text, name).and_then(|fields| Some((id(fields.get(2)?)?, id(fields.get(3)?)?)))
        };
        assert_eq!(user("app"), Some((11, 12)));
        assert_eq!(user("padded"), Some((7, 8)));
        for name in ["ap", "odd", "bad", "", "x"] {
            assert_eq!(user(name), None, "{name}");
        }
    }
}
