//! Compresses blocks on every core. Called by `gzip`, which joins them into one stream.
//!
//! Each block is primed with the end of the one before it and ends on a byte, so that blocks can
//! be compressed in any order and joined into one gzip member, as `pigz` does. What comes out
//! depends on the bytes and the level only, never on how many threads there are.
//! <https://zlib.net/pigz/pigz.pdf>

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// How much is compressed at a time. It belongs to a layer's digest as much as the level does.
pub(super) const BLOCK: usize = 1 << 20;

/// How far back deflate can point.
const WINDOW: usize = 32 << 10;

/// What one block may grow by at most. Deflate stores what does not get smaller, with five bytes
/// for each 64 KiB or less; but the lowest level has a code of nine bits for half of all bytes and
/// stores nothing.
const MARGIN: usize = BLOCK / 8 + (32 << 10);

/// How much room for blocks is kept when nobody needs it.
const SPARE: usize = 16;

/// Room for the bytes of one block. It is used again and again: asked for and given back by several
/// threads, pieces this large leave holes in the heap, which come to more than what is in use.
pub(super) struct Room(Vec<u8>);

impl Room {
    pub(super) fn new() -> Self {
        Self(spare().pop().unwrap_or_else(|| Vec::with_capacity(BLOCK)))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        let mut spare = spare();
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}

impl Deref for Room {
    type Target = Vec<u8>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

fn spare() -> MutexGuard<'static, Vec<Vec<u8>>> {
    static ROOMS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    ROOMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A block to be compressed.
pub(super) struct Block {
    /// Its bytes.
    pub(super) bytes: Arc<Room>,
    /// The block before it.
    pub(super) before: Option<Arc<Room>>,
    /// Whether the stream ends with it.
    pub(super) is_last: bool,
    /// 0 to 9.
    pub(super) level: u32,
}

/// A block that was compressed.
pub(super) struct Compressed {
    /// Raw deflate; ends on a byte.
    pub(super) bytes: Box<[u8]>,
    /// The check value of what went in.
    pub(super) crc: Crc,
}

/// A block that is being compressed.
pub(super) struct Pending(Receiver<io::Result<Compressed>>);

impl Pending {
    /// Waits for it.
    pub(super) fn wait(self) -> io::Result<Compressed> {
        self.0.recv().map_err(|_| io::Error::other("a thread that compresses has ended"))?
    }
}

struct Job {
    block: Block,
    done: Sender<io::Result<Compressed>>,
}

/// How many blocks one stream has under way: enough to keep every core busy while the next ones
/// are read, and no more, because each is held in memory.
pub(super) fn blocks_under_way() -> usize {
    cores() + 1
}

/// How many cores there are. Looked up once: finding it reads files of the system, and every stream
/// asks.
pub(super) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Hands a block to the threads all streams share.
pub(super) fn compress(block: Block) -> Pending {
    static QUEUE: OnceLock<Sender<Job>> = OnceLock::new();
    let (done, pending) = mpsc::channel();
    let job = Job { block, done };
    if let Err(mpsc::SendError(job)) = QUEUE.get_or_init(start).send(job) {
        // Not one thread could be started.
        job.run(&mut Vec::new());
    }
    Pending(pending)
}

fn start() -> Sender<Job> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..cores() {
        let receiver = receiver.clone();
        let work = move || {
            // Room for what comes out, used again for each block.
            let mut room = Vec::new();
            loop {
                let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { return };
                job.run(&mut room);
            }
        };
        // One thread less is slower, and nothing else.
        let _ = thread::Builder::new().name(format!("compress-{number}")).spawn(work);
    }
    sender
}

impl Job {
    fn run(self, room: &mut Vec<u8>) {
        // Whoever waited for it may be gone.
        let _ = self.done.send(self.block.compress(room));
    }
}

impl Block {
    fn compress(&self, room: &mut Vec<u8>) -> io::Result<Compressed> {
        let Self { bytes, before, is_last, level } = self;
        let mut crc = Crc::new();
        crc.update(bytes);
        // A new one for each block: one that is used again finds what it compressed before behind the
        // end of the dictionary, and makes other bytes of the same ones.
        let mut deflate = Compress::new(Compression::new(*level), false);
        if let Some(before) = before {
            deflate.set_dictionary(&before[before.len().saturating_sub(WINDOW)..])?;
        }
        room.clear();
        room.reserve(bytes.len() + MARGIN);
        let flush = if *is_last { FlushCompress::Finish } else { FlushCompress::Sync };
        let status = deflate.compress_vec(bytes, room, flush)?;
        // One call must do, because where the output is cut would change it.
        let is_whole = deflate.total_in() == bytes.len() as u64
            && room.len() < room.capacity()
            && (!is_last || status == Status::StreamEnd);
        if !is_whole {
            return Err(io::Error::other("a compressed block is larger than deflate can make it"));
        }
        Ok(Compressed { bytes: room.as_slice().into(), crc })
    }
}
