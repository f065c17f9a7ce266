//! One call of an API of the local cloud: who asks, where, and when.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::store::Store;

/// The account everything local belongs to.
pub const ACCOUNT: &str = "000000000000";

/// How long things take, as they do in AWS.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// `Pending` → `Active` of a new function.
    pub create: Duration,
    /// `InProgress` → `Successful` of an update.
    pub update: Duration,
    /// How long a new role cannot be assumed yet.
    pub role: Duration,
    /// Before each further try of an asynchronous call that failed. In AWS these are minutes.
    pub retries: [Duration; 2],
}

impl Delays {
    /// Long enough to be seen, and much shorter than in AWS.
    pub const USUAL: Self = Self {
        create: Duration::from_millis(1000),
        update: Duration::from_millis(500),
        role: Duration::from_millis(1000),
        retries: [Duration::from_secs(1), Duration::from_secs(2)],
    };
}

impl Default for Delays {
    fn default() -> Self {
        Self::USUAL
    }
}

/// What every handler of the local cloud is given.
#[derive(Clone, Debug)]
pub struct Call {
    /// What the cloud remembers.
    pub store: Arc<Store>,
    /// How long things take.
    pub delays: Delays,
    /// The region in the signature's credential scope, else `us-east-1`.
    pub region: String,
    /// The `HOST:PORT` the client reached us under; repository URIs are made with it.
    pub authority: String,
    /// Goes out as the request id.
    pub request_id: String,
    /// The time of the call.
    pub now: OffsetDateTime,
}
