//! Layers over layers, as containerd unpacks them.

use super::*;
use crate::domain::digest::{DiffId, Digest};

fn layer(entries: &[(&str, Kind, u16)]) -> Option<Arc<LayerFiles>> {
    let entries = entries
        .iter()
        .map(|(path, kind, mode)| Entry { path: (*path).into(), kind: kind.clone(), mode: *mode })
        .collect();
    Some(Arc::new(LayerFiles { diff_id: DiffId(Digest::of(b"")), size: 0, entries }))
}

fn laid(layers: &[Option<Arc<LayerFiles>>]) -> Tree {
    let mut tree = Tree::default();
    layers.iter().for_each(|layer| tree.add(layer.as_deref()));
    tree
}

fn file(size: u64) -> Kind {
    Kind::File { size, content: None }
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.all().map(|(path, _)| path).collect()
}

#[test]
fn whiteouts_take_away_what_was_below_and_nothing_else() {
    let tree = laid(&[
        layer(&[
            ("a", Kind::Directory, 0o755),
            ("a/x", file(10), 0o644),
            ("a/y", file(5), 0o644),
            ("a-b", file(1), 0o644),
            ("b", Kind::Directory, 0o755),
            ("b/old", file(100), 0o644),
        ]),
        layer(&[
            ("a/.wh.x", file(0), 0),
            ("b", Kind::Directory, 0o755),
            ("b/new", file(7), 0o644),
            ("b/.wh..wh..opq", file(0), 0),
        ]),
    ]);
    assert_eq!(paths(&tree), ["a", "a-b", "a/y", "b", "b/new"]);
    assert_eq!(tree.lost[0].bytes, 110);
    assert_eq!(tree.lost[0].largest, Some((100, "/b/old".to_owned())));
    assert!(tree.missing_parents.is_empty());
}

#[test]
fn a_file_replaces_a_directory_and_a_directory_a_link_but_not_a_directory() {
    let tree = laid(&[
        layer(&[
            ("usr", Kind::Directory, 0o755),
            ("usr/lib", Kind::Directory, 0o755),
            ("usr/lib/x", file(1), 0o644),
            ("lib", Kind::Symlink("usr/lib".into()), 0o777),
            ("d", Kind::Directory, 0o755),
            ("d/inner", file(3), 0o644),
        ]),
        layer(&[("usr", Kind::Directory, 0o700), ("d", file(2), 0o644), ("lib/y", file(1), 0o644)]),
    ]);
    // What is put below a link goes to where it leads.
    assert_eq!(paths(&tree), ["d", "lib", "usr", "usr/lib", "usr/lib/x", "usr/lib/y"]);
    assert_eq!(tree.node("usr").unwrap().mode, Some(0o700));
    let tree = laid(&[
        layer(&[("usr", Kind::Directory, 0o755), ("lib", Kind::Symlink("usr".into()), 0o777)]),
        layer(&[("lib", Kind::Directory, 0o755), ("lib/z", file(1), 0o644)]),
    ]);
    assert_eq!(paths(&tree), ["lib", "lib/z", "usr"]);
}

#[test]
fn links_are_followed_from_where_they_lie_and_never_out_of_the_image() {
    let tree = laid(&[layer(&[
        ("bin", Kind::Symlink("usr/bin".into()), 0o777),
        ("usr", Kind::Directory, 0o755),
        ("usr/bin", Kind::Directory, 0o711),
        ("usr/bin/python3", Kind::Symlink("python3.11".into()), 0o777),
        ("usr/bin/python3.11", file(9), 0o755),
        ("out", Kind::Symlink("../../../usr/bin/python3".into()), 0o777),
        ("round", Kind::Symlink("trip".into()), 0o777),
        ("trip", Kind::Symlink("/round".into()), 0o777),
        ("dangling", Kind::Symlink("/nowhere".into()), 0o777),
    ])]);
    for path in ["/bin/python3", "/usr/bin/./python3", "out", "usr/lib/../bin/python3.11"] {
        let Lookup::Found(found) = tree.look_up(path) else { panic!("{path}") };
        assert_eq!(found.path, "usr/bin/python3.11", "{path}");
        assert!(found.passed.contains(&"usr/bin".to_owned()), "{path}: {:?}", found.passed);
    }
    for path in ["/round", "/dangling", "/usr/bin/perl", "/bin/python3/x"] {
        assert!(matches!(tree.look_up(path), Lookup::Absent), "{path}");
    }
}

#[test]
fn a_directory_has_to_come_before_what_is_in_it() {
    let base = layer(&[("var", Kind::Directory, 0o755), ("var/task", Kind::Directory, 0o755)]);
    let late = layer(&[
        ("var/task/app.py", file(1), 0o644),
        ("opt/tool/run", file(1), 0o755),
        ("opt/tool/more", file(1), 0o755),
        ("opt", Kind::Directory, 0o700),
    ]);
    let tree = laid(&[base, late.clone()]);
    let fault = Fault { layer: 1, path: "/opt/tool/run".to_owned(), missing: "/opt/tool".to_owned() };
    assert_eq!(tree.missing_parents, [fault]);
    assert_eq!(tree.node("opt").unwrap().mode, Some(0o700));
    assert!(tree.has("/opt/tool/more"), "a late entry keeps what is there");
    // A layer that was not read may have the directory.
    assert!(laid(&[None, late]).missing_parents.is_empty());
}

#[test]
fn hard_links_share_what_the_file_is_and_must_find_it() {
    let tree = laid(&[layer(&[
        ("a", file(10), 0o750),
        ("b", Kind::HardLink("a".into()), 0o644),
        ("c", Kind::HardLink("none".into()), 0o644),
    ])]);
    assert_eq!((tree.node("b").unwrap().size(), tree.node("b").unwrap().mode), (0, Some(0o750)));
    let fault = Fault { layer: 0, path: "/c".to_owned(), missing: "/none".to_owned() };
    assert_eq!(tree.broken_links, [fault]);
}

#[test]
fn what_a_layer_that_was_not_read_may_change_is_unknown() {
    let top = layer(&[("bootstrap", file(1), 0o755)]);
    let below_is_unread = laid(&[None, top.clone()]);
    assert!(matches!(below_is_unread.look_up("/bootstrap"), Lookup::Found(_)));
    assert!(matches!(below_is_unread.look_up("/other"), Lookup::Unknown));
    let above_is_unread = laid(&[top, None]);
    assert!(matches!(above_is_unread.look_up("/bootstrap"), Lookup::Unknown));
    assert!(!above_is_unread.is_whole());
}

#[test]
fn a_directory_that_becomes_a_link_within_a_layer_is_followed_from_then_on() {
    let tree = laid(&[layer(&[
        ("e", Kind::Directory, 0o755),
        ("d", Kind::Directory, 0o755),
        ("d/x", file(1), 0o644),
        ("d", Kind::Symlink("e".into()), 0o777),
        ("d/y", file(1), 0o644),
        ("d", Kind::Symlink("f".into()), 0o777),
        ("f", Kind::Directory, 0o755),
        ("d/z", file(1), 0o644),
    ])]);
    assert_eq!(paths(&tree), ["d", "e", "e/y", "f", "f/z"]);
}
