//! The words of a transfer: which way each layer takes into a repository, and how large it is.

use super::digest::{DiffId, Digest};
use super::reference::{RepositoryName, RepositoryUri};

/// Bytes of a blob that is sent without a question where it is likely new: the answer would take as
/// long as the bytes.
pub const SMALL: u64 = 1 << 20;

/// How a layer gets into a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is there: nothing is read, compressed or sent.
    There(KnownBy),
    /// Another repository of the same registry hands it over; where it does not, it is sent.
    Mount(RepositoryName),
    /// It is compressed already, and sent as it is.
    Send,
    /// A repository of another registry has it as it is to be sent: it is copied from there.
    Copy(RepositoryUri),
    /// It is taken out of an engine, archive or layout, compressed here, and sent.
    Compress,
    /// It is made here of files, and sent.
    Make,
}

/// What tells that a layer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// The image the function runs has it.
    LiveImage,
    /// An image that was pushed lately has it.
    RecentPush,
    /// The image it was built on has it, which is in the same repository.
    BaseImage,
    /// The whole image is there.
    SameImage,
    /// The registry was asked.
    Registry,
}

impl KnownBy {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LiveImage => "live-image",
            Self::RecentPush => "recent-push",
            Self::BaseImage => "base-image",
            Self::SameImage => "same-image",
            Self::Registry => "registry",
        }
    }
}

/// One layer of an image that is to be in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLayer {
    /// The digest of its compressed bytes; `None` until it has been compressed.
    pub digest: Option<Digest>,
    /// The digest of what is in it.
    pub diff_id: Option<DiffId>,
    /// Compressed bytes, once known.
    pub size: Option<u64>,
    /// Bytes before it is compressed, where that is done here.
    pub uncompressed: Option<u64>,
    /// Which way it takes.
    pub way: Way,
}

impl PlannedLayer {
    /// Tells whether nothing has to be done for it.
    pub fn is_there(&self) -> bool {
        matches!(self.way, Way::There(_))
    }
}

/// The layers of an image, lowest first, and the way of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferPlan {
    /// The layers.
    pub layers: Vec<PlannedLayer>,
}
