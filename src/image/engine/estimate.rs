//! Estimates how long the ways out of an engine take, to choose among them. Called by `engine`.

use std::time::Duration;

use crate::image::deflate;
use crate::image::known::KnownLayers;
use crate::services::docker::EngineImage;

/// How long each way takes, roughly.
pub(super) struct Estimate {
    /// A push of the layers that are missing.
    pub(super) push: Duration,
    /// A push of all layers.
    push_all: Duration,
    /// A push of all layers at the same pace, until those that are missing have come; `None` where
    /// others come before them.
    push_evenly: Option<Duration>,
    pub(super) save: Duration,
    /// How many layers are missing.
    pub(super) missing: usize,
}

impl Estimate {
    /// Bytes a second at which engines compress one layer when they push it; several at once.
    const PUSH: u64 = 22_000_000;
    /// How many layers an engine pushes at once.
    const PUSHED_AT_ONCE: usize = 5;
    /// Bytes a second at which engines write an image out.
    pub(super) const SAVE: u64 = 115_000_000;
    /// Bytes a second at which an engine pushes what is compressed already, at the very least.
    pub(super) const SLOWEST_PUSH: u64 = 5_000_000;
    /// What an engine may be busy with besides.
    const PATIENCE: Duration = Duration::from_secs(6);
    /// The same, where it is to be faster than a save.
    const PATIENCE_EVENLY: Duration = Duration::from_secs(5);
    /// Bytes a second that one core compresses here.
    const COMPRESS: u64 = 70_000_000;
    /// For how long an engine has to prepare an image in silence that it pays to export a part of it
    /// before. To have that part made an image of takes 50 ms, and either export slows the other.
    pub(super) const LONG_SILENCE: Duration = Duration::from_millis(700);
    /// What percentage of an image is exported and compressed about when the whole is ready: 38 where
    /// one core compresses, as the other one is the engine's, and 55 where two do.
    pub(super) const BEST_PREFIX: u64 = 45;
    /// What is more is ready hardly sooner than the whole, and what is less is soon compressed.
    pub(super) const LARGEST_PREFIX: u64 = 65;
    pub(super) const SMALLEST_PREFIX: u64 = 10;

    pub(super) fn of(found: &EngineImage, known: &KnownLayers, sizes: Option<Vec<u64>>) -> Self {
        let is_missing: Vec<bool> =
            found.diff_ids.iter().map(|diff_id| known.get(diff_id).is_none()).collect();
        // All of one size is as good a guess as any.
        let guess = || vec![found.size / found.diff_ids.len().max(1) as u64; found.diff_ids.len()];
        let sizes = sizes.unwrap_or_else(guess);
        let layers: Vec<(u64, bool)> = sizes.into_iter().zip(is_missing).collect();
        Self::between(found.size, &layers, deflate::cores() as u64)
    }

    /// How long a push may take of which only what is missing comes.
    pub(super) fn patience(&self) -> Duration {
        self.push * 2 + Self::PATIENCE
    }

    /// How long a push may take of which all layers come, because the engine remembers none of
    /// their digests; `None` where saving the image is faster.
    ///
    /// Whoever `knows_configuration` need not wait for its end. To wait is worth it once, within
    /// bounds, on machines that live for more than this run: the engine remembers from then on.
    pub(super) fn patience_for_all(
        &self,
        knows_configuration: bool,
        machine_stays: bool,
    ) -> Option<Duration> {
        if let Some(evenly) = self.push_evenly.filter(|evenly| knows_configuration && *evenly <= self.save) {
            return Some(evenly * 2 + Self::PATIENCE_EVENLY);
        }
        let bound = if machine_stays { self.save * 3 + Self::PATIENCE } else { self.save };
        (self.push_all <= bound).then_some(self.push_all * 2 + Self::PATIENCE)
    }

    pub(super) fn seconds(bytes: u64, rate: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / rate as f64)
    }

    /// Of layers with their sizes and whether they are missing, lowest first.
    fn between(total: u64, layers: &[(u64, bool)], cores: u64) -> Self {
        let at_once = cores.min(Self::PUSHED_AT_ONCE as u64);
        let push = |layers: &[u64]| {
            let (all, largest) = (layers.iter().sum(), layers.iter().max().copied().unwrap_or_default());
            Self::seconds(largest, Self::PUSH).max(Self::seconds(all, Self::PUSH * at_once))
        };
        let sizes: Vec<u64> = layers.iter().map(|(size, _)| *size).collect();
        let missing: Vec<u64> =
            layers.iter().filter(|(_, missing)| *missing).map(|(size, _)| *size).collect();
        // The highest layer comes first.
        let lowest = layers.iter().position(|(_, missing)| *missing).unwrap_or_default();
        let others_before = layers[lowest..].iter().filter(|(_, missing)| !missing).count();
        let largest = missing.iter().max().copied().unwrap_or_default();
        let at_pace: Vec<u64> = sizes.iter().map(|size| (*size).min(largest)).collect();
        Self {
            push: push(&missing),
            push_all: push(&sizes),
            push_evenly: (others_before < Self::PUSHED_AT_ONCE).then(|| push(&at_pace)),
            save: Self::seconds(total, Self::SAVE)
                + Self::seconds(missing.iter().sum(), Self::COMPRESS * cores),
            missing: missing.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// Of an image with layers of so many megabytes, of which the highest ones are missing.
    fn estimate(layers: &[u64], missing: usize) -> Estimate {
        let others = layers.len() - missing;
        let sizes =
            layers.iter().enumerate().map(|(index, size)| (size * MB, index >= others)).collect::<Vec<_>>();
        Estimate::between(sizes.iter().map(|(size, _)| size).sum(), &sizes, 2)
    }

    #[test]
    fn little_that_is_missing_is_pushed_and_much_is_saved() {
        let pushes = |layers: &[u64], missing| {
            let estimate = estimate(layers, missing);
            estimate.push < estimate.save
        };
        assert!(pushes(&[281, 1], 1) && pushes(&[250, 31, 1], 2) && pushes(&[2080, 100, 100], 2));
        assert!(!pushes(&[126, 101, 14, 31, 1], 5) && !pushes(&[1610, 670], 1) && !pushes(&[9, 31], 1));
    }

    #[test]
    fn an_engine_may_send_all_of_an_image_until_what_is_missing_has_come() {
        let may = |layers: &[u64], missing| estimate(layers, missing).patience_for_all(true, false).is_some();
        assert!(may(&[126, 101, 14, 31, 1], 1) && may(&[1500, 400, 300, 1], 1));
        // Large ones are compressed as far as the missing one is large.
        assert!(!may(&[126, 101, 14, 31, 31], 1));
        // What is sent first does not let the missing one begin.
        let order = |missing: usize| -> Vec<(u64, bool)> {
            (0..8).map(|index| (if index == missing { MB } else { 90 * MB }, index == missing)).collect()
        };
        let evenly = |missing| Estimate::between(631 * MB, &order(missing), 2).push_evenly;
        assert!(evenly(7).is_some() && evenly(3).is_some() && evenly(2).is_none());
    }

    #[test]
    fn an_engine_sends_all_of_an_image_to_its_end_only_where_that_pays() {
        let may = |layers: &[u64], stays| estimate(layers, 1).patience_for_all(false, stays).is_some();
        let (usual, one_large_layer) = ([126, 101, 14, 31, 1], [1500, 100, 1]);
        assert!(may(&usual, true) && !may(&usual, false));
        assert!(!may(&one_large_layer, true) && !may(&one_large_layer, false));
    }
}
