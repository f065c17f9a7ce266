//! Prepares the check of an image while that is still being made. Called by `check`; images tell it
//! what to expect.
//!
//! To read what is in the layers of a large image and to lay it over each other takes as long as
//! all else that a small change does, and the processor has little to do meanwhile.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::task::JoinHandle;

use super::cache::{Cache, Shelf};
use super::cloud::Cloud;
use crate::domain::digest::DiffId;
use crate::image::check::{Laid, LayerFiles};
use crate::image::known::Foresight;

/// Reads and lays over each other what an image most likely stands on, while the image is being
/// made: of a large one that takes as long as all else that a small change does.
#[derive(Debug)]
pub(super) struct Ahead {
    cache: Option<Cache>,
    laying: Mutex<Option<Laying>>,
}

/// What is being laid.
#[derive(Debug)]
struct Laying {
    layers: Vec<DiffId>,
    laid: JoinHandle<Laid>,
}

impl Ahead {
    /// Waits to be told what to expect.
    pub(super) fn new(cloud: &Cloud) -> Arc<Self> {
        Arc::new(Self { cache: cloud.cache().cloned(), laying: Mutex::default() })
    }

    /// What is laid of an image with these layers; nothing, where another image was expected.
    pub(super) async fn laid(&self, diff_ids: &[DiffId]) -> Laid {
        let laying = self.laying.lock().unwrap_or_else(PoisonError::into_inner).take();
        match laying.filter(|laying| diff_ids.starts_with(&laying.layers)) {
            Some(laying) => laying.laid.await.unwrap_or_default(),
            None => Laid::default(),
        }
    }
}

impl Foresight for Ahead {
    fn expect(&self, layers: Vec<DiffId>) {
        let Some(cache) = self.cache.clone() else { return };
        let mut laying = self.laying.lock().unwrap_or_else(PoisonError::into_inner);
        if laying.as_ref().is_some_and(|laying| laying.layers == layers) {
            return;
        }
        let diff_ids = layers.clone();
        let laid = tokio::task::spawn_blocking(move || lay(&cache, diff_ids));
        *laying = Some(Laying { layers, laid });
    }
}

/// Lays layers over each other, the lowest first, up to the first that was not kept. One is read
/// while those before it are laid, which takes about as long.
fn lay(cache: &Cache, layers: Vec<DiffId>) -> Laid {
    std::thread::scope(|scope| {
        let (read, layers_read) = mpsc::channel();
        scope.spawn(move || {
            let mut kept = layers.into_iter().map_while(|diff_id| kept(cache, diff_id));
            kept.try_for_each(|files| read.send(Some(Arc::new(files))))
        });
        layers_read.into_iter().collect()
    })
}

/// What is in a layer, if it was kept.
pub(super) fn kept(cache: &Cache, diff_id: DiffId) -> Option<LayerFiles> {
    let bytes = cache.get(Shelf::Contents, &LayerFiles::key(diff_id))?;
    LayerFiles::from_bytes(&bytes).filter(|files| files.diff_id() == diff_id)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::image::check::Scan;

    fn layer(cache: &Cache, name: &str) -> DiffId {
        let mut archive = tar::Builder::new(Scan::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive.append_data(&mut header, name, std::io::empty()).unwrap();
        let mut scan = archive.into_inner().unwrap();
        scan.flush().unwrap();
        let files = scan.finish().unwrap();
        cache.put(Shelf::Contents, &LayerFiles::key(files.diff_id()), &files.to_bytes().unwrap());
        files.diff_id()
    }

    #[tokio::test]
    async fn what_was_expected_is_laid_as_far_as_it_is_kept_and_nothing_of_another_image() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned());
        let ids: Vec<DiffId> = ["a", "b", "c"].iter().map(|name| layer(&cache, name)).collect();
        let unknown = DiffId(crate::domain::digest::Digest::of(b"unknown"));
        let laid = async |expected: &[DiffId], image: &[DiffId]| {
            let ahead = Ahead { cache: Some(cache.clone()), laying: Mutex::default() };
            // What it is told last is most likely.
            ahead.expect(vec![unknown]);
            ahead.expect(expected.to_vec());
            ahead.laid(image).await.layers().len()
        };
        assert_eq!(laid(&ids[..2], &ids).await, 2);
        assert_eq!(laid(&[ids[0], unknown, ids[2]], &[ids[0], unknown, ids[2]]).await, 1);
        assert_eq!(laid(&[ids[1]], &ids).await, 0);
        assert_eq!(laid(&ids, &ids[..2]).await, 0);
        let nothing = Ahead { cache: Some(cache.clone()), laying: Mutex::default() };
        assert_eq!(nothing.laid(&ids).await.layers().len(), 0);
    }
}
