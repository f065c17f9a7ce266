//! Notices a context that is heavier than anybody meant it to be.

use std::collections::BTreeMap;

use super::{Context, walk};
use crate::domain::size::ByteSize;
use crate::event::Event;

/// From how many bytes on a context is worth a word.
pub(super) const HEAVY: u64 = 100_000_000;

/// Measures the whole context, without reading any file, and says what weighs most in it.
pub(super) fn warning(context: &Context) -> Event {
    let mut weights: BTreeMap<String, u64> = BTreeMap::new();
    // What cannot be read is told by the walk that sends it.
    let _ = walk::walk(context, &mut |entry| {
        if entry.metadata.is_file() {
            let mut components = entry.relative.components();
            let top = components.next().map(|top| top.as_os_str().to_string_lossy().into_owned());
            let slash = if components.next().is_some() { "/" } else { "" };
            *weights.entry(format!("{}{slash}", top.unwrap_or_default())).or_default() +=
                entry.metadata.len();
        }
        Ok(())
    });
    let total = weights.values().sum();
    let mut heaviest: Vec<_> = weights.into_iter().collect();
    heaviest.sort_by(|(a, weight_a), (b, weight_b)| weight_b.cmp(weight_a).then_with(|| a.cmp(b)));
    heaviest.truncate(5);
    let list: Vec<_> =
        heaviest.iter().map(|(path, bytes)| format!("`{path}` {}", ByteSize(*bytes))).collect();
    let file = match context.dockerignore() {
        Some(file) => file.to_owned(),
        None => context.root.join(super::DOCKERIGNORE),
    };
    let line = heaviest.first().map(|(path, _)| path.trim_end_matches('/')).unwrap_or_default();
    Event::Warning {
        message: format!("the build context has {}: {}", ByteSize(total), list.join(", ")),
        hint: Some(format!(
            "what the Dockerfile does not need can stay here: `{line}` as a line of `{}` leaves the largest out",
            file.display()
        )),
    }
}
